"""Backups on a real server: made, verified, damaged, restored, and killed at every place."""

import json
import time
from dataclasses import replace

import httpx
import numpy as np
import pytest
from sqlalchemy import func, select

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.adapters.shelf_remote import RemoteShelf
from qdrant_rollouts.core.collections import manifests
from qdrant_rollouts.core.collections.stamps import read_stamp
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.deployments import backups
from qdrant_rollouts.core.errors import OutcomeUnknown, Refused
from qdrant_rollouts.core.ports import Point
from qdrant_rollouts.tasks.factory import create_app
from qdrant_rollouts.wiring import PerProcess
from tests.backups import back_up, through
from tests.world import DIMENSION, World, texts


@pytest.fixture
def world(tmp_path, qdrant_url, qdrant_grpc_port, ready_sqlite_url):
    made = World(tmp_path, ready_sqlite_url, ServerStore(qdrant_url, "", qdrant_grpc_port))
    yield made
    made.close()


def serve(world, alias, count=70, **settings):
    """An index of ``count`` records that is live."""
    validation = {"queries": ["text asyncio python"], "min_top_score": 0.1}
    world.declare(
        alias, source=world.write(f"{alias}.jsonl", texts(count)), validation=validation, **settings
    )
    return through(world, world.deploy(alias))


def verified(world, **what):
    run = backups.verify_backup(world.services, **what, actor="anna")
    through(world, run)
    return backups.get_verification(world.services, run)


def restored(world, **what):
    return through(world, backups.restore_backup(world.services, **what, actor="anna"))


def names(world, alias):
    return {name for name in world.store.collections() if name.startswith(alias)}


def test_a_backup_is_its_files_and_a_manifest_and_leaves_nothing_on_the_server(world):
    live = serve(world, "docs")["green"]

    backup = back_up(world, "docs")

    [record] = backups.list_backups(world.services, "docs")
    assert record["backup_id"] == backup
    assert (record["status"], record["points"], record["collection"]) == ("done", 70, live)
    manifest = json.loads((world.folder / "backups" / backup / "manifest.json").read_text())
    [file] = manifest["files"]
    assert (world.folder / "backups" / backup / file["name"]).stat().st_size == file["size"]
    assert manifest["metadata"]["rollouts"]["alias"] == "docs"
    assert len(manifest["sample"]) == 70
    assert world.store.snapshots(live) == set()


def test_a_backup_command_whose_message_comes_twice_begins_one_run(world, ready_sqlite_url):
    serve(world, "docs")
    settings = Settings(_env_file=None, broker_url="memory://", database_url=ready_sqlite_url)
    app = create_app(settings, services=PerProcess(lambda: world.services))

    def send(name):
        return app.tasks[name].apply(kwargs={"alias_name": "docs"}, task_id=name).get()

    def count_runs():
        with world.services.sessions() as session:
            return session.scalar(select(func.count(Deployment.id)))

    for name, id in (
        ("backups.create", "backup_id"),
        ("backups.verify", "verification_id"),
        ("backups.restore", "deployment_id"),
    ):
        first = send(name)[id]
        assert through(world, first)["status"] in ("live", "completed")
        runs = count_runs()
        assert send(name)[id] == first
        assert count_runs() == runs


def test_what_a_backup_was_sent_to_the_server_as_does_not_stay_on_its_disk(world, qdrant_url):
    """Such a file has no checksum, and comes to light again under a new collection of the name it
    was sent for."""
    live = serve(world, "docs")["green"]
    backup = back_up(world, "docs")
    run = backups.verify_backup(world.services, backup=backup, actor="anna")
    tried = through(world, run)["green"]
    world.store.create(tried, world.store.schema(live), {})

    green = restored(world, backup=backup)["green"]

    found = [
        httpx.get(f"{qdrant_url}/collections/{name}/snapshots").json()["result"]
        for name in (tried, green)
    ]
    assert found == [[], []]


def test_a_download_goes_on_where_the_turn_before_it_stopped(world):
    """With no time at all in a turn, each brings one piece of a megabyte."""
    live = serve(world, "docs")["green"]
    world.store.upsert(
        live, [Point(1000 + n, [1.0] * DIMENSION, {"noise": noise(n)}) for n in range(40)]
    )
    world.change_services(times=replace(world.services.times, turn_time=0.0))

    run = backups.create_backup(world.services, "docs", actor="anna")
    turns = world.status(run)["turn"]
    seen = through(world, run)

    assert seen["status"] == "live", seen["message"]
    size = backups.get_backup(world.services, run)["bytes"]
    assert seen["turn"] - turns > size / 2**20 > 3
    assert verified(world, backup=run)["status"] == "done"


def test_a_backup_on_another_filesystem_is_verified_restored_and_found_damaged(world):
    (world.folder / "elsewhere").mkdir()
    world.change_services(shelf=RemoteShelf(f"file://{world.folder}/elsewhere"))
    live = serve(world, "docs")["green"]
    backup = back_up(world, "docs")
    assert verified(world, backup=backup)["status"] == "done"
    world.store.drop(live)
    assert (restored(world, alias="docs")["status"], world.store.count("docs")) == ("live", 70)

    [part] = (world.folder / "elsewhere" / backup).glob("*.snapshot/*")
    flip(part, 1000)
    assert "another checksum" in verified(world, backup=backup)["message"]


