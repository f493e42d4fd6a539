"""Kills the process that runs an experiment at every place where it touches the outside, from its
creation to the deployment of the winner: if another process repeats it, the result is the same.

The places are enumerated, not sampled, as in ``test_kills``.
"""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from qdrant_rollouts.core.config.experiment_spec import ExperimentSpec
from qdrant_rollouts.core.database.experiment_rows import (
    Experiment,
    ExposureRow,
    FeedbackKey,
    LookRow,
    UnitSum,
)
from qdrant_rollouts.core.database.models import Deployment, EventRow
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.experiments import commands, interim_analysis
from qdrant_rollouts.core.routing import enrolment, traffic
from qdrant_rollouts.core.routing.batch import Batch
from qdrant_rollouts.core.routing.exposures import Ledger, Person, UserSearches, unit_of_user
from qdrant_rollouts.core.routing.feedback import Feedback, count_feedback
from qdrant_rollouts.core.routing.sql_control_plane import over_database
from qdrant_rollouts.core.statistics.traffic_sketch import TrafficSketch
from tests.mortal import Killed, MakeWorld, Reaper
from tests.world import DIMENSION, EMBEDDING, World

SCHEMA = {"params": {"vectors": {"size": DIMENSION, "distance": "Cosine"}}, "payload_schema": {}}
OPTIONS = {
    "min_days": 0,
    "window_hours": 1,
    "min_conversions": 10,
    "look_minutes": 1,
    "on_ship": "switch",
}
#: Users of each arm; those who click do it four times.
USERS = 300
CLICKING = {"control": 60, "treatment": 200}
REPORTED = 3


class Life:
    """One experiment of its own names, so that many lie in one database."""

    def __init__(self, world: World, reaper: Reaper, name: str) -> None:
        self.world = world
        self.reaper = reaper
        self.name = name
        self.id = ""

    def lived(self) -> dict[str, Any]:
        self._prepare()
        self._whatever(self._create)
        for sequence, variant in enumerate(CLICKING, 1):
            self._whatever(
                lambda sequence=sequence, variant=variant: self._search(sequence, variant)
            )
        self._click()
        for number in range(REPORTED):
            self._whatever(lambda number=number: self._report(number))
        self.world.clock.move(3700)
        self._whatever(self._look)
        self._whatever(self._look)
        return self._came_to()

    def _whatever(self, act: Callable[[], object]) -> None:
        """Whoever is killed in it, the next one does it again; nobody is killed twice."""
        self.reaper.armed = True
        try:
            act()
        except Killed:
            act()
        self.reaper.armed = False

    def _prepare(self) -> None:
        for arm in ("a", "b"):
            self.world.store.create(f"{self.name}_{arm}", SCHEMA, {})
        self.world.store.point_alias(self.name, f"{self.name}_a")
        self.world.declare(self.name, source=f"collection:{self.name}_b", embedding=EMBEDDING)

    def _create(self) -> None:
        """A message that comes a second time is refused by name."""
        try:
            arms = f"{self.name}_a", [f"{self.name}_b"]
            self.id = commands.create_experiment(
                self.world.services, self.name, *arms, actor="anna", options=OPTIONS
            )
        except Refused:
            with self.world.services.sessions() as session:
                self.id = commands.find_experiment(session, self.name).id

    def _search(self, sequence: int, variant: str) -> None:
        """A batch of a search process, which keeps it until the database has said that it is
        there."""
        batch = Batch(
            people={
                Person(self.id, self._unit(variant, user)): _seen(variant, user)
                for user in range(USERS)
            }
        )
        key = traffic.TrafficKey(
            self.name, enrolment.stage_name(self.id, 1), variant, "real", f"{self.name}_a"
        )
        batch.tallies[key].add(1, 0.01)
        over_database(self.world.services).control.write_batch(self.name, sequence, batch)

    def _click(self) -> None:
        """Most of the clicks, by nobody who dies."""
        with self.world.services.sessions.begin() as session:
            spec = ExperimentSpec.model_validate(session.get_one(Experiment, self.id).spec)
            ledger = Ledger(session, self.id, spec)
            for variant, clicking in CLICKING.items():
                units = [self._unit(variant, user) for user in range(REPORTED, clicking)]
                ledger.add("clicks", dict.fromkeys(units, (0.0, 4.0)), ledger.find_exposures(units))
                ledger.add(
                    "relevance", dict.fromkeys(units, (4.0, 3.0)), ledger.find_exposures(units)
                )

    def _report(self, number: int) -> None:
        given = Feedback(
            self.id, "clicks", 4, "treatment", f"treatment {number}", key=f"click {number}"
        )
        count_feedback(self.world.services, given)

    def _look(self) -> None:
        interim_analysis.check_due_experiments(self.world.services)

    def _unit(self, variant: str, user: int) -> str:
        return unit_of_user(self.id, f"{variant} {user}")

    def _came_to(self) -> dict[str, Any]:
        with self.world.services.sessions() as session:
            (row,) = session.scalars(select(Experiment).where(Experiment.name == self.name))
            mine = self.id
            actor = f"experiment {self.id}"
            sums = select(
                UnitSum.metric, UnitSum.variant, func.sum(UnitSum.count), func.sum(UnitSum.total)
            )
            sums = sums.where(UnitSum.experiment_id == mine).group_by(
                UnitSum.metric, UnitSum.variant
            )
            events = session.scalars(select(EventRow.event).where(EventRow.detail.startswith(mine)))
            return {
                "status": (row.status, row.decision["action"], row.decision["variant"], row.looks),
                "users": session.scalar(
                    select(func.count()).where(ExposureRow.experiment_id == mine)
                ),
                "keys": session.scalar(
                    select(func.count()).where(FeedbackKey.experiment_id == mine)
                ),
                "looks": session.scalar(select(func.count()).where(LookRow.experiment_id == mine)),
                "sums": sorted(map(tuple, session.execute(sums))),
                "calls": sum(tally.calls for tally in self._traffic(session).values()),
                "events": sorted(events),
                "deployments": session.scalar(
                    select(func.count()).where(Deployment.actor == actor)
                ),
                "shipped": row.deployment_id is not None,
            }

    def _traffic(self, session: Any) -> dict[traffic.TrafficKey, TrafficSketch]:
        return traffic.read_tallies(session, self.name, enrolment.stage_name(self.id, 1))


def _seen(variant: str, user: int) -> UserSearches:
    return UserSearches(variant, 1, "collection", 1, 1, searches=4, log_ms=12 + user % 8 / 8)


@pytest.mark.proof
def test_wherever_somebody_is_killed_the_experiment_comes_to_the_same(
    make: MakeWorld, effort: Callable[[int, int], int]
) -> None:
    counting = Reaper()
    expected = Life(make(counting), counting, "count").lived()
    assert expected["status"] == ("decided", "SHIP", "treatment", 1)
    assert (expected["users"], expected["keys"], expected["deployments"]) == (
        2 * USERS,
        REPORTED,
        1,
    )
    step = max(1, counting.places // effort(16, 100_000))
    for victim in range(1, counting.places + 1, step):
        reaper = Reaper()
        reaper.victim = victim
        assert Life(make(reaper), reaper, f"life{victim}").lived() == expected, (
            f"killed at place {victim}"
        )
        assert reaper.places >= victim, "nobody was killed"
