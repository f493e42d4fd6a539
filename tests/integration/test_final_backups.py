"""The backup that a deletion waits for, on a real server: without a backup there is no deletion."""

import shutil
import time

import pytest

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.collections import manifests
from qdrant_rollouts.core.collections.deletion import deletions
from qdrant_rollouts.core.database.models import Deletion
from qdrant_rollouts.core.deployments import backups, engine
from qdrant_rollouts.core.deployments.backups import final
from tests.backups import through, whole
from tests.integration.test_backup_kills import list_new_backups
from tests.mortal import Killed, Reaper, mortal_world
from tests.world import World, texts

NO_BACKUP = "deletion.no_final_backup"


@pytest.fixture
def world(tmp_path, qdrant_url, qdrant_grpc_port, ready_sqlite_url):
    made = World(tmp_path, ready_sqlite_url, ServerStore(qdrant_url, "", qdrant_grpc_port))
    yield made
    made.close()


def replaced(world, **retained):
    """An index whose old collection is due; its name."""
    wanted = {"final_backup": True, **retained}
    source = world.write("docs.jsonl", texts(25))
    soak = {"seconds": 1, "interval_seconds": 1}
    world.declare("docs", source=source, retention=wanted, grace_period_minutes=0, soak=soak)
    if "docs" not in world.store.aliases():
        through(world, world.deploy("docs"))
    seen = through(world, world.deploy("docs"))
    assert seen["status"] == "live", seen["message"]
    return seen["blue"]


def swept(world):
    """As beat has it done; the time the service runs is time that sweeps have seen."""
    for _ in range(2):
        final.begin_final_backups(world.services)
        deletions.delete_due(world.services)
        world.clock.move(1)


def ended(world):
    for record in backups.list_backups(world.services):
        if record["status"] in ("pending", "running"):
            through(world, record["backup_id"])


def deletion(world, collection):
    with world.services.sessions() as session:
        return (
            session.query(Deletion)
            .filter_by(collection=collection)
            .order_by(Deletion.id.desc())
            .first()
        )


def told(world):
    return [(one.state, one.text) for one in world.told() if one.what == NO_BACKUP]


def hour_later(world):
    """Also for the time that the service was running, which grows with each sweep."""
    world.clock.move(3600)
    for _ in range(300):
        engine.knock_overdue_turns(world.services)
        world.clock.move(15)


def test_a_collection_goes_after_a_whole_backup_of_it_from_which_it_comes_back(world):
    old = replaced(world)
    swept(world)
    assert (old in world.store.collections(), whole(world)) == (True, [])
    assert deletion(world, old).status == "scheduled"

    ended(world)
    swept(world)

    [made] = whole(world)
    assert (old in world.store.collections(), deletion(world, old).status) == (False, "deleted")
    manifest = manifests.read_manifest(world.services.shelf, made)
    assert (manifest.collection, manifest.high, told(world)) == (old, 25, [])
    assert "final backup" in manifest.reason
    back = through(world, backups.restore_backup(world.services, backup=made, actor="anna"))
    assert (back["status"], world.store.count("docs")) == ("live", 25)


def test_an_index_that_wants_none_has_none_made(world):
    old = replaced(world, final_backup=False)
    swept(world)
    assert (old in world.store.collections(), backups.list_backups(world.services)) == (False, [])


def test_while_the_shelf_cannot_be_written_nothing_is_deleted_and_people_are_told(world):
    (world.folder / "backups").write_text("not a folder")
    old = replaced(world)
    swept(world)
    ended(world)
    swept(world)
    assert (old in world.store.collections(), whole(world)) == (True, [])
    [(state, text)] = told(world)
    assert state == "begun"
    assert f"{old} is not deleted, because there is no final backup of it: backup " in text

    (world.folder / "backups").unlink()
    hour_later(world)
    swept(world)
    ended(world)
    swept(world)
    assert (old in world.store.collections(), len(whole(world))) == (False, 1)
    assert [state for state, _ in told(world)] == ["begun", "resolved"]


