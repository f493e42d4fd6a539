"""Whatever is recorded for an experiment, in any order and however often, its sums equal those of a
simple model in memory that received everything once."""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from qdrant_rollouts.core.config.experiment_spec import ExperimentSpec
from qdrant_rollouts.core.database.experiment_rows import Experiment, ExposureRow, UnitSum
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.experiments import commands, evidence, folding
from qdrant_rollouts.core.routing.batch import Batch
from qdrant_rollouts.core.routing.exposures import Person, UserSearches, unit_of_user
from qdrant_rollouts.core.routing.feedback import Feedback, count_feedback
from qdrant_rollouts.core.routing.sql_control_plane import over_database
from qdrant_rollouts.core.statistics import histogram
from qdrant_rollouts.core.statistics.assignment import group_of_unit
from qdrant_rollouts.core.statistics.sums import Sums
from tests.world import DIMENSION, World

SCHEMA = {"params": {"vectors": {"size": DIMENSION, "distance": "Cosine"}}, "payload_schema": {}}
METRICS = (
    *("latency", "latency_p95", "errors", "clicks", "relevance"),
    {"name": "dwell", "kind": "quantile", "level": 0.5},
    {"name": "saved", "kind": "proportion"},
)
USERS = ("anna", "ben", "cleo", "dan")
VARIANTS = ("control", "treatment")
#: Seconds; a power of two lies in the same bucket however it was come to.
DURATIONS = (0.25, 0.5, 2.0)

searches = st.fixed_dictionaries(
    {
        "act": st.just("search"),
        "user": st.sampled_from(USERS),
        "variant": st.sampled_from(VARIANTS),
        "errors": st.integers(0, 1),
        "seconds": st.sampled_from(DURATIONS),
    }
)
reports = st.fixed_dictionaries(
    {
        "act": st.just("report"),
        "user": st.sampled_from(USERS),
        "metric": st.sampled_from(("clicks", "relevance", "dwell", "saved")),
        "value": st.sampled_from(DURATIONS),
        "key": st.one_of(st.none(), st.integers(0, 5)),
    }
)
others = st.fixed_dictionaries({"act": st.sampled_from(("flush", "repeat", "fold", "wait"))})
stories = st.lists(st.one_of(searches, searches, reports, reports, others), max_size=40)


