"""An experiment that cannot be looked at does not affect the others, and causes an alert while that
lasts."""

import pytest
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from qdrant_rollouts.core.database.experiment_rows import Experiment
from qdrant_rollouts.core.errors import Unavailable
from qdrant_rollouts.core.experiments import commands, interim_analysis
from tests.world import DIMENSION, World

SCHEMA = {"params": {"vectors": {"size": DIMENSION, "distance": "Cosine"}}, "payload_schema": {}}


@pytest.fixture
def ready_url(ready_sqlite_url):
    """Nothing here depends on the database."""
    return ready_sqlite_url


@pytest.fixture
def experiments(world: World) -> tuple[str, str]:
    """One on ``docs`` and one on ``shop``; the treatments are ``docs_b`` and ``shop_b``."""
    for alias in ("docs", "docs_b", "shop", "shop_b"):
        world.declare(alias)
        world.store.create(f"{alias}_1", SCHEMA, {})
        world.store.point_alias(alias, f"{alias}_1")
    live = world.store.aliases()
    options = {"min_days": 0, "window_hours": 1, "look_minutes": 1}
    docs, shop = (
        commands.create_experiment(
            world.services,
            f"of-{alias}",
            live[alias],
            [live[f"{alias}_b"]],
            actor="anna",
            options=options,
        )
        for alias in ("docs", "shop")
    )
    return docs, shop


class Failing:
    """A store that raises ``error`` for one collection, until it is None."""

    def __init__(self, store, collection, error):
        self.store = store
        self.collection = collection
        self.error = error

    def health(self, collection):
        if collection == self.collection and self.error:
            raise self.error
        return self.store.health(collection)

    def __getattr__(self, name):
        return getattr(self.store, name)


def looks(world, experiment):
    with world.services.sessions() as session:
        return session.get_one(Experiment, experiment).looks


def unseen(world):
    return [notice for notice in world.told() if notice.what == "experiment.unseen"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Unavailable("qdrant did not answer"), "could not be looked at: qdrant did not answer"),
        (
            OperationalError("SELECT 1", {"key": "s3cret"}, Exception("gone")),
            "unexpected OperationalError",
        ),
        (ZeroDivisionError("0"), "unexpected ZeroDivisionError, see the worker's log"),
    ],
)
def test_one_that_cannot_be_looked_at_keeps_no_other_from_it_and_is_told(
    world, experiments, error, said
):
    docs, shop = experiments
    failing = Failing(world.store, world.store.aliases()["docs_b"], error)
    world.over(failing)
    for _ in range(3):
        world.clock.move(61)
        lines = interim_analysis.check_due_experiments(world.services)
    assert (looks(world, docs), looks(world, shop)) == (0, 3)
    assert any(docs in line and said in line for line in lines)
    (begun,) = unseen(world)
    assert (begun.index, begun.state, begun.severity) == ("docs", "begun", "warn")
    assert said in begun.text
    assert "rollouts doctor" in begun.next
    assert "s3cret" not in begun.text + begun.reason

    failing.error = None
    for _ in range(2):
        world.clock.move(61)
        interim_analysis.check_due_experiments(world.services)
    assert looks(world, docs) == 2
    assert [notice.state for notice in unseen(world)] == ["begun", "resolved"]


def test_one_whose_settings_cannot_be_read_keeps_no_other_from_it(world, experiments):
    docs, shop = experiments
    with world.services.sessions.begin() as session:
        session.execute(
            update(Experiment).where(Experiment.id == docs).values(spec={"arms": "none"})
        )
    world.clock.move(61)
    interim_analysis.check_due_experiments(world.services)
    assert looks(world, shop) == 1
    assert "ExperimentSpec cannot be read (arms: " in unseen(world)[0].text


def test_one_that_is_stopped_unseen_is_told_of_no_longer(world, experiments):
    docs, _ = experiments
    world.over(Failing(world.store, world.store.aliases()["docs_b"], Unavailable("away")))
    world.clock.move(61)
    interim_analysis.check_due_experiments(world.services)
    commands.stop_experiment(world.services, docs, actor="bert", reason="enough")
    assert [(notice.state, notice.actor) for notice in unseen(world)] == [
        ("begun", "system"),
        ("resolved", "bert"),
    ]