@pytest.mark.parametrize("damage", ["gone", "short"])
def test_a_backup_that_was_damaged_before_the_deletion_does_not_count(world, damage):
    old = replaced(world)
    swept(world)
    ended(world)
    folder = world.folder / "backups" / whole(world)[0]
    if damage == "gone":
        shutil.rmtree(folder)
    else:
        [snapshot] = folder.glob("*.snapshot")
        snapshot.write_bytes(snapshot.read_bytes()[:-1])

    swept(world)

    assert old in world.store.collections()
    assert [state for state, _ in told(world)] == ["begun"]


def test_an_index_that_the_file_has_no_more_keeps_what_it_said_when_it_was_built(world):
    old = replaced(world)
    world.indexes.clear()
    swept(world)
    assert old in world.store.collections()
    ended(world)
    swept(world)
    assert (old in world.store.collections(), len(whole(world))) == (False, 1)


def test_what_is_in_use_is_neither_backed_up_nor_deleted(world):
    old = replaced(world)
    world.store.point_alias("reports", old)
    swept(world)
    assert (deletion(world, old).status, backups.list_backups(world.services)) == ("cancelled", [])


def test_a_backup_by_hand_is_waited_for_and_does_not_cancel_the_deletion(world):
    old = replaced(world, final_backup=False)
    live = world.store.aliases()["docs"]
    world.store.point_alias("docs", old)
    by_hand = backups.create_backup(world.services, "docs", actor="anna")
    world.store.point_alias("docs", live)
    swept(world)
    assert (old in world.store.collections(), deletion(world, old).status) == (True, "scheduled")
    through(world, by_hand)
    swept(world)
    assert (old in world.store.collections(), whole(world)) == (False, [by_hand])


def test_with_one_to_keep_the_newest_of_what_serves_stays_beside_the_final_one(world):
    old = replaced(world, backups=1)
    ours = through(world, backups.create_backup(world.services, "docs", actor="anna"))["id"]
    swept(world)
    ended(world)
    swept(world)
    assert old not in world.store.collections()
    assert set(whole(world)) > {ours}


def test_without_snapshots_nothing_is_deleted_and_people_are_told(tmp_path, ready_sqlite_url):
    world = World(tmp_path, ready_sqlite_url)
    old = replaced(world)
    swept(world)
    assert old in world.store.collections()
    [(state, text)] = told(world)
    assert (state, "needs a server" in text) == ("begun", True)
    world.close()


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_wherever_the_worker_is_killed_there_is_a_whole_backup_when_the_collection_is_gone(
    tmp_path, ready_sqlite_url, qdrant_url, qdrant_grpc_port, effort
):
    known = set()

    def scenario(reaper):
        world = mortal_world(
            tmp_path, ready_sqlite_url, reaper, ServerStore(qdrant_url, "", qdrant_grpc_port)
        )
        old = replaced(world)
        for _ in range(400):
            reaper.armed = True
            try:
                one_sweep_or_turn(world)
            except Killed:
                world.broker.waiting.clear()
            reaper.armed = False
            if old not in world.store.collections():
                break
        swept(world)
        assert deletion(world, old).status == "deleted"
        manifest = manifests.read_manifest(
            world.services.shelf, str(deletion(world, old).backup_id)
        )
        assert (manifest.collection, manifests.find_damage(world.services.shelf, manifest)) == (
            old,
            "",
        )
        assert [one["status"] for one in list_new_backups(world, known)] == ["done"]
        world.close()

    counted = Reaper()
    scenario(counted)
    for victim in range(1, counted.places + 1, max(1, counted.places // effort(8, 100_000))):
        reaper = Reaper()
        reaper.victim = victim
        scenario(reaper)


def one_sweep_or_turn(world):
    knock = world.broker.take_next()
    if knock is not None:
        time.sleep(min(0.05, knock.countdown))
        world.turn(knock)
        return
    world.clock.move(world.services.times.lease + 1)
    engine.knock_overdue_turns(world.services)
    final.begin_final_backups(world.services)
    deletions.delete_due(world.services)
