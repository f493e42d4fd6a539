"""Nights whose gate cannot tell: the next one takes the place of a paused rebuild, and people hear
of it once."""

from collections.abc import Callable
from typing import Any, cast

import pytest
from sqlalchemy import select

from qdrant_rollouts.core.collections import marks
from qdrant_rollouts.core.collections.deletion import retention_policy
from qdrant_rollouts.core.database.alert_rows import ConditionRow
from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.deployments import commands, engine
from qdrant_rollouts.core.deployments.alias_lock import find_open_deployment
from qdrant_rollouts.core.deployments.commands import InTransaction
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.experiments import commands as experiments
from qdrant_rollouts.core.lifecycle import FINAL, Event
from qdrant_rollouts.core.operations.schedules import deployments as scheduled
from qdrant_rollouts.core.operations.schedules import sweep
from qdrant_rollouts.core.operations.schedules.runs import load_run
from qdrant_rollouts.core.ports import VectorStore
from tests.schedules import NIGHTLY, Failing, at, declare, runs, swept, the_schedule
from tests.world import World, texts

#: A floor that nothing can be held to: without an answer in the stamp nobody can tell.
UNSURE = {"checks": {"judged_quality": True}}


@pytest.fixture
def paused(world: World) -> World:
    """The first night has paused, because its gate cannot tell."""
    begin(world, validation=UNSURE)
    night(world, 2)
    assert held(world)["status"] == "paused"
    return world


def begin(world: World, **settings: Any) -> None:
    """``docs`` is declared and known at noon before the first night."""
    at(world, "2026-11-01T12:00")
    declare(world, **settings)
    sweep.sweep_schedules(world.services)


def night(world: World, day: int) -> None:
    """Two o'clock, and everything that follows."""
    at(world, f"2026-11-{day:02d}T02:00")
    for _ in range(3):
        swept(world)
        engine.knock_overdue_turns(world.services)
        world.run()


def held(world: World) -> dict[str, Any]:
    """The deployment of the newest run."""
    deployment = the_schedule(world)["runs"][0]["deployment_id"]
    return world.status(deployment)


def told(world: World) -> list[tuple[str, str]]:
    return [
        (notice.what, notice.state)
        for notice in world.told()
        if notice.what.startswith("deployment.") and notice.severity != "info"
    ]


def condition(world: World) -> ConditionRow | None:
    with world.services.sessions() as session:
        return session.scalars(select(ConditionRow)).one_or_none()


def test_a_paused_night_is_replaced_by_the_next_and_told_once(paused: World) -> None:
    first = held(paused)
    night(paused, 3)
    assert runs(paused) == [("11-02T02:00", "replaced"), ("11-03T02:00", "running")]
    gone = paused.status(first["id"])
    assert gone["status"] == "rolled_back"
    assert "replaced by the rebuild due 2026-11-03 02:00 UTC" in gone["message"]
    assert first["green"] not in paused.store.collections()
    assert held(paused)["status"] == "paused"
    night(paused, 4)
    assert told(paused) == [("deployment.inconclusive", "begun")]
    lasting = condition(paused)
    assert lasting is not None
    assert "3 times in a row since 2026-11-02 02:0" in lasting.message["text"]
    assert f"rollouts promote {held(paused)['id']}" in lasting.message["next"]


def canary_night(world: World, day: int) -> None:
    """Two o'clock, and everything that follows until a person is waited for. Nobody searches."""
    stages = [{"percentage": 5, "duration_minutes": 2}]
    declare(world, records=8 + day, strategy="canary", canary={"stages": stages})
    at(world, f"2026-11-{day:02d}T02:00")
    for _ in range(3):
        for run in sweep.sweep_schedules(world.services).open:
            sweep.take_up_run(world.services, run)
        engine.knock_overdue_turns(world.services)
        world.run(until=lambda: rests(world))


def rests(world: World) -> bool:
    with world.services.sessions() as session:
        rows = session.scalars(select(Deployment).where(Deployment.status.not_in(FINAL))).all()
        return all(row.status == "paused" and row.requested is None for row in rows)