@dataclass
class Model:
    """Users in a dictionary."""

    arms: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    crossed: set[str] = field(default_factory=set)
    sums: dict[tuple[str, str], list[float]] = field(
        default_factory=lambda: defaultdict(lambda: [0.0, 0.0])
    )
    cells: dict[tuple[str, str], Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    keys: set[int] = field(default_factory=set)

    def search(self, now: datetime, user: str, variant: str, errors: int, seconds: float) -> None:
        arm, closes = self.arms.setdefault(user, (variant, now + timedelta(hours=1)))
        if arm != variant:
            self.crossed.add(user)
        if now < closes:
            for metric, total in (("latency", 1.0), ("errors", errors), ("clicks", 0.0)):
                self.add(metric, user, 1, total)
            self.cells["latency_p95", user][histogram.bucket_index(seconds)] += 1

    def report(
        self, now: datetime, user: str, metric: str, value: float, key: int | None
    ) -> bool | None:
        """Whether it counts; None where it is refused."""
        _, closes = self.arms.get(user, ("", now))
        if key in self.keys:
            return False
        if now >= closes:
            return None
        if key is not None:
            self.keys.add(key)
        if metric == "dwell":
            self.cells[metric, user][histogram.bucket_index(value)] += 1
        else:
            self.add(metric, user, 0 if metric == "clicks" else 1, value)
        return True

    def add(self, metric: str, user: str, count: float, total: float) -> None:
        self.sums[metric, user][0] += count
        self.sums[metric, user][1] += total


class Story:
    """The real thing beside the model. Searches are written down at ``flush``, as a search process
    does it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.model = Model()
        self.id = commands.create_experiment(
            world.services,
            "sums",
            "a",
            ["b"],
            actor="anna",
            metrics=METRICS,
            options={"window_hours": 1},
        )
        self.waiting: list[dict[str, Any]] = []
        self.batch = Batch()
        self.sequence = 0

    def told(self, acts: list[dict[str, Any]]) -> None:
        for act in acts:
            getattr(self, act["act"])({name: value for name, value in act.items() if name != "act"})
        self.flush({})

    @property
    def now(self) -> datetime:
        return self.world.clock.moment

    def search(self, one: dict[str, Any]) -> None:
        self.waiting.append(one)

    def flush(self, _: object) -> None:
        self.sequence += 1
        self.batch = Batch()
        for one in self.waiting:
            self._add(one)
        self.repeat(_)
        for one in self.waiting:
            self.model.search(self.now, **one)
        self.waiting = []

    def repeat(self, _: object) -> None:
        """The last batch, as after an answer of the database that was lost."""
        users = replace(self.batch, tallies={})
        over_database(self.world.services).control.write_batch(self.id, self.sequence, users)

    def report(self, one: dict[str, Any]) -> None:
        expected = self.model.report(self.now, **one)
        key = None if one["key"] is None else str(one["key"])
        try:
            found = count_feedback(
                self.world.services,
                Feedback(self.id, one["metric"], one["value"], "", one["user"], key),
            )
        except Refused:
            found = None
        assert found == expected

    def fold(self, _: object) -> None:
        folding.fold_sketches(self.world.services)

    def wait(self, _: object) -> None:
        self.world.clock.move(1500)

    def _add(self, one: dict[str, Any]) -> None:
        person = Person(self.id, unit_of_user(self.id, one["user"]))
        seen = UserSearches(
            one["variant"],
            1,
            "collection",
            1,
            group_of_unit(self.id, one["user"]),
            errors=one["errors"],
            log_ms=1.0,
            latencies=Counter((histogram.bucket_index(one["seconds"]),)),
        )
        before = self.batch.people.setdefault(person, seen)
        if before is not seen:
            before.merge(seen)

    # --- at the end -------------------------------------------------------------------------------

    def check(self) -> None:
        names = {unit_of_user(self.id, user): user for user in USERS}
        with self.world.services.sessions() as session:
            exposures = session.scalars(
                select(ExposureRow).where(ExposureRow.experiment_id == self.id)
            ).all()
            sums = session.scalars(select(UnitSum).where(UnitSum.experiment_id == self.id)).all()
            spec = ExperimentSpec.model_validate(session.get_one(Experiment, self.id).spec)
            read = evidence.read_evidence(session, self.id, spec, self.now)
        assert {
            names[row.unit]: (row.variant, row.closes_at) for row in exposures
        } == self.model.arms
        assert {names[row.unit] for row in exposures if row.crossed} == self.model.crossed
        found = {(row.metric, names[row.unit]): [row.count, row.total] for row in sums}
        assert found == self.model.sums
        for row in sums:
            assert (row.variant, row.closes_at) == self.model.arms[names[row.unit]]
        ended = {user for user, (_, closes) in self.model.arms.items() if closes <= self.now}
        self._check_reading(read.now, set(self.model.arms))
        self._check_reading(read.closed, ended)

    def _check_reading(self, reading: evidence.Observations, users: set[str]) -> None:
        for variant in VARIANTS:
            mine = sorted(user for user in users if self.model.arms[user][0] == variant)
            assert reading.units_of(variant) == len(mine)
            if not mine:
                continue
            for metric in ("latency", "errors", "clicks", "relevance"):
                rows = [self.model.sums.get((metric, user), (0.0, 0.0)) for user in mine]
                assert reading.sums[metric][variant, 1] == Sums.of(
                    [t for _, t in rows], [n for n, _ in rows]
                )
            saved = [self.model.sums.get(("saved", user), (0.0, 0.0))[1] > 0 for user in mine]
            assert reading.sums["saved"][variant, 1].total == sum(saved)
            for metric in ("latency_p95", "dwell"):
                self._check_sketch(reading.sketches[metric][variant, 1].columns(), metric, mine)

    def _check_sketch(self, columns: Any, metric: str, users: list[str]) -> None:
        expected: Counter[tuple[int, int]] = Counter()
        for user in users:
            for bucket, calls in self.model.cells.get((metric, user), Counter()).items():
                expected[group_of_unit(self.id, user), bucket] += calls
        found = zip(
            columns.groups.tolist(), columns.buckets.tolist(), columns.calls.tolist(), strict=True
        )
        assert {(place, bucket): calls for place, bucket, calls in found} == expected


def test_sums_are_those_of_a_plain_model_in_any_order(
    world: World, effort: Callable[[int, int], int]
):
    for collection in ("a", "b"):
        world.store.create(collection, SCHEMA, {})

    @settings(max_examples=effort(60, 2000))
    @given(stories)
    def holds(acts: list[dict[str, Any]]) -> None:
        story = Story(world)
        story.told(acts)
        story.check()

    holds()
