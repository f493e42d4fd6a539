"""How long versions are kept, what is collected, and what only a person may delete."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from qdrant_rollouts.core.collections.deletion import deletions as retention
from qdrant_rollouts.core.collections.deletion import garbage_collection, retention_policy
from qdrant_rollouts.core.database.models import Deployment, StepRow
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.ports import Schema
from tests.contract.test_aliases import later
from tests.world import World, texts

SCHEMA: Schema = {"params": {"vectors": {"size": 4, "distance": "Cosine"}}, "payload_schema": {}}
ORPHAN = "docs_20250101_020000"


def index(world: World, **settings: Any) -> None:
    world.declare("docs", source="jsonl:docs.jsonl", **settings)


def deployed(world: World, times: int = 1) -> list[str]:
    """The greens of so many deployments, the oldest first, a day apart."""
    greens = []
    for _ in range(times):
        world.clock.move(86_400)
        world.write("docs.jsonl", texts(20))
        greens.append(str(world.status(world.deploy("docs"))["green"]))
        world.run()
        assert world.store.aliases()["docs"] == greens[-1]
    return greens


def scheduled(world: World) -> dict[str, str]:
    rows = queries.list_deletions(world.services)
    return {row["collection"]: row["delete_after"] for row in rows if row["status"] == "scheduled"}


def collect(world: World, **arguments: Any) -> dict[str, Any]:
    return garbage_collection.collect_garbage(world.services, actor="anna", **arguments)


# --- retention ------------------------------------------------------------------------------------


def test_without_retention_the_version_before_goes_after_the_grace_period(world: World) -> None:
    index(world)
    first, second = deployed(world, 2)
    assert set(scheduled(world)) == {first}
    later(world, 61)
    assert world.store.collections() == {second}


def test_the_last_versions_are_kept_and_older_ones_go(world: World) -> None:
    index(world, retention={"versions": 3})
    first, second, third, fourth = deployed(world, 4)
    assert set(scheduled(world)) == {first}
    later(world, 61)
    assert world.store.collections() == {second, third, fourth}


def test_a_kept_version_can_be_rolled_back_to_and_the_live_one_is_never_written_down(
    world: World,
) -> None:
    index(world, retention={"versions": 2})
    first, second, third = deployed(world, 3)
    assert set(scheduled(world)) == {first}
    commands.start_rollback(world.services, "docs", actor="anna")
    world.run()
    assert world.store.aliases()["docs"] == second
    assert set(scheduled(world)) == {first}
    later(world, 61)
    assert world.store.collections() == {second, third}


def test_versions_are_kept_for_days_after_they_were_replaced(world: World) -> None:
    index(world, retention={"days": 30})
    first, second, _ = deployed(world, 3)
    due = scheduled(world)
    assert set(due) == {first, second}
    replaced = {
        row["blue"]: row["finished_at"]
        for row in queries.list_deployments(world.services)
        if row["blue"]
    }
    assert {name: due[name][:10] for name in due} == {
        name: _day_after(replaced[name], 30) for name in due
    }


def test_one_of_the_last_is_kept_though_its_days_are_over_and_so_is_a_recent_one_beyond_the_last(
    world: World,
) -> None:
    index(world, retention={"versions": 2, "days": 0.5})
    first, second, _ = deployed(world, 3)
    # The second has its turn when a fourth serves; the first was replaced a day before and had half
    # a day.
    assert set(scheduled(world)) == {first}
    world.clock.move(86_400 * 2)
    deployed(world)
    assert set(scheduled(world)) == {first, second}


def test_what_a_person_keeps_is_not_written_down_again(world: World) -> None:
    index(world, retention={"versions": 1})
    first, second = deployed(world, 2)
    answer = retention_policy.keep_collection(
        world.services, first, actor="anna", reason="to compare"
    )
    assert answer == {"collection": first, "status": "kept"}
    (third,) = deployed(world)
    assert set(scheduled(world)) == {second}
    assert collect(world)["over"] == []
    later(world, 61)
    assert world.store.collections() == {first, third}
    assert commands.safe_delete_collection(
        world.services, first, grace_period_minutes=0, actor="anna"
    )["scheduled"]
    later(world, 1)
    assert world.store.collections() == {third}


def test_keeping_what_nobody_deletes_is_refused(world: World) -> None:
    index(world)
    (first,) = deployed(world)
    with pytest.raises(Refused, match=f"no deletion of {first} is scheduled"):
        retention_policy.keep_collection(world.services, first, actor="anna")


@pytest.mark.parametrize("retention", [{"versions": 0}, {"days": 0}, {"days": 4000}, {"weeks": 1}])
def test_a_retention_that_makes_no_sense_is_refused_by_its_path(
    world: World, retention: dict[str, Any]
) -> None:
    index(world)
    deployed(world)
    with pytest.raises(Refused, match=f"retention.{next(iter(retention))}"):
        world.deploy("docs", options={"retention": retention})


# --- gc -------------------------------------------------------------------------------------------


def test_gc_applies_a_retention_that_came_later_and_a_dry_run_changes_nothing(world: World) -> None:
    index(world, retention={"versions": 4})
    first, second, third = deployed(world, 3)
    assert scheduled(world) == {}
    index(world, retention={"versions": 2})
    for _ in range(2):
        seen = collect(world, dry_run=True)
        assert [one["collection"] for one in seen["over"]] == [first]
        assert scheduled(world) == {}
    collect(world)
    # It was replaced a day ago, so that its hour is over.
    assert world.store.collections() == {second, third}
    assert collect(world)["over"] == []


def test_gc_leaves_what_is_used_alone(world: World) -> None:
    index(world, retention={"versions": 3})
    first, second = deployed(world, 2)
    commands.create_alias(world.services, "old", first, actor="anna")
    index(world, retention={"versions": 1})
    assert collect(world)["over"] == []
    later(world, 61)
    assert world.store.collections() == {first, second}


def test_gc_says_what_is_due_and_who_uses_it(world: World) -> None:
    index(world)
    first, _ = deployed(world, 2)
    world.clock.move(7200)
    assert [(one["collection"], one["used_by"]) for one in collect(world, dry_run=True)["due"]] == [
        (first, [])
    ]
    world.store.point_alias("old", first)
    assert collect(world, dry_run=True)["due"][0]["used_by"] == ["alias old points to it"]


# --- orphans --------------------------------------------------------------------------------------


def test_orphans_are_listed_and_stay_until_a_person_says_so(world: World) -> None:
    index(world)
    (live,) = deployed(world)
    for name in (ORPHAN, "notes"):
        world.store.create(name, SCHEMA, {})
    for answer in (collect(world, dry_run=True), collect(world)):
        assert [one["collection"] for one in answer["orphans"]] == [ORPHAN]
    later(world, 120)
    assert world.store.collections() == {live, ORPHAN, "notes"}
    collect(world, orphans=True)
    collect(world, orphans=True)
    later(world, 30)
    assert ORPHAN in world.store.collections()
    later(world, 31)
    assert world.store.collections() == {live, "notes"}


def test_an_orphan_that_is_used_or_kept_is_not_deleted(world: World) -> None:
    used = ORPHAN
    kept = "docs_20250102_020000_2"
    for name in (used, kept):
        world.store.create(name, SCHEMA, {})
    world.store.point_alias("theirs", used)
    collect(world, orphans=True)
    assert set(scheduled(world)) == {kept}
    retention_policy.keep_collection(world.services, kept, actor="anna")
    answer = collect(world, orphans=True)
    assert [one["deletion"] for one in answer["orphans"]] == [None, "kept"]
    later(world, 61)
    assert world.store.collections() == {used, kept}


def test_an_orphan_that_is_taken_into_use_in_its_last_hour_stays(world: World) -> None:
    world.store.create(ORPHAN, SCHEMA, {})
    collect(world, orphans=True)
    world.store.point_alias("theirs", ORPHAN)
    later(world, 61)
    assert world.store.collections() == {ORPHAN}


def test_what_a_deployment_of_ours_is_building_is_no_orphan(world: World) -> None:
    index(world)
    world.write("docs.jsonl", texts(20))
    deployment = world.deploy("docs")
    world.run(until=world.at(deployment, "populate"))
    assert collect(world, dry_run=True)["orphans"] == []


# --- leftovers ------------------------------------------------------------------------------------


def verification(world: World, collection: str, status: str) -> None:
    """Its rows, as they are when it was killed after its upload, or has ended since."""
    step = StepRow(position=0, name="recover", queue="bulk", arguments={"backup": "b1"})
    begun(world, step, status, id="v1", kind="verification", green=collection)


def reading(world: World, collection: str, status: str) -> None:
    """The same of a deployment that has recovered a backup to read it."""
    step = StepRow(
        position=0,
        name="unpack",
        queue="bulk",
        arguments={"backup": "b1", "collection": collection},
    )
    begun(world, step, status, id="d1", kind="rollout", green="docs_20250101_040000")


def begun(world: World, step: StepRow, status: str, **settings: Any) -> None:
    row = Deployment(alias="docs", strategy="any", steps=[step], **settings)
    row.status = status
    row.actor = "anna"
    row.spec = {}
    row.number = 1
    row.created_at = row.wake_at = world.clock.moment
    with world.services.sessions.begin() as session:
        session.add(row)


def test_what_a_verification_has_left_over_is_no_orphan_and_goes_when_it_has_ended(
    world: World,
) -> None:
    left = "docs_verify_20250101_020000"
    other = "docs_verify_20250101_030000"
    for name in (left, other):
        world.store.create(name, SCHEMA, {})
    verification(world, left, "running")
    during = collect(world)
    assert (during["leftovers"], [one["collection"] for one in during["orphans"]]) == ([], [other])
    with world.services.sessions.begin() as session:
        session.execute(update(Deployment).values(status="rolled_back"))
    seen = collect(world, dry_run=True)["leftovers"]
    assert [(one["collection"], one["run"], one["backup"], one["points"]) for one in seen] == [
        (left, "verification v1", "b1", 0)
    ]
    assert world.store.collections() == {left, other}
    assert collect(world, reason="space")["deleted"] == [f"{left} deleted"]
    assert world.store.collections() == {other}
    assert collect(world)["leftovers"] == []


def test_what_a_deployment_reads_a_backup_from_is_in_use_and_left_over_when_it_has_ended(
    world: World,
) -> None:
    left = "docs_source_20250101_020000"
    world.store.create(left, SCHEMA, {})
    reading(world, left, "running")
    during = collect(world, orphans=True)
    assert (during["leftovers"], during["orphans"]) == ([], [])
    with world.services.sessions() as session:
        assert retention.find_uses(world.services, session, left) == [
            "deployment d1 of docs uses it"
        ]
    with world.services.sessions.begin() as session:
        session.execute(update(Deployment).values(status="live"))
    [seen] = collect(world)["leftovers"]
    assert (seen["collection"], seen["run"], seen["backup"]) == (left, "deployment d1", "b1")
    assert world.store.collections() == set()


def test_a_leftover_that_is_used_is_not_deleted(world: World) -> None:
    left = "docs_verify_20250101_020000"
    world.store.create(left, SCHEMA, {})
    verification(world, left, "live")
    world.store.point_alias("theirs", left)
    assert collect(world)["leftovers"][0]["used_by"] == ["alias theirs points to it"]
    later(world, 61)
    assert world.store.collections() == {left}


def _day_after(moment: str, days: int) -> str:
    return (datetime.fromisoformat(moment) + timedelta(days=days)).date().isoformat()


class TwoSweeps:
    """A store at whose first drop another sweep comes by and carries out all that is due."""

    def __init__(self, world: World) -> None:
        self._store = world.store
        self._services = world.services
        self._came = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def drop(self, collection: str) -> None:
        if not self._came:
            self._came = True
            retention.delete_due(self._services)
        self._store.drop(collection)


def test_of_two_sweeps_that_delete_the_same_one_says_so(world: World) -> None:
    index(world)
    world.write("docs.jsonl", texts(20))
    old = deployed(world)[0]
    with world.services.sessions.begin() as session:
        now = world.clock.now(session)
        world.store.create("spare", SCHEMA, {})
        retention.schedule_deletion(session, now, "spare", 0.0, reason="not needed")
    world.over(TwoSweeps(world))  # type: ignore[arg-type]  # a double
    said = retention.delete_due(world.services)
    assert said == ["spare deleted"]
    assert "spare" not in world.store.collections()
    assert old in world.store.collections()
    told = [event["event"] for event in world.list_events()]
    assert told.count("deletion.deleted") == 1