class Slow:
    """A shelf that takes its time for every megabyte."""

    def __init__(self, shelf):
        self._shelf = shelf

    def __getattr__(self, name):
        return getattr(self._shelf, name)

    def read(self, backup, name):
        for piece in self._shelf.read(backup, name):
            time.sleep(0.7)
            yield piece


def test_a_checksum_and_an_upload_may_take_longer_than_a_turn_as_long_as_they_get_on(world):
    """Two seconds of a turn are left here for what a late repeat would spoil."""
    live = serve(world, "docs")["green"]
    world.store.upsert(
        live, [Point(1000 + n, [1.0] * DIMENSION, {"noise": noise(n)}) for n in range(40)]
    )
    backup = back_up(world, "docs")
    assert backups.get_backup(world.services, backup)["bytes"] > 3 * 2**20
    brief = replace(world.services.times, lease=12.0, longest_lease=12.0, renew_every=0.2)
    world.change_services(times=brief)
    world.change_services(shelf=Slow(world.services.shelf))

    assert verified(world, backup=backup)["status"] == "done"


def noise(seed):
    return np.random.default_rng(seed).bytes(50_000).hex()


def test_a_backup_is_verified_in_a_collection_that_is_gone_afterwards(world):
    serve(world, "docs")
    backup = back_up(world, "docs")
    before = names(world, "docs")

    seen = verified(world, alias="docs")

    assert (seen["backup_id"], seen["status"]) == (backup, "done")
    assert "70 points, 70 of them compared, settings equal, 1 queries answered" in seen["message"]
    assert names(world, "docs") == before
    assert backups.get_backup(world.services, backup)["verified"]["status"] == "done"


def test_a_deleted_index_comes_back_with_every_point_and_through_the_gate(world):
    live = serve(world, "docs")["green"]
    backup = back_up(world, "docs")
    world.store.drop(live)
    assert "docs" not in world.store.aliases()

    seen = restored(world, alias="docs")

    assert seen["status"] == "live", seen["message"]
    assert seen["gate"]["verdict"] == "pass"
    assert world.store.aliases()["docs"] == seen["green"] != live
    assert world.store.count("docs") == 70
    assert read_stamp(world.store, seen["green"]).deployment == seen["id"]
    assert backup in seen["steps"][0]["message"]


def test_an_index_that_no_file_declares_any_more_is_restored_as_it_was(world):
    live = serve(world, "docs")["green"]
    back_up(world, "docs")
    world.store.drop(live)
    world.indexes.clear()

    seen = restored(world, alias="docs")

    assert seen["status"] == "live", seen["message"]
    assert {row["name"]: row["verdict"] for row in seen["gate"]["checks"]}[
        "min_top_score"
    ] == "pass"


def test_what_is_live_is_replaced_by_its_backup_and_kept_for_a_rollback(world):
    live = serve(world, "docs")["green"]
    back_up(world, "docs")
    world.store.upsert(live, world.store.fetch(live, [0], vectors=True))

    seen = restored(world, alias="docs")

    assert (seen["status"], seen["blue"]) == ("live", live)
    assert live in world.store.collections()


def test_a_rebuild_and_a_backup_do_not_wait_for_each_other(world):
    serve(world, "docs")
    backup = backups.create_backup(world.services, "docs", actor="anna")
    rebuild = world.deploy("docs")

    with pytest.raises(Refused, match=f"backup {backup} of docs is pending: one at a time"):
        backups.create_backup(world.services, "docs", actor="bert")

    assert through(world, rebuild)["status"] == "live"
    assert through(world, backup)["status"] == "live"


def test_only_so_many_are_kept_and_none_is_removed_that_is_being_read(world):
    serve(world, "docs")
    serve(world, "other")
    first = back_up(world, "docs")
    other = back_up(world, "other")
    second = back_up(world, "docs")
    reading = backups.verify_backup(world.services, backup=first, actor="anna")

    third = through(world, backups.create_backup(world.services, "docs", actor="anna", keep=1))

    assert third["steps"][-1]["output"]["removed"] == [second]
    kept = {
        record["backup_id"]
        for record in backups.list_backups(world.services)
        if record["status"] == "done"
    }
    assert kept == {first, other, third["id"]}
    assert through(world, reading)["status"] == "live"


@pytest.mark.parametrize("keep", [0, -1, 1.5, True, "2"])
def test_to_keep_none_is_refused(world, keep):
    with pytest.raises(Refused, match="expected how many backups to keep"):
        backups.create_backup(world.services, "docs", actor="anna", keep=keep)


def test_a_backup_of_a_newer_server_is_refused(world):
    live = serve(world, "docs")["green"]
    backup = back_up(world, "docs")
    newer = replace(manifests.read_manifest(world.services.shelf, backup), server="99.0.0")
    world.services.shelf.seal(backup, newer.text())

    with pytest.raises(Refused, match="was made by Qdrant 99"):
        backups.restore_backup(world.services, backup=backup, actor="anna")
    assert world.store.aliases()["docs"] == live