def test_a_canary_that_lacked_searches_is_replaced_by_the_next_night_and_told_once(
    world: World,
) -> None:
    begin(world)
    night(world, 2)
    for day in (3, 4):
        canary_night(world, day)
        assert "searches of the 200 it needs" in held(world)["message"]
    assert runs(world)[-2:] == [("11-03T02:00", "replaced"), ("11-04T02:00", "running")]
    assert len(world.store.collections()) == 2, "blue, and the canary of the last night"
    assert told(world) == [("deployment.approval_needed", "begun")]
    commands.request_action(
        world.services, held(world)["id"], Event.PROMOTE, actor="anna", reason="tried by hand"
    )
    world.run()
    assert told(world)[1:] == [("deployment.approval_needed", "resolved")]


def test_a_canary_that_a_person_has_paused_is_not_replaced(world: World) -> None:
    begin(world)
    night(world, 2)
    canary_night(world, 3)
    deployment = held(world)["id"]
    for request in (Event.RETRY, Event.PAUSE):
        commands.request_action(world.services, deployment, request, actor="anna", reason="I look")
        world.run(until=lambda: not world.status(deployment)["requested"])
    canary_night(world, 4)
    assert runs(world)[-2:] == [("11-03T02:00", "running"), ("11-04T02:00", "skipped")]
    assert world.status(deployment)["status"] == "paused"


def test_the_night_whose_gate_can_tell_ends_the_alert(paused: World) -> None:
    declare(paused, records=12)
    night(paused, 3)
    assert runs(paused) == [("11-02T02:00", "replaced"), ("11-03T02:00", "done")]
    assert told(paused) == [
        ("deployment.inconclusive", "begun"),
        ("deployment.inconclusive", "resolved"),
    ]
    assert condition(paused) is None


@pytest.mark.parametrize(
    ("touch", "said"),
    [
        ("retry", "anna has touched it (retry.requested)"),
        ("keep", "anna has touched it (deletion.kept)"),
        ("mark", "anna has touched it (version.marked_bad)"),
    ],
)
def test_a_paused_night_that_a_person_has_touched_stays(
    paused: World, touch: str, said: str
) -> None:
    deployment = held(paused)
    if touch == "retry":
        commands.request_action(
            paused.services, deployment["id"], Event.RETRY, actor="anna", reason="again"
        )
        paused.run()
    elif touch == "keep":
        retention_policy.keep_collection(paused.services, deployment["green"], actor="anna")
    else:
        marks.mark_version(paused.services, "docs", "1", bad=True, actor="anna", reason="look")
    night(paused, 3)
    assert runs(paused) == [("11-02T02:00", "running"), ("11-03T02:00", "skipped")]
    assert the_schedule(paused)["runs"][0]["message"].endswith(said)
    assert paused.status(deployment["id"])["status"] == "paused"


def compare(world: World, collection: str) -> str:
    """A person prepares an experiment with the collection as treatment."""
    world.store.create("theirs", world.store.schema(collection), {})
    return experiments.create_experiment(
        world.services, "words", "theirs", [collection], actor="anna", start=False
    )


def point_to(world: World, collection: str) -> str:
    commands.create_alias(world.services, "preview", collection, actor="anna")
    return "alias preview points to it"


@pytest.mark.parametrize("use", [compare, point_to])
def test_a_paused_night_whose_collection_a_person_uses_stays(
    paused: World, use: Callable[[World, str], str]
) -> None:
    deployment = held(paused)
    said = use(paused, deployment["green"])
    night(paused, 3)
    assert runs(paused) == [("11-02T02:00", "running"), ("11-03T02:00", "skipped")]
    assert said in the_schedule(paused)["runs"][0]["message"]
    assert paused.status(deployment["id"])["status"] == "paused"


