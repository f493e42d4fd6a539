"""Many rebuilds are due in one minute: never more than the limit build, and the first is live as
soon as a single one would be.

The test counts greens from outside, by asking Qdrant for its collections and aliases.
``ROLLOUTS_TEST_REBUILDS=40`` sets another number of rebuilds for the long form.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.database.schedule_rows import Schedule
from qdrant_rollouts.core.lifecycle import FINAL, Status
from tests.acceptance.installation import BRISK, OPTIONS, Installation
from tests.endpoint import Endpoint
from tests.world import EMBEDDING

NIGHT = datetime(2031, 5, 5, 2, tzinfo=UTC)
MODEL = {**EMBEDDING, "model": "elsewhere:words-64"}
INDEX = {**OPTIONS, "embedding": MODEL, "source": "jsonl:docs.jsonl", "rebuild": "0 2 * * *"}
RECORDS = 60
#: Seconds for a request to the model in the long form. So the cost of a rebuild is the time of its
#: worker, as with a rented model, and it does not depend on how many processors remain for the
#: others.
_REQUEST = 4.0
_LOOK = 0.05


@dataclass
class Night:
    """The results of a night: the most collections without an alias at one time, and the seconds
    until the first alias moved and until all deployments had ended."""

    most: int
    first: float
    total: float
    queued: int


class Rebuilt:
    """An installation whose indexes are rebuilt at two o'clock. ``limit`` of them may build at
    once, with a model at ``endpoint``."""

    def __init__(self, house: Installation, limit: int, endpoint: Endpoint) -> None:
        self.house = house
        self.limit = limit
        self.endpoint = endpoint

    def night(self, number: int, names: list[str], seconds: float) -> Night:
        """Makes ``names`` due, with changed records, and watches until all of them have ended."""
        house = self.house
        due = NIGHT + timedelta(days=number)
        house.write_documents(count=RECORDS + number)
        limits = {"rebuilds": self.limit, "per_model": self.limit}
        house.declare(
            dict.fromkeys(names, INDEX), limits, providers={"elsewhere": {"url": self.endpoint.url}}
        )
        self.move_to(due - timedelta(hours=1))
        house.until(
            lambda: self.due(due) == len(names), 60, f"{len(names)} schedules that are known"
        )
        before = house.aliases()
        began = time.monotonic()
        with _greens(house, before) as seen:
            self.move_to(due)
            house.until(
                lambda: self.ended(number) == len(names),
                seconds,
                f"the end of {len(names)} rebuilds",
            )
        assert self.live(number) == len(names)
        return Night(seen.most, seen.first - began, time.monotonic() - began, seen.queued)

    def move_to(self, moment: datetime) -> None:
        """Writes the file in one act, so a reader never finds half of it."""
        wanted = (moment - datetime.now(UTC)).total_seconds()
        (self.house.folder / "clock.new").write_text(str(wanted))
        (self.house.folder / "clock.new").replace(self.house.folder / "clock")

    def due(self, moment: datetime) -> int:
        with Session(self.house.engine) as session:
            query = select(func.count()).select_from(Schedule)
            return (
                session.scalar(query.where(Schedule.next_at == moment, Schedule.spec.is_not(None)))
                or 0
            )

    def ended(self, number: int) -> int:
        return self.counted(number, *FINAL)

    def live(self, number: int) -> int:
        return self.counted(number, Status.LIVE)

    def counted(self, number: int, *statuses: Status) -> int:
        of = (
            Deployment.created_at >= NIGHT + timedelta(days=number),
            Deployment.status.in_(statuses),
        )
        with Session(self.house.engine) as session:
            return session.scalar(select(func.count()).select_from(Deployment).where(*of)) or 0


class _Seen:
    most = 0
    first = float("inf")
    queued = 0


@contextmanager
def _greens(house: Installation, before: Mapping[str, str]) -> Iterator[_Seen]:
    """Counts greens. Collections are read before aliases, so a collection that is switched in
    between is not counted."""
    seen = _Seen()
    over = threading.Event()
    known = house.collections()

    def look() -> None:
        while not over.wait(_LOOK):
            try:
                collections = house.collections()
                aliases = house.aliases()
            except httpx.HTTPError:
                continue
            seen.most = max(seen.most, len(collections - known - set(aliases.values())))
            if aliases != before:
                seen.first = min(seen.first, time.monotonic())
            with Session(house.engine) as session:
                waiting = (
                    select(func.count())
                    .select_from(Deployment)
                    .where(Deployment.place == "waiting")
                )
                seen.queued = max(seen.queued, session.scalar(waiting) or 0)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


@contextmanager
def house_of(folder: Path, database: str, limit: int) -> Iterator[Rebuilt]:
    with (
        Installation(folder, database, times=BRISK, tick=1.0) as house,
        closing(Endpoint()) as endpoint,
    ):
        rebuilt = Rebuilt(house, limit, endpoint)
        rebuilt.move_to(NIGHT - timedelta(hours=2))
        house.run()
        yield rebuilt


def named(count: int) -> list[str]:
    return [f"many-{number:03d}" for number in range(count)]


@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_of_many_rebuilds_due_at_once_no_more_than_the_limit_build_and_the_first_is_live_soon(
    tmp_path: Path, effort: Callable[[Any, Any], Any], figure: Callable[[str], None]
):
    """Only the long form measures how soon: it compares with a single rebuild, and with as many
    places as rebuilds."""
    many = named(effort(12, int(os.environ.get("ROLLOUTS_TEST_REBUILDS", "150"))))
    limit = effort(2, 4)
    with house_of(tmp_path / "house", effort("sqlite", "postgres"), limit) as rebuilt:
        few = rebuilt.night(0, many, 1800)
        figure(
            f"{len(many)} rebuilds due at once, {limit} places: at most {few.most} greens, "
            f"{few.queued} in the queue"
        )
        assert few.most == limit
        assert few.queued > limit
        if effort(False, True):
            soon(rebuilt, many, figure)


def soon(rebuilt: Rebuilt, many: list[str], figure: Callable[[str], None]) -> None:
    rebuilt.endpoint.seconds = _REQUEST
    alone = [rebuilt.night(number, many[:1], 120).first for number in range(1, 4)]
    asked = len(rebuilt.endpoint.asked)
    few = rebuilt.night(4, many, 1800)
    asked = len(rebuilt.endpoint.asked) - asked
    rebuilt.limit = len(many)
    breadth = rebuilt.night(5, many, 1800)
    figure(
        f"the first of {len(many)} live after {few.first:.1f} s, one alone after {min(alone):.1f} "
        f"to {max(alone):.1f} s"
    )
    figure(
        f"all after {few.total:.1f} s; with {len(many)} places, {breadth.most} greens, after "
        f"{breadth.total:.1f} s"
    )
    figure(f"the model was asked {asked / len(many):.1f} times for each, {_REQUEST:g} s each time")
    assert few.first <= 1.2 * max(alone)
    assert few.total <= 1.2 * breadth.total
