"""The numbers of /metrics, on SQLite and on PostgreSQL, compared with what really happened."""

import math
from datetime import timedelta

import pytest
from sqlalchemy import update

from qdrant_rollouts.core.alerts import outbox
from qdrant_rollouts.core.alerts.outbox import Alert
from qdrant_rollouts.core.collections.deletion import deletions
from qdrant_rollouts.core.database.experiment_rows import Experiment
from qdrant_rollouts.core.database.models import Deployment, RouteRow, SearcherRow, ServiceClock
from qdrant_rollouts.core.database.schedule_rows import Schedule
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.lifecycle import Event, Status
from qdrant_rollouts.core.operations.views import metrics
from tests.saved_worlds import SavedWorlds
from tests.world import World, texts

STAGES = [{"percentage": 25, "duration_minutes": 2}, {"percentage": 100, "duration_minutes": 0}]


def deploy_docs(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)), canary={"stages": STAGES})
    world.deploy("docs")
    world.run()


@pytest.fixture
def docs(world: World, saved_worlds: SavedWorlds) -> World:
    """A live index."""
    saved_worlds.begin(world, deploy_docs)
    return world


def taken(world: World, name: str) -> dict:
    found = metrics.read_metrics(world.services)[name]
    assert found.left_out == 0
    return dict(found.samples)


def write(world: World, *rows) -> None:
    with world.services.sessions.begin() as session:
        session.add_all(rows)


def test_a_database_in_which_nothing_has_happened_has_every_number(world):
    figures = {
        name: dict(found.samples) for name, found in metrics.read_metrics(world.services).items()
    }
    assert figures.keys() == metrics.METRICS.keys()
    assert figures["sweep_age_seconds"] == {(): math.inf}
    assert figures["alerts_firing"] == {("info",): 0, ("warn",): 0, ("error",): 0}
    assert figures["gate_verdicts"] == {("pass",): 0, ("block",): 0, ("inconclusive",): 0}
    assert figures["experiments"][("running",)] == 0
    assert figures["deletions"] == {("scheduled",): 0, ("due",): 0, ("overdue",): 0}
    assert figures["deployments"] == figures["backup_age_seconds"] == {}


def test_labels_are_as_many_as_their_values(docs):
    for name, found in metrics.read_metrics(docs.services).items():
        assert all(
            len(labels) == len(metrics.METRICS[name].labels) for labels, _ in found.samples
        ), name


def test_each_end_is_told_by_how_it_came(docs):
    docs.deploy("docs", options={"validation": {"queries": ["asyncio"], "min_top_score": 0.999}})
    docs.run()
    stopped = docs.deploy("docs")
    docs.run(until=docs.at(stopped, "populate"))
    commands.request_action(docs.services, stopped, Event.ABORT, actor="anna")
    docs.run()
    full = docs.deploy("docs", strategy="canary")
    docs.run(until=docs.at(full, "shift"))
    commands.request_action(
        docs.services, full, Event.PROMOTE_FULL, actor="anna", reason="it burns"
    )
    docs.run()
    running = docs.deploy("docs")
    assert taken(docs, "deployments_ended") == {
        ("rollout", "blue_green", "promoted"): 1,
        ("rollout", "blue_green", "failed"): 1,
        ("rollout", "blue_green", "aborted"): 1,
        ("rollout", "canary", "fast_promoted"): 1,
    }
    assert taken(docs, "deployments")[("rollout", "blue_green", "pending")] == 1
    assert docs.status(running)["status"] == "pending"
    verdicts = taken(docs, "gate_verdicts")
    assert (verdicts[("pass",)], verdicts[("block",)]) == (2, 1)


def test_durations_are_of_steps_that_ended_lately(docs):
    seconds = taken(docs, "step_duration_seconds")
    steps = {step["name"] for step in docs.status(_only(docs))["steps"]}
    assert {name for name, _ in seconds} == steps
    assert seconds[("soak", "1")] >= 1
    assert seconds[("soak", "0.5")] <= seconds[("soak", "0.95")] <= seconds[("soak", "1")]
    docs.clock.move(metrics.WINDOW.total_seconds() + 60)
    assert taken(docs, "step_duration_seconds") == {}


def _only(world: World) -> str:
    with world.services.sessions() as session:
        return session.query(Deployment.id).scalar()