# --- damage ---------------------------------------------------------------------------------------


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def snapshot_of(folder):
    [found] = folder.glob("*.snapshot")
    return found


DAMAGES = {
    "a byte of the snapshot": lambda folder: flip(snapshot_of(folder), 1000),
    "a byte of the manifest": lambda folder: flip(folder / "manifest.json", 200),
    "the snapshot is gone": lambda folder: snapshot_of(folder).unlink(),
    "the snapshot is cut": lambda folder: snapshot_of(folder).write_bytes(
        snapshot_of(folder).read_bytes()[:-1]
    ),
    "the manifest of another": lambda folder: (folder / "manifest.json").write_bytes(
        (folder.parent / OTHER / "manifest.json").read_bytes()
    ),
    "the snapshot of another": lambda folder: snapshot_of(folder).write_bytes(
        snapshot_of(folder.parent / OTHER).read_bytes()
    ),
}
OTHER = "another"


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_backup_is_found_by_verify_and_refused_by_restore(world, kind):
    live = serve(world, "docs")["green"]
    shelf = world.folder / "backups"
    (shelf / back_up(world, "docs")).rename(shelf / OTHER)
    world.store.upsert(
        live,
        [Point("5a7d1a3e-0000-4000-8000-000000000000", [0.1] * DIMENSION, {"text": "another"})],
    )
    backup = back_up(world, "docs")
    before = names(world, "docs")
    DAMAGES[kind](shelf / backup)

    for attempt in (backups.verify_backup, backups.restore_backup):
        seen = refused_or_ended(world, attempt, backup)
        assert seen["status"] == "rolled_back"
        assert f"backup {backup} is damaged" in seen["message"]

    assert names(world, "docs") == before
    assert world.store.aliases()["docs"] == live


def refused_or_ended(world, attempt, backup):
    try:
        return through(world, attempt(world.services, backup=backup, actor="anna"))
    except Refused as error:
        return {"status": "rolled_back", "message": str(error)}


def test_a_point_that_is_not_as_it_was_is_found_though_every_checksum_is_right(world):
    """As a server that recovers a snapshot wrongly would leave it."""
    serve(world, "docs")
    backup = back_up(world, "docs")
    manifest = manifests.read_manifest(world.services.shelf, backup)
    (id, digest), *others = manifest.sample
    forged = replace(manifest, sample=[[id, digest[::-1]], *others])
    world.services.shelf.seal(backup, forged.text())

    seen = verified(world, backup=backup)

    assert seen["status"] == "failed"
    assert f"1 of 70 points are missing or changed, such as {id}" in seen["message"]
    assert not any("verify" in name for name in names(world, "docs"))


def test_other_settings_than_the_manifest_says_are_found(world):
    serve(world, "docs")
    backup = back_up(world, "docs")
    manifest = manifests.read_manifest(world.services.shelf, backup)
    schema = {**manifest.schema, "payload_schema": {"n": {"data_type": "integer"}}}
    world.services.shelf.seal(backup, replace(manifest, schema=schema, low=71, high=71).text())

    seen = verified(world, backup=backup)

    assert seen["status"] == "failed"
    assert "70 points, the backup was made of 71" in seen["message"]

    world.services.shelf.seal(backup, replace(manifest, schema=schema).text())
    assert (
        "payload_schema.n: wanted {'data_type': 'integer'}, found nothing"
        in verified(world, backup=backup)["message"]
    )


class Around:
    """A store with one act of its own around ``make_snapshot``."""

    def __init__(self, store, act):
        self._store = store
        self._act = act

    def __getattr__(self, name):
        found = getattr(self._store, name)
        if name != "make_snapshot":
            return found
        return lambda *arguments: self._act(found, *arguments)


def test_a_snapshot_that_somebody_else_takes_meanwhile_stays_and_ours_goes(world):
    live = serve(world, "docs")["green"]
    theirs = []

    def take_theirs_too(make, collection, *arguments):
        theirs.append(make(collection, *arguments).name)
        time.sleep(1.1)  # two of one second have the same name
        made = make(collection, *arguments)
        time.sleep(1.1)
        theirs.append(make(collection, *arguments).name)
        return made

    store = world.store
    world.over(Around(store, take_theirs_too))
    back_up(world, "docs")
    assert store.snapshots(live) == set(theirs)


def test_a_backup_whose_answer_is_lost_is_made_and_removes_no_snapshot(world):
    live = serve(world, "docs")["green"]
    made = []

    def lose(make, *arguments):
        made.append(make(*arguments).name)
        raise OutcomeUnknown("HTTP 504")

    store = world.store
    world.over(Around(store, lose))
    run = backups.create_backup(world.services, "docs", actor="anna")
    seen = through(world, run)
    assert seen["status"] == "live", seen["message"]
    assert f"snapshot {made[0]} may belong to others and stays" in seen["steps"][2]["message"]
    assert store.snapshots(live) == set(made)
