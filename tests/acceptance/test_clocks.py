"""Wrong clocks: a worker's, beat's, the database's; by seconds or hours, once or repeatedly.

These tests use PostgreSQL, which has its own clock; with SQLite every process reads the same one.
"""

import math
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import Any

import pytest
import redis
from sqlalchemy import func, select

from tests.acceptance.installation import BRISK, RECORDS, Installation
from tests.acceptance.test_lost_messages import declined, turns
from tests.clocks import FakeClock

HOUR = 3600.0
#: Seconds between two jumps.
_JUMPS = 2.0
#: What a wrong clock may cost: at most this many times the time without it.
_COST = 1.5
#: How many pairs of runs each case gets.
_ROUNDS = 3

Wrong = dict[str, float | None]

#: By name: whose clock is ahead, and by how many seconds. None jumps two hours forward and back.
ALONE: dict[str, Wrong] = {
    "bulk +40 s": {"worker-bulk": 40.0},
    "worker +40 s": {"worker": 40.0},
    "bulk +2 h": {"worker-bulk": 2 * HOUR},
    "worker +2 h": {"worker": 2 * HOUR},
    "bulk -2 h": {"worker-bulk": -2 * HOUR},
    "worker -2 h": {"worker": -2 * HOUR},
    "bulk jumps": {"worker-bulk": None},
    "worker jumps": {"worker": None},
    "beat +2 h": {"beat": 2 * HOUR},
    "beat -2 h": {"beat": -2 * HOUR},
    "beat jumps": {"beat": None},
    "database +2 h": {"database": 2 * HOUR},
    "database -2 h": {"database": -2 * HOUR},
    "database jumps": {"database": None},
}
#: Several wrong clocks at once, so that no two of them agree.
TOGETHER: dict[str, Wrong] = {
    "bulk +2 h, worker -2 h, beat jumps": {
        "worker-bulk": 2 * HOUR,
        "worker": -2 * HOUR,
        "beat": None,
    },
    "bulk jumps, worker +40 s, beat -2 h": {"worker-bulk": None, "worker": 40.0, "beat": -2 * HOUR},
    "database jumps": {"database": None},
}


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("clocks") / "house"
    with Installation(folder, "postgres", times=BRISK, children=2, clocks=True) as house:
        house.run()
        house.make_live("warm")
        house.deploy("warm")
        house.ended("warm")
        yield house


@contextmanager
def clocks(house: Installation, ahead: Wrong) -> Iterator[None]:
    """Sets clocks while everything runs, and sets them right at the end."""
    stopped = threading.Event()
    jumping = [clock_of(house, name) for name, seconds in ahead.items() if seconds is None]
    thread = threading.Thread(target=_jump, args=(jumping, stopped))
    for name, seconds in ahead.items():
        clock_of(house, name).set(2 * HOUR if seconds is None else seconds)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
        for name in ahead:
            clock_of(house, name).set(0)


def clock_of(house: Installation, name: str) -> FakeClock:
    return house.postgres.clock if name == "database" else house.clocks[name]


def ahead_of_us(house: Installation, name: str) -> float:
    """Returns how far a clock is ahead, from the database or from the last line of a process's
    log."""
    if name == "database":
        with house.engine.connect() as connection:
            told = connection.scalar(select(func.clock_timestamp()))
    else:
        log = {"worker": house.worker, "worker-bulk": house.bulk, "beat": house.beat}[name].log
        (*_, last) = re.findall(r"\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+: ", log)
        told = datetime.fromisoformat(last).astimezone()
    return (told - datetime.now(UTC)).total_seconds()


def _jump(jumping: list[FakeClock], stopped: threading.Event) -> None:
    seconds = -2 * HOUR
    while not stopped.wait(_JUMPS):
        for clock in jumping:
            clock.set(seconds)
        seconds = -seconds