def test_ages_grow_and_what_never_was_is_infinitely_old(docs):
    docs.clock.move(90)
    assert taken(docs, "last_live_age_seconds") == {("docs",): 90}
    assert taken(docs, "backup_age_seconds") == {("docs",): math.inf}
    for kind in ("backup", "verification"):
        write(docs, _run("docs", kind, docs.clock.moment - timedelta(hours=5)))
    assert taken(docs, "backup_age_seconds") == {("docs",): 5 * 3600}
    assert taken(docs, "backup_verified_age_seconds") == {("docs",): 5 * 3600}


def _run(alias: str, kind: str, finished, number: int = 0) -> Deployment:
    return Deployment(
        id=f"{kind}-{alias}",
        alias=alias,
        kind=kind,
        strategy=kind,
        status=Status.LIVE,
        green=alias,
        spec={},
        actor="anna",
        number=number,
        created_at=finished,
        finished_at=finished,
        wake_at=finished,
    )


def test_a_share_is_confirmed_once_every_living_process_serves_it(docs):
    assert taken(docs, "route_set_basis_points") == {}
    canary = docs.deploy("docs", strategy="canary")
    docs.run(until=docs.at(canary, "shift"))
    docs.turn(docs.broker.take_next())
    assert taken(docs, "route_set_basis_points") == {("docs",): 2500}
    assert taken(docs, "route_confirmed_basis_points") == {}
    with docs.services.sessions() as session:
        version = session.get_one(RouteRow, "docs").version
    now = docs.clock.moment
    write(docs, SearcherRow(process="new", alias="docs", version=version, seen_at=now))
    write(docs, SearcherRow(process="old", alias="docs", version=version - 1, seen_at=now))
    write(
        docs,
        SearcherRow(process="dead", alias="docs", version=0, seen_at=now - timedelta(minutes=1)),
    )
    assert taken(docs, "route_searchers") == {("docs", "serving"): 1, ("docs", "behind"): 1}
    assert taken(docs, "route_confirmed_basis_points") == {}
    with docs.services.sessions.begin() as session:
        session.execute(
            update(SearcherRow).values(version=version).where(SearcherRow.process == "old")
        )
    assert taken(docs, "route_confirmed_basis_points") == {("docs",): 2500}


def test_deletions_are_scheduled_then_due_then_overdue(docs):
    with docs.services.sessions.begin() as session:
        deletions.schedule_deletion(session, docs.clock.moment, "old_one", 1, reason="a test")
    states = []
    for _ in range(3):
        states.append(next(state for (state,), count in taken(docs, "deletions").items() if count))
        docs.clock.move(61 if len(states) == 1 else 121)
    assert states == ["scheduled", "due", "overdue"]


def test_a_sweep_is_as_old_as_the_last_one(docs):
    write(docs, ServiceClock(id=1, elapsed=0.0, last=docs.clock.moment))
    docs.clock.move(42)
    assert taken(docs, "sweep_age_seconds") == {(): 42}


def test_schedules_alerts_and_experiments_are_counted(docs):
    now = docs.clock.moment
    on = Schedule(
        alias="docs", action="rebuild", spec={"cron": "0 2 * * *"}, waiting_since=now, told_at=now
    )
    paused = Schedule(
        alias="docs",
        action="verify",
        spec={"cron": "0 3 * * *"},
        waiting_since=now,
        paused_by="anna",
    )
    experiment = Experiment(
        id="e1",
        name="e",
        route="docs",
        status="running",
        spec={},
        actor="anna",
        created_at=now,
        started_at=now,
    )
    write(docs, on, paused, experiment)
    with docs.services.sessions.begin() as session:
        outbox.record_alert(session, now, Alert("docs", "schedule.rebuild_late", "late"))
    docs.clock.move(60)
    assert taken(docs, "schedule_success_age_seconds") == {("docs", "rebuild"): 60}
    assert taken(docs, "schedule_late") == {("docs", "rebuild"): 1}
    assert taken(docs, "alerts_firing")[("error",)] == 1
    assert taken(docs, "alert_lasting_seconds") == {("docs", "schedule.rebuild_late"): 60}
    assert taken(docs, "experiments")[("running",)] == 1


def test_no_more_than_so_many_aliases_are_named_and_the_rest_are_counted(world):
    now = world.clock.moment
    write(
        world, *(_run(f"index_{number:05d}", "rollout", now) for number in range(metrics.MOST + 7))
    )
    found = metrics.read_metrics(world.services)["last_live_age_seconds"]
    assert (len(found.samples), found.left_out) == (metrics.MOST, 7)
