"""Why no worker takes a due turn: none consumes its queue, all are busy, or messages are lost."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from qdrant_rollouts.core.database.step_traits import names_with
from qdrant_rollouts.core.deployments import unclaimed
from qdrant_rollouts.core.deployments.steps import STEPS
from qdrant_rollouts.core.deployments.unclaimed import Cause, Turn, judge
from qdrant_rollouts.core.deployments.workers import Busy, Worker

NOW = datetime(2026, 11, 29, 2, 30, tzinfo=UTC)
TURN = Turn("d1", "blog", "deployment", "create", "bulk", 400.0)


def ago(seconds):
    return NOW - timedelta(seconds=seconds)


POPULATE = Busy("deployments.populate", "d2", "docs", ago(1020))
IDLE = Worker(
    name="bulk@one",
    kind="worker",
    queues=frozenset({"bulk"}),
    concurrency=1,
    busy=(),
    idle_since=ago(900),
    received=25,
    discarded=0,
    version="0.1.0",
    clock_offset=0.1,
    seen_at=ago(5),
    answers=True,
)
BUSY = replace(IDLE, busy=(POPULATE,), idle_since=None)
SILENT = replace(IDLE, answers=False, seen_at=ago(720))
CONTROL = replace(IDLE, name="worker@one", queues=frozenset({"control", "rouse"}))


@pytest.mark.parametrize("roster", [[], [CONTROL], [SILENT], [CONTROL, SILENT]])
def test_nobody_listens_and_how_to_start_one_is_said(roster):
    found = judge(TURN, roster, 1, NOW)
    assert found.cause == Cause.UNLISTENED
    assert "create of blog has been due for 400 s: no worker takes queue bulk" in found.text
    assert "celery -A qdrant_rollouts.tasks worker -Q bulk" in found.next
    assert ("bulk@one did, and was last heard of 720 s ago" in found.text) == (SILENT in roster)


def test_the_only_one_is_busy_with_what_since_when_and_how_many_wait():
    found = judge(TURN, [CONTROL, BUSY], 3, NOW)
    assert found.cause == Cause.BUSY
    assert (
        "the only worker of queue bulk is busy: worker bulk@one with populate of docs since 02:13 "
        "(1,020 s)" in (found.text)
    )
    assert "3 turns wait" in found.text
    assert found.told_after == unclaimed.TELL_BUSY > unclaimed.TELL


def test_all_are_busy_each_with_its_own_and_the_silent_one_does_not_count():
    other = replace(BUSY, name="bulk@two", busy=(Busy("schedules.take_up", None, None, ago(60)),))
    found = judge(TURN, [BUSY, other, replace(SILENT, name="bulk@three")], 1, NOW)
    assert found.cause == Cause.BUSY
    assert "all 2 workers of queue bulk are busy" in found.text
    assert "worker bulk@two with schedules.take_up since 02:29 (60 s)" in found.text
    assert "three" not in found.text


def test_what_began_yesterday_says_the_day():
    found = judge(TURN, [replace(BUSY, busy=(replace(POPULATE, since=ago(90_000)),))], 1, NOW)
    assert "since 2026-11-28 01:30" in found.text


def test_many_are_counted_and_not_all_named():
    roster = [replace(BUSY, name=f"bulk@{number}", busy=(POPULATE,) * 5) for number in range(7)]
    found = judge(TURN, roster, 1, NOW)
    assert "all 7 workers" in found.text
    assert found.text.count("bulk@") == 3
    assert "and 4 more" in found.text
    assert "and 2 more" in found.text


def test_one_with_room_that_does_not_take_it_loses_messages():
    wrong = replace(IDLE, discarded=25, clock_offset=40.2)
    found = judge(TURN, [BUSY, wrong], 1, NOW)
    assert found.cause == Cause.LOST
    assert (
        "bulk@one: version 0.1.0, clock 40.2 s ahead of the database's, 25 messages received, 25 "
        "discarded" in (found.text)
    )
    assert "NTP" in found.next
    assert "log" in found.next
    assert "NTP" not in judge(TURN, [IDLE], 1, NOW).next


def test_a_moment_between_two_turns_is_no_room():
    between = replace(IDLE, idle_since=ago(8))
    found = judge(TURN, [between], 40, NOW)
    assert found.cause == Cause.BUSY
    assert "with nothing since 02:29" in found.text


@pytest.mark.parametrize(
    ("late", "roster", "cause"),
    [
        (14.0, [], None),
        (16.0, [], Cause.UNLISTENED),
        (16.0, [BUSY], Cause.BUSY),
        (16.0, [IDLE], None),
        (59.0, [IDLE], None),
        (61.0, [IDLE], Cause.LOST),
    ],
)
def test_nothing_is_said_before_it_can_be_known(late, roster, cause):
    found = judge(replace(TURN, late=late), roster, 1, NOW)
    assert (found and found.cause) == cause


@pytest.mark.parametrize(
    ("offset", "words", "off"),
    [
        (40.25, "40.2 s ahead of", True),
        (-7200, "7,200.0 s behind", True),
        (2.0, "ahead", True),
        (-1.9, "behind", False),
    ],
)
def test_a_clock_is_told_with_its_side(offset, words, off):
    worker = replace(IDLE, clock_offset=offset)
    assert words in worker.clock_words
    assert worker.clock_is_off is off


def test_the_steps_that_are_looked_after_in_a_pause_are_those_with_a_guard():
    assert {name for name, step in STEPS.items() if step.guard} == names_with(
        lambda step: step.guarded
    )