def test_a_paused_night_stays_while_nobody_can_say_what_uses_its_collection(
    paused: World,
) -> None:
    store = paused.store
    paused.over(cast("VectorStore", Failing(store, Unavailable("Qdrant is away"), "aliases")))
    night(paused, 3)
    assert runs(paused) == [("11-02T02:00", "running"), ("11-03T02:00", "skipped")]
    assert "cannot be asked: Qdrant is away" in the_schedule(paused)["runs"][0]["message"]
    paused.over(store)
    night(paused, 4)
    assert runs(paused)[0] == ("11-02T02:00", "replaced")


def test_an_abort_does_not_drop_what_an_experiment_compares(paused: World) -> None:
    deployment = held(paused)
    experiment = compare(paused, deployment["green"])
    commands.request_action(paused.services, deployment["id"], Event.ABORT, actor="anna")
    paused.run()
    status = paused.status(deployment["id"])
    assert status["status"] == "needs_operator"
    assert f"experiment {experiment} compares it" in status["message"]
    experiments.stop_experiment(paused.services, experiment, actor="anna")
    commands.request_action(paused.services, deployment["id"], Event.ABORT, actor="anna")
    paused.run()
    assert paused.status(deployment["id"])["status"] == "rolled_back"
    assert deployment["green"] not in paused.store.collections()


def test_what_a_person_started_is_not_replaced(world: World) -> None:
    begin(world, validation=UNSURE)
    manual = world.deploy("docs")
    world.run()
    night(world, 2)
    assert runs(world) == [("11-02T02:00", "skipped")]
    assert world.status(manual)["status"] == "paused"


def test_an_index_may_leave_its_paused_nights_to_people(world: World) -> None:
    begin(world, validation=UNSURE, rebuild={"cron": NIGHTLY, "if_paused": "skip"})
    night(world, 2)
    night(world, 3)
    assert runs(world) == [("11-02T02:00", "running"), ("11-03T02:00", "skipped")]
    assert "if_paused: skip" in the_schedule(world)["runs"][0]["message"]


def test_a_sweep_that_dies_after_the_replacement_leaves_nothing_undone(paused: World) -> None:
    """Nobody is knocked and nothing is taken up; the next sweeps find it all."""
    at(paused, "2026-11-03T02:00")
    sweep.sweep_schedules(paused.services)
    sweep.sweep_schedules(paused.services)
    assert runs(paused) == [("11-02T02:00", "replaced"), ("11-03T02:00", "due")]
    swept(paused)
    assert "waits: deployment" in the_schedule(paused)["runs"][0]["message"]
    night(paused, 3)
    assert runs(paused) == [("11-02T02:00", "replaced"), ("11-03T02:00", "running")]
    assert len(paused.store.collections()) == 1


def test_a_night_waits_although_what_refused_it_has_just_been_undone(paused: World) -> None:
    at(paused, "2026-11-03T02:00")
    (due,) = sweep.sweep_schedules(paused.services).open
    run = load_run(paused.services, due)
    assert run is not None

    def start(along: InTransaction, reason: str) -> str:
        try:
            return commands.start_deployment(paused.services, "docs", actor="schedule", along=along)
        except Refused:
            engine.knock_overdue_turns(paused.services)
            paused.run()
            raise

    for status in ("due", "running"):
        scheduled.begin_scheduled_run(paused.services, run, start, find_open_deployment)
        assert runs(paused) == [("11-02T02:00", "replaced"), ("11-03T02:00", status)]


def test_a_night_with_nothing_to_build_ends_the_alert_of_the_one_it_replaced(world: World) -> None:
    begin(world)
    night(world, 2)
    other = world.write("other.jsonl", texts(9))
    world.declare("docs", source=other, rebuild=NIGHTLY, validation=UNSURE)
    night(world, 3)
    assert held(world)["status"] == "paused"
    world.declare("docs", source="jsonl:docs.jsonl", rebuild=NIGHTLY)
    night(world, 4)
    assert runs(world)[-2:] == [("11-03T02:00", "replaced"), ("11-04T02:00", "unchanged")]
    assert condition(world) is None
