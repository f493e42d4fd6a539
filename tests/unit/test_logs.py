"""A test finds logging as the tests before it found it."""

import logging

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker

from qdrant_rollouts.interfaces.cli.running import log_to_the_terminal
from tests.logs import keep_logging


def is_heard(name: str, caplog) -> bool:
    caplog.clear()
    logging.getLogger(name).warning("hear me")
    return [record.getMessage() for record in caplog.records] == ["hear me"]


def test_a_worker_within_the_process_silences_nothing_after_it(caplog):
    app = Celery("quiet", broker="memory://", backend="cache+memory://", set_as_current=False)
    with keep_logging():
        with start_worker(app, pool="solo", perform_ping_check=False, loglevel="error"):
            pass
        assert not is_heard("qdrant_rollouts.interfaces.embedded", caplog)
    assert is_heard("qdrant_rollouts.interfaces.embedded", caplog)


def test_a_verb_silences_nothing_after_it(caplog):
    with keep_logging():
        log_to_the_terminal()
        assert not is_heard("rollouts.alerts", caplog)
    assert is_heard("rollouts.alerts", caplog)


def test_what_is_switched_off_is_on_again(caplog):
    with keep_logging():
        logging.disable(logging.CRITICAL)
        logging.getLogger("rollouts.of_this_test").disabled = True
    assert is_heard("rollouts.of_this_test", caplog)


@pytest.fixture(scope="module")
def verb_of_this_file():
    log_to_the_terminal()
    logging.getLogger("rollouts.of_this_file").setLevel(logging.CRITICAL)


def test_a_fixture_of_a_whole_file_silences_what_it_says(verb_of_this_file, caplog):
    assert not is_heard("rollouts.of_this_file", caplog)


def test_a_fixture_of_a_whole_file_silences_nothing_in_the_next_test(caplog):
    assert is_heard("rollouts.of_this_file", caplog)
