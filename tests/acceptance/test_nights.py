"""Consecutive nights with real workers and three beats; only the clock is moved."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.database.schedule_rows import Schedule, ScheduleRun
from qdrant_rollouts.core.lifecycle import OPEN_RUNS
from tests.acceptance.installation import BRISK, OPTIONS, RECORDS, Installation, Program

FIRST = datetime(2031, 5, 5, 2, tzinfo=UTC)
NIGHT = timedelta(days=1)


class Nights:
    """An index that is rebuilt at two o'clock, and all its processes: two workers and three beats,
    each in its own folder."""

    def __init__(self, house: Installation) -> None:
        self.house = house
        index = {**OPTIONS, "source": "jsonl:docs.jsonl", "rebuild": "0 2 * * *"}
        house.declare({"docs": index})
        beats = [self._beat(house.folder / name) for name in ("second", "third")]
        self.programs = [house.worker, house.bulk, house.beat, *beats]

    def _beat(self, folder: Path) -> Program:
        (folder / ".rollouts").mkdir(parents=True)
        return Program("beat", folder, self.house.environment, "tests.acceptance.faulty", 1)

    def move_to(self, moment: datetime) -> None:
        """Writes the file in one act, so a reader never finds half of it."""
        wanted = (moment - datetime.now(UTC)).total_seconds()
        (self.house.folder / "clock.new").write_text(str(wanted))
        (self.house.folder / "clock.new").replace(self.house.folder / "clock")

    def known(self) -> bool:
        with Session(self.house.engine) as session:
            return session.scalar(select(func.count()).select_from(Schedule)) == 1

    def ended(self, nominal: datetime) -> ScheduleRun:
        def over() -> ScheduleRun | None:
            with Session(self.house.engine) as session:
                query = select(ScheduleRun).where(ScheduleRun.nominal_at == nominal)
                return session.scalars(
                    query.where(ScheduleRun.status.not_in(OPEN_RUNS))
                ).one_or_none()

        return self.house.until(over, 60, f"the end of the run due {nominal}")

    def runs(self) -> list[tuple[datetime, str]]:
        with Session(self.house.engine) as session:
            found = session.scalars(select(ScheduleRun).order_by(ScheduleRun.nominal_at))
            return [(run.nominal_at, str(run.status)) for run in found]

    def deployments(self) -> int:
        with Session(self.house.engine) as session:
            return session.scalar(select(func.count()).select_from(Deployment)) or 0


@pytest.fixture
def nights_at_home(tmp_path: Path) -> Iterator[Nights]:
    with Installation(tmp_path / "house", "postgres", times=BRISK, tick=1.0, children=2) as house:
        made = Nights(house)
        try:
            yield made
        finally:
            for program in made.programs:
                program.kill()


@pytest.mark.proof
def test_three_beats_make_one_rebuild_a_night_and_a_missed_night_is_made_up_once(
    nights_at_home: Nights, effort: Callable[[int, int], int], figure: Callable[[str], None]
):
    nights = nights_at_home
    house = nights_at_home.house
    wanted = [FIRST + number * NIGHT for number in range(effort(3, 10))]
    nights.move_to(FIRST - NIGHT / 2)
    house.run(*nights.programs)
    house.until(nights.known, 30, "the schedule known")
    for number, night in enumerate(wanted):
        house.write_documents(count=RECORDS + number)
        nights.move_to(night)
        assert nights.ended(night).status == "done"
    assert nights.runs() == [(night, "done") for night in wanted]
    assert nights.deployments() == len(wanted)

    for program in nights.programs:
        program.kill()
    house.write_documents(count=RECORDS + len(wanted))
    late = wanted[-1] + 3 * NIGHT
    nights.move_to(late + timedelta(hours=7))
    house.run(*nights.programs)
    assert nights.ended(late).status == "done"

    nights.move_to(late + NIGHT)
    assert nights.ended(late + NIGHT).status == "unchanged"
    assert nights.runs() == [
        *((night, "done") for night in (*wanted, late)),
        (late + NIGHT, "unchanged"),
    ]
    assert nights.deployments() == len(wanted) + 1
    assert house.count("docs") == RECORDS + len(wanted)
    figure(
        f"{len(wanted)} nights with three beats: as many rebuilds; three missed: one; one without "
        "a change: none"
    )
