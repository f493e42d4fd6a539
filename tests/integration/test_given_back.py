"""Messages that no program here knows: they are returned, counted, and finally refused with a
message."""

import itertools
import pickle
from dataclasses import dataclass, field

import pytest
from celery import Celery
from kombu import Connection, Queue

from qdrant_rollouts.adapters import celery_returns
from qdrant_rollouts.adapters.celery import AGAIN, make_app
from qdrant_rollouts.adapters.celery_returns import GiveBack, Giver, patience, pause
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.errors import Refused

NAME = "deployments.of_the_next_release"


@dataclass
class HandTimer:
    waiting: list = field(default_factory=list)
    cancelled: list = field(default_factory=list)

    def call_after(self, seconds, act, arguments):
        self.waiting.append((seconds, act, arguments))
        return self.waiting[-1]

    def cancel(self, entry):
        self.waiting.remove(entry)
        self.cancelled.append(entry)

    def fire(self):
        seconds, act, arguments = self.waiting.pop(0)
        act(*arguments)
        return seconds


@dataclass
class Prefetch:
    value: int = 4

    def increment_eventually(self):
        self.value += 1

    def decrement_eventually(self):
        self.value -= 1


@dataclass
class Bench:
    """A worker's consumer with a hand on its timer; broker, messages and result backend are
    real."""

    app: object
    queue: object
    timer: HandTimer = field(default_factory=HandTimer)
    qos: Prefetch = field(default_factory=Prefetch)
    connection_errors: tuple = (OSError,)

    def __post_init__(self):
        self.giver = Giver(self)

    def send(self, application, **options):
        return application.send_task(
            NAME, kwargs={"alias_name": "docs", "text": "naïve"}, queue="celery", **options
        )

    def taken(self):
        message = self.queue.get()
        assert message is not None
        return message

    def take(self):
        message = self.taken()
        self.giver.take(
            message, message.headers["id"], NAME, f"no worker knows the task {NAME}", counted=True
        )
        return message


@pytest.fixture
def bench(redis_url, tmp_path):
    settings = Settings(
        _env_file=None, database_url=f"sqlite:///{tmp_path}/state.db", broker_url=redis_url
    )
    app = make_app(settings)
    with Connection(redis_url) as connection:
        yield Bench(app, Queue("celery", routing_key="celery")(connection.default_channel))
    app.close()


@pytest.fixture
def application(redis_url, tmp_path):
    with Celery(
        "of somebody",
        broker=redis_url,
        backend=f"db+sqlite:///{tmp_path}/state.db",
        set_as_current=False,
    ) as made:
        yield made


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_it_comes_back_as_it_was_behind_the_others_and_counted(bench, application, compression):
    asked = bench.send(application, compression=compression)
    first = bench.take()
    other = bench.send(application)
    assert bench.timer.fire() == 1.0
    assert bench.taken().headers["id"] == other.id
    again = bench.taken()
    assert (again.headers["id"], again.headers[celery_returns.RETURNS]) == (asked.id, 1)
    assert (again.payload, again.content_type) == (first.payload, first.content_type)
    assert again.properties["correlation_id"] == first.properties["correlation_id"]
    assert first.acknowledged
    assert bench.qos.value == 4


def test_what_nobody_will_ever_know_is_refused_in_words_after_an_hour_of_pauses(bench, application):
    asked = bench.send(application)
    rested = 0.0
    for _ in itertools.count():
        bench.take()
        rested += bench.timer.fire()
        if asked.ready():
            break
        assert rested < 7200
    assert 3600 <= rested < 3700
    assert bench.queue.get() is None
    with pytest.raises(Refused, match=f"no worker knows the task {NAME}.*124 times"):
        asked.get()


def test_what_the_sweep_sends_again_is_dropped_after_a_minute(bench, application):
    asked = bench.send(application, headers={AGAIN: True})
    rested = 0.0
    while (message := bench.queue.get()) is not None:
        bench.giver.take(message, message.headers["id"], NAME, "unknown", counted=True)
        rested += bench.timer.fire()
    assert 30 <= rested <= 120
    assert not asked.ready()


def test_a_program_that_can_do_nothing_now_counts_nothing_and_never_gives_up(bench, application):
    bench.send(application)
    for _ in range(300):
        message = bench.taken()
        bench.giver.take(
            message, message.headers["id"], NAME, "the database is newer", counted=False
        )
        assert bench.timer.fire() == celery_returns.REST
    assert celery_returns.RETURNS not in bench.taken().headers


def test_a_message_whose_broker_went_away_is_left_to_the_broker(bench, application):
    bench.send(application)
    message = bench.take()
    bench.giver.forget()
    assert (bench.timer.waiting, len(bench.timer.cancelled)) == ([], 1)
    assert not message.acknowledged


def test_a_refusal_that_cannot_be_written_down_is_tried_again(bench, application, tmp_path):
    asked = bench.send(application, headers={celery_returns.RETURNS: celery_returns.REQUEST})
    whole = bench.app
    bench.app = Speechless(whole)
    bench.take()
    bench.timer.fire()
    assert not asked.ready()
    bench.app = whole
    bench.take()
    bench.timer.fire()
    assert asked.ready()


class Speechless:
    """An app whose result backend is away."""

    def __init__(self, app):
        self._app = app
        self.backend = self

    def __getattr__(self, name):
        return getattr(self._app, name)

    def mark_as_failure(self, *_, **__):
        raise OSError("the database is away")


@pytest.mark.parametrize("headers", [{}, {AGAIN: True}])
def test_pauses_grow_to_half_a_minute(headers):
    rests = [pause(returns) for returns in range(patience(headers))]
    assert rests == sorted(rests)
    assert (rests[0], max(rests) <= celery_returns.LONGEST) == (1.0, True)


def test_it_travels_from_a_child_to_its_worker():
    there = pickle.loads(pickle.dumps(GiveBack("newer", counted=True)))  # noqa: S301 - our own
    assert (there.reason, there.requeue, there.counted) == ("newer", True, True)
