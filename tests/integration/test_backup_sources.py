"""Deployments from the records of a backup, on a real server: their results, and that nothing is
left over."""

import shutil
from dataclasses import replace

import pytest

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.collections import lineage
from qdrant_rollouts.core.collections.deletion import deletions, garbage_collection
from qdrant_rollouts.core.deployments import backups, commands
from qdrant_rollouts.core.deployments.commands import rebuilding, validating
from qdrant_rollouts.core.deployments.commands.planning import plan_deployment
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.ports import Point
from tests.backups import back_up, through
from tests.world import DIMENSION, World, texts

SOAK = {"seconds": 1, "interval_seconds": 1}
OTHER = {"model": f"hashing:{DIMENSION // 2}", "text": "{id}: {text}"}
PLAN = ["unpack", "create", "populate", "validate", "catch_up", "discard", "switch", "soak"]


@pytest.fixture
def world(tmp_path, qdrant_url, qdrant_grpc_port, ready_sqlite_url):
    made = World(tmp_path, ready_sqlite_url, ServerStore(qdrant_url, "", qdrant_grpc_port))
    made.change_services(times=replace(made.services.times, ready_look=0.1))
    yield made
    made.close()


@pytest.fixture(scope="module")
def shelved(tmp_path_factory):
    """A folder for the one backup of this module."""
    return tmp_path_factory.mktemp("shelved")


@pytest.fixture
def backup(world, shelved):
    """Of 70 records. Another installation has made it, and no row here knows it; ``docs`` is
    declared and not there."""
    if not any(shelved.iterdir()):
        serve(world)
        made = back_up(world, "docs")
        shutil.copytree(world.folder / "backups" / made, shelved / made)
        world.store.drop(world.store.aliases()["docs"])
    [kept] = shelved.iterdir()
    shutil.copytree(kept, world.folder / "backups" / kept.name, dirs_exist_ok=True)
    world.declare("docs", soak=SOAK)
    return kept.name


def serve(world):
    world.declare("docs", source=world.write("docs.jsonl", texts(70)), soak=SOAK)
    seen = through(world, world.deploy("docs"))
    assert seen["status"] == "live", seen["message"]


def recovered(world):
    """Collections that a backup was recovered into to be read."""
    return {name for name in world.store.collections() if "_source_" in name}


def test_a_plan_counts_a_backup_and_leaves_the_way_open_until_it_is_restored(world, backup):
    before = world.store.collections()
    told = plan_deployment(world.services, "docs", source=f"backup:{backup}")
    assert told["steps"] == [step for step in PLAN if step != "catch_up"]
    assert (told["way"], told["texts"]["value"]) == (None, None)
    assert "its manifest counts 70 points" in told["why"]
    assert world.store.collections() == before


def points(world, collection):
    found, after = world.store.scroll(collection, None, 1000)
    assert after is None
    return {
        point.id: {key: value for key, value in point.payload.items() if key != "_rollouts"}
        for point in found
    }


def until(world, run, name):
    through(world, run, until=name)
    [collection] = recovered(world)
    return collection


# --- the way --------------------------------------------------------------------------------------


def test_a_backup_is_embedded_anew_with_another_model_and_template_and_goes_live(world, backup):
    world.declare("articles", embedding=OTHER, soak=SOAK)

    seen = through(world, world.deploy("articles", source=f"backup:{backup}"))

    assert seen["status"] == "live", seen["message"]
    assert [step["name"] for step in seen["steps"]] == PLAN
    assert (world.store.count("articles"), seen["gate"]["verdict"]) == (70, "pass")
    assert points(world, seen["green"]) == {record["id"]: record for record in texts(70)}
    assert world.store.schema(seen["green"])["params"]["vectors"]["size"] == DIMENSION // 2
    assert recovered(world) == set()


def test_only_the_backup_is_known_as_the_source(world, backup):
    seen = through(world, world.deploy("docs", source=f"backup:{backup}"))

    facts = lineage.list_versions(world.services, "docs")["versions"][0]
    assert (facts["collection"], facts["live"]) == (seen["green"], True)
    assert (seen["source"], facts["source"]) == (f"backup:{backup}", f"backup:{backup}")
    assert facts["fingerprint"].startswith(f"backup:{backup} ")
    assert "_source_" not in str(world.store.metadata(seen["green"]))