def took(house: Installation, alias: str, ahead: Wrong) -> float:
    """Returns the seconds until a deployment was live, and checks what else must be true of it."""
    house.make_live(alias)
    with clocks(house, ahead):
        started = time.monotonic()
        deployment = house.deploy(alias)
        row = house.ended(alias, 60)
        seconds = time.monotonic() - started
        for name in {"worker", "worker-bulk", "database"} & set(ahead):
            if ahead[name] is not None:
                assert abs(ahead_of_us(house, name) - ahead[name]) < 30, "the clock was not moved"
    assert row.status == "live", row.message
    assert house.count(row.green) == RECORDS
    delivered = turns(house, deployment)
    won = Counter(turn for turn, said in delivered if not declined(said))
    assert set(won.values()) == {1}
    return seconds


def list_taken(client: redis.Redis, deployment: str) -> set[bytes]:
    """Returns the deliveries of the deployment's messages that a worker has taken and not
    acknowledged. A message that is given to another worker is another delivery."""
    messages = client.hgetall("unacked")
    return {delivery for delivery, said in messages.items() if deployment[:8].encode() in said}


def discarded(house: Installation) -> list[str]:
    log = house.worker.log + house.bulk.log
    return re.findall(r"Discarding revoked task.*|Task .* revoked.*", log)


@pytest.mark.parametrize("name", TOGETHER)
def test_no_message_waits_for_a_clock_or_is_thrown_away_by_one(wrong: Installation, name: str):
    took(wrong, re.sub(r"\W+", "-", name), TOGETHER[name])
    assert discarded(wrong) == []


def test_a_message_that_a_worker_has_taken_is_not_given_to_another_whose_clock_is_ahead(
    wrong: Installation,
):
    """Celery's transport compares a time that the taking worker wrote with the clock of the worker
    that looks."""
    alias = "taken"
    place = "upsert.before"
    wrong.make_live(alias)
    wrong.traps.set(alias, place, "hold")
    deployment = wrong.deploy(alias)
    wrong.sprung(alias, place)
    with redis.Redis.from_url(wrong.redis.url) as client, clocks(wrong, {"worker": 2 * HOUR}):
        held = list_taken(client, deployment)
        time.sleep(13)  # the transport looks every ten seconds
        assert client.llen("bulk") == 0
        assert held
        assert list_taken(client, deployment) >= held
    wrong.traps.release(alias, place)
    assert wrong.ended(alias).status == "live"
    assert "redelivered" not in wrong.worker.log
    assert set(Counter(turn for turn, _ in turns(wrong, deployment)).values()) == {1}


@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_a_wrong_clock_costs_no_more_than_half_of_the_time_again(
    wrong: Installation, effort: Callable[..., Any], figure: Callable[[str], None]
):
    """The long run measures the time; the short one only checks that the deployment ends. Each run
    follows one with right clocks, because the machine may become busy. Cases that look slow are
    tried more often."""
    names = effort(["bulk +40 s"], list(ALONE))
    cost = effort(math.inf, _COST)
    tried = {name: Tried() for name in names}
    for number in range(effort(1, 9)):
        for name, runs in tried.items():
            if number < _ROUNDS or runs.ratio > cost:
                wrong.drop_collections()
                alias = re.sub(r"\W+", "-", f"alone {name} {number}")
                runs.without.append(took(wrong, f"{alias}-without", {}))
                runs.seconds.append(took(wrong, alias, ALONE[name]))
    for name, runs in tried.items():
        figure(f"clocks: {name}: {runs}")
    assert {name: str(runs) for name, runs in tried.items() if runs.ratio > cost} == {}
    assert discarded(wrong) == []


@dataclass
class Tried:
    """Seconds until deployments were live, and the seconds of the runs with right clocks before
    them."""

    seconds: list[float] = field(default_factory=list)
    without: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        return median(one / other for one, other in zip(self.seconds, self.without, strict=True))

    def __str__(self) -> str:
        spans = [
            f"{min(times):.1f} to {max(times):.1f} s" for times in (self.seconds, self.without)
        ]
        return (
            f"live after {spans[0]}, {spans[1]} without; {self.ratio:.2f} times in "
            f"{len(self.seconds)} pairs"
        )
