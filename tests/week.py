"""A week of nights: ``documentation`` is rebuilt every night at two, and the gate stops the rebuild
of last night. Other teams' indexes stand beside it.

The walk of ``docs/howto/find-your-way.md`` goes through this installation.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from qdrant_rollouts.core.database.schedule_rows import ScheduleRun
from qdrant_rollouts.core.operations.schedules import sweep
from tests.world import World, texts

INDEX = "documentation"
#: The first rebuild is on Monday; last night is Friday's.
MONDAY = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
NIGHTS = 5
#: Friday morning, when somebody looks.
MORNING = MONDAY + timedelta(days=NIGHTS - 1, hours=7, minutes=12)
QUERIES = ["asyncio and python", "text about asyncio"]


class Week(World):
    """``last_night`` is the deployment of last night; ``tuesday`` the collection that was made in
    Tuesday's night."""

    last_night: str
    tuesday: str

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, f"sqlite:///{folder / 'state.db'}")
        self.clock.moment = MONDAY - timedelta(hours=10)
        self.declare(
            INDEX,
            source=self.write("documentation.jsonl", texts(30)),
            rebuild="0 2 * * *",
            retention={"versions": 7},
            validation={"queries": QUERIES, "min_top_score": 0.1, "min_results": 1},
        )
        for team in ("support-tickets", "support-macros", "legal-contracts"):
            self.declare(team, source=self.write(f"{team}.jsonl", texts(8)))
        sweep.take_over_declared(self.services)
        for team in ("support-tickets", "support-macros"):
            self.deploy(team)
            self.run()
        for night in range(NIGHTS):
            self._rebuild(night)
        self.last_night = self._find_deployment(MONDAY + timedelta(days=NIGHTS - 1))
        tuesday = self._find_deployment(MONDAY + timedelta(days=1))
        self.tuesday = str(self.status(tuesday)["green"])
        self.clock.moment = MORNING

    def _rebuild(self, night: int) -> None:
        """A night: new records, and on the last one the records of another site."""
        records = texts(30 + 2 * night)
        if night == NIGHTS - 1:
            records = [{**record, "text": f"recipe {record['id']} for cooks"} for record in records]
        self.write("documentation.jsonl", records)
        self.clock.moment = MONDAY + timedelta(days=night)
        self._sweep()
        self._sweep()

    def _sweep(self) -> None:
        """One sweep, the work that it finds, and every turn that follows."""
        for run in sweep.sweep_schedules(self.services).open:
            sweep.take_up_run(self.services, run)
        self.run()
        self.clock.move(30)

    def _find_deployment(self, nominal: datetime) -> str:
        query = select(ScheduleRun.deployment_id).where(ScheduleRun.nominal_at == nominal)
        with self.services.sessions() as session:
            return str(session.scalars(query).one())