def test_unchanged_settings_take_the_vectors_as_they_are_though_nothing_serves(world, backup):
    seen = through(world, world.deploy("docs", source=f"backup:{backup}"))

    assert seen["status"] == "live", seen["message"]
    assert world.step(seen["id"], "populate")["output"]["way"] == "snapshot"
    assert world.store.count("docs") == 70
    assert world.step(seen["id"], "create")["message"].startswith(
        f"cloned from backup:{backup}; room: "
    )
    assert recovered(world) == set()


def test_a_bad_record_is_named_by_the_backup_and_its_point(world, backup):
    world.declare("articles", embedding={**OTHER, "text": "{title}"}, soak=SOAK)

    seen = through(world, world.deploy("articles", source=f"backup:{backup}"))

    assert seen["status"] == "rolled_back"
    assert f"backup:{backup}, point 0: title: missing" in seen["message"]
    assert recovered(world) == set()


def test_a_canary_reads_a_backup_too_and_drops_it_before_its_first_stage(world, backup):
    serve(world)
    stages = [{"percentage": 50, "duration_minutes": 1}]
    world.declare(
        "docs", strategy="canary", canary={"stages": stages}, source=f"backup:{backup}", soak=SOAK
    )

    run = world.deploy("docs")

    names = [step["name"] for step in world.status(run)["steps"]]
    assert names == [
        "unpack",
        "create",
        "populate",
        "validate",
        "catch_up",
        "discard",
        "shift",
        "switch",
        "soak",
    ]
    commands.request_action(world.services, run, Event.ABORT, actor="anna")
    assert through(world, run)["status"] == "rolled_back"


def test_a_rebuild_from_the_backup_that_serves_has_nothing_to_do_until_another_model_is_declared(
    world, backup
):
    world.declare("docs", source=f"backup:{backup}", soak=SOAK)
    live = through(world, rebuilding.rebuild_index(world.services, "docs", actor="anna"))["green"]

    same = rebuilding.rebuild_index(world.services, "docs", actor="anna")
    assert isinstance(same, rebuilding.Unchanged)
    assert (same.collection, recovered(world)) == (live, set())

    world.declare("docs", source=f"backup:{backup}", soak=SOAK, embedding=OTHER)
    assert (
        through(world, rebuilding.rebuild_index(world.services, "docs", actor="anna"))["status"]
        == "live"
    )


# --- what is refused ------------------------------------------------------------------------------


def test_a_backup_that_is_not_there_or_cannot_be_recovered_is_refused_before_anything_is_changed(
    world, backup
):
    folder = world.folder / "backups" / backup
    before = queries.list_deployments(world.services)
    with pytest.raises(
        Refused, match=r"there is no backup nothing .*`rollouts backup list` shows them"
    ):
        world.deploy("docs", source="backup:nothing")
    [snapshot] = folder.glob("*.snapshot")
    snapshot.write_bytes(snapshot.read_bytes()[:-1])
    with pytest.raises(
        Refused, match=f"backup {backup} is damaged: .* were written. Take another one"
    ):
        world.deploy("docs", source=f"backup:{backup}")
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(
        Refused, match=f"backup {backup} is damaged: its manifest is not as it was sealed"
    ):
        world.deploy("docs", source=f"backup:{backup}")
    assert queries.list_deployments(world.services) == before


def test_a_backup_with_a_changed_byte_is_rejected_and_leaves_no_collection(world, backup):
    before = world.store.collections()
    [snapshot] = (world.folder / "backups" / backup).glob("*.snapshot")
    content = bytearray(snapshot.read_bytes())
    content[1000] ^= 1
    snapshot.write_bytes(content)

    seen = through(world, world.deploy("docs", source=f"backup:{backup}"))

    assert seen["status"] == "rolled_back"
    assert f"unpack failed: backup {backup} is damaged" in seen["message"]
    assert world.store.collections() == before


# --- what is in use, and what is left over --------------------------------------------------------


def test_what_is_read_is_neither_an_orphan_nor_a_leftover_and_cannot_be_deleted(world, backup):
    run = world.deploy("docs", source=f"backup:{backup}")
    reading = until(world, run, "unpack")

    seen = garbage_collection.collect_garbage(world.services, actor="anna", orphans=True)
    assert reading not in {one["collection"] for one in (*seen["orphans"], *seen["leftovers"])}
    with world.services.sessions() as session:
        assert deletions.find_uses(world.services, session, reading) == [
            f"deployment {run} of docs uses it"
        ]
    assert through(world, run)["status"] == "live"


def test_the_collection_it_is_to_be_read_from_is_called_as_no_version_is(world, backup):
    run = world.deploy("docs", source=f"backup:{backup}")
    world.declare("docs_source", source=world.write("other.jsonl", texts(3)))
    other = world.status(world.deploy("docs_source"))[
        "green"
    ]  # in the same second, and nothing is made yet

    [step] = [step for step in world.status(run)["steps"] if step["name"] == "unpack"]
    assert step["arguments"]["collection"].startswith("docs_source_")
    assert other == f"{step['arguments']['collection']}_2"


def test_gc_names_and_deletes_what_a_deployment_that_has_ended_left(world, backup):
    run = world.deploy("docs", source=f"backup:{backup}")
    reading = until(world, run, "unpack")
    commands.request_action(world.services, run, Event.ABORT, actor="anna")
    through(world, run)
    assert recovered(world) == set()
    world.store.create(
        reading, {"params": {"vectors": {"size": 2, "distance": "Dot"}}}, {}
    )  # the server was late

    [left] = garbage_collection.collect_garbage(world.services, actor="anna", dry_run=True)[
        "leftovers"
    ]
    assert (left["collection"], left["run"], left["backup"]) == (
        reading,
        f"deployment {run}",
        backup,
    )
    garbage_collection.collect_garbage(world.services, actor="anna")
    assert recovered(world) == set()


def test_no_backup_is_thinned_away_that_is_read_or_that_an_index_is_rebuilt_from(world, backup):
    serve(world)
    second = back_up(world, "docs")
    reading = world.deploy("docs", source=f"backup:{backup}")
    world.declare("articles", source=f"backup:{second}", embedding=OTHER)
    back_up(world, "docs")

    through(world, backups.create_backup(world.services, "docs", actor="anna", keep=1))
    assert {backup, second} <= set(world.services.shelf.backups())
    assert through(world, reading)["status"] == "live"

    del world.indexes["articles"]
    last = through(world, backups.create_backup(world.services, "docs", actor="anna", keep=1))["id"]
    assert world.services.shelf.backups() == [last]


def test_an_index_file_that_cannot_be_read_costs_no_backup(world, backup):
    serve(world)
    run = backups.create_backup(world.services, "docs", actor="anna", keep=1)

    def unreadable():
        raise Refused("rollouts.yaml: cannot be read")

    world.change_services(indexes=unreadable)
    seen = through(world, run)

    assert (seen["status"], sorted(world.services.shelf.backups())) == (
        "live",
        sorted([backup, run]),
    )
    assert "no older one is removed: rollouts.yaml: cannot be read" in seen["message"]


def test_the_gate_looks_again_where_it_was_held_and_the_backup_is_still_there(world, backup):
    """It holds up what is not half as large as live."""
    serve(world)
    more = [Point(1000 + number, [1.0] * DIMENSION, {"text": "new"}) for number in range(100)]
    world.store.upsert(world.store.aliases()["docs"], more)
    run = world.deploy("docs", source=f"backup:{backup}")
    held = through(world, run, until="paused")

    commands.request_action(world.services, run, Event.RETRY, actor="anna")
    again = through(world, run, until="paused") if world.turn(world.broker.take_next()) else held

    assert (held["gate"]["attempt"], again["gate"]["attempt"], len(recovered(world))) == (1, 2, 1)
    commands.request_action(world.services, run, Event.PROMOTE, actor="anna")
    assert through(world, run)["status"] == "live"
    assert recovered(world) == set()


# --- afterwards -----------------------------------------------------------------------------------


def test_the_gate_of_what_serves_needs_the_backup_no_more(world, backup):
    seen = through(world, world.deploy("docs", source=f"backup:{backup}"))
    world.services.shelf.drop(backup)

    report = validating.validate_collection(world.services, "docs", seen["green"])

    assert report["verdict"] == "pass"
    assert "round_trip" not in {check["name"] for check in report["checks"]}
