"""What happens to a replaced collection that this program did not make, and what people are told
before its deletion."""

from datetime import datetime, timedelta

import pytest
from starlette.testclient import TestClient

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.collections import lineage
from qdrant_rollouts.core.collections.deletion import (
    deletions,
    garbage_collection,
    retention_policy,
)
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.deployments import backups, commands
from qdrant_rollouts.core.deployments.backups import final
from qdrant_rollouts.core.deployments.commands import adoption
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.operations.views.overview.deployment_situation import (
    get_deployment_with_situation,
)
from qdrant_rollouts.interfaces.http.api import PREFIX
from qdrant_rollouts.interfaces.http.app import make_app
from qdrant_rollouts.interfaces.mcp import answers
from qdrant_rollouts.tasks.commands import COMMANDS
from tests.backups import back_up, through
from tests.integration.test_final_backups import deletion, hour_later, swept
from tests.integration.test_names import fill
from tests.world import World, texts

SOAK = {"seconds": 1, "interval_seconds": 1}
KEEP = "to keep it: `rollouts keep theirs`"
BACKUP_FIRST = "once a whole backup of it exists, for this program did not make it"
EMBEDDED = "no backup of it can be made, for the embedded Qdrant has no snapshots"


@pytest.fixture
def world(tmp_path, qdrant_url, qdrant_grpc_port, ready_sqlite_url):
    made = World(tmp_path, ready_sqlite_url, ServerStore(qdrant_url, "", qdrant_grpc_port))
    yield made
    made.close()


@pytest.fixture
def embedded(tmp_path, ready_sqlite_url):
    made = World(tmp_path, ready_sqlite_url)
    yield made
    made.close()


def replace_theirs(world, *, declared=True, grace=0, **retained):
    """``theirs``, made by somebody else, was behind ``docs`` until this deployment, which is
    live."""
    fill(world, "theirs")
    world.store.point_alias("docs", "theirs")
    settings = {"soak": SOAK, "grace_period_minutes": grace, "retention": retained}
    source = world.write("docs.jsonl", texts(25))
    world.declare("docs", source=source, **settings)
    seen = through(world, world.deploy("docs"))
    assert seen["status"] == "live", seen["message"]
    if not declared:
        world.indexes.clear()
    return seen


def ended(world):
    for record in backups.list_backups(world.services):
        if record["status"] in ("pending", "running"):
            through(world, record["backup_id"])


def kept(world):
    return garbage_collection.collect_garbage(world.services, actor="anna", dry_run=True)["kept"]


def later(world, minutes):
    for _ in range(int(minutes * 4) + 1):
        world.clock.move(15)
        final.begin_final_backups(world.services)
        deletions.delete_due(world.services)


# --- by default -----------------------------------------------------------------------------------


@pytest.mark.parametrize("declared", [True, False])
def test_it_goes_only_after_a_whole_backup_of_it_from_which_it_comes_back(world, declared):
    replace_theirs(world, declared=declared)
    swept(world)
    assert "theirs" in world.store.collections()
    assert deletion(world, "theirs").status == "scheduled"
    ended(world)
    swept(world)
    assert ("theirs" in world.store.collections(), deletion(world, "theirs").status) == (
        False,
        "deleted",
    )
    [made] = backups.list_backups(world.services)
    assert (made["status"], made["collection"], made["points"]) == ("done", "theirs", 25)
    back = through(
        world, backups.restore_backup(world.services, backup=made["backup_id"], actor="anna")
    )
    assert back["status"] == "live", back["message"]


def test_no_later_backup_removes_the_last_copy_of_it(world):
    replace_theirs(world, backups=1)
    swept(world)
    ended(world)
    swept(world)
    assert "theirs" not in world.store.collections()
    [copy] = backups.list_backups(world.services)
    newest = [back_up(world, "docs") for _ in range(2)][-1]
    assert {made["backup_id"] for made in backups.list_backups(world.services)} == {
        copy["backup_id"],
        newest,
    }
    back = through(
        world, backups.restore_backup(world.services, backup=copy["backup_id"], actor="anna")
    )
    assert back["status"] == "live", back["message"]


def test_a_version_of_ours_goes_as_before(world):
    replace_theirs(world, foreign="keep")
    second = through(world, world.deploy("docs"))
    swept(world)
    assert second["blue"] not in world.store.collections()
    assert backups.list_backups(world.services) == []


def test_while_no_backup_can_be_written_it_is_kept_and_gc_says_why(world):
    (world.folder / "backups").write_text("not a folder")
    replace_theirs(world)
    swept(world)
    ended(world)
    swept(world)
    assert "theirs" in world.store.collections()
    [found] = kept(world)
    assert (found["collection"], found["alias"]) == ("theirs", "docs")
    assert "there is no final backup of it: backup" in found["reason"]
    assert "tried again at" in found["next"]
    (world.folder / "backups").unlink()
    hour_later(world)
    swept(world)
    ended(world)
    swept(world)
    assert ("theirs" in world.store.collections(), kept(world)) == (False, [])


def test_a_name_too_long_for_a_snapshot_is_kept_and_gc_says_why(world):
    fill(world, "x" * 240)
    world.store.point_alias("docs", "x" * 240)
    world.declare(
        "docs", source=world.write("docs.jsonl", texts(25)), soak=SOAK, grace_period_minutes=0
    )
    through(world, world.deploy("docs"))
    swept(world)
    assert "x" * 240 in world.store.collections()
    assert "has 240 bytes" in kept(world)[0]["reason"]


def test_the_embedded_qdrant_has_no_backups_so_it_is_kept_until_a_person_says_otherwise(embedded):
    seen = replace_theirs(embedded)
    assert f"theirs is not deleted: this program did not make it, and {EMBEDDED}" in seen["message"]
    later(embedded, 3)
    assert "theirs" in embedded.store.collections()
    assert deletion(embedded, "theirs").status == "cancelled"
    told = [one.text for one in embedded.told() if one.what.startswith("deletion.")]
    assert len(told) == 2  # that it is written down, and that it is not carried out
    [found] = kept(embedded)
    assert (found["collection"], found["alias"]) == ("theirs", "docs")
    assert EMBEDDED in found["reason"]
    assert "retention.foreign: delete" in found["next"]
    embedded.declare(
        "docs", source="jsonl:docs.jsonl", retention={"foreign": "delete", "versions": 1}
    )
    garbage_collection.collect_garbage(embedded.services, actor="anna")
    later(embedded, 61)
    assert ("theirs" in embedded.store.collections(), kept(embedded)) == (False, [])


# --- as the index says ----------------------------------------------------------------------------


def test_an_index_may_keep_it(world):
    seen = replace_theirs(world, foreign="keep")
    assert "theirs is kept. To return to it: `rollouts rollback docs`" in seen["message"]
    swept(world)
    assert (queries.list_deletions(world.services), "theirs" in world.store.collections()) == (
        [],
        True,
    )
    assert [(one["collection"], one["reason"]) for one in kept(world)] == [
        ("theirs", "this program did not make it, and its index says retention.foreign: keep")
    ]
    through(world, world.deploy("docs"))  # nor does the next deployment write it down
    assert deletion(world, "theirs") is None


@pytest.mark.parametrize("name", ["world", "embedded"])
def test_an_index_may_have_it_deleted_like_every_other(request, name):
    world = request.getfixturevalue(name)
    seen = replace_theirs(world, foreign="delete")
    assert "theirs will be deleted at " in seen["message"]
    assert "backup" not in seen["message"]
    swept(world)
    assert ("theirs" in world.store.collections(), backups.list_backups(world.services)) == (
        False,
        [],
    )


def test_an_index_that_says_keep_before_the_time_has_come_keeps_it(world):
    replace_theirs(world)
    world.declare("docs", source="jsonl:docs.jsonl", retention={"foreign": "keep"})
    swept(world)
    assert ("theirs" in world.store.collections(), deletion(world, "theirs").status) == (
        True,
        "cancelled",
    )
    assert "retention.foreign: keep" in deletion(world, "theirs").reason


@pytest.mark.parametrize("way", ["adopted", "taken"])
def test_what_was_adopted_or_taken_is_still_of_others_making(embedded, way):
    fill(embedded, "theirs")
    embedded.declare(
        "docs", source=embedded.write("docs.jsonl", texts(25)), soak=SOAK, grace_period_minutes=0
    )
    if way == "adopted":
        embedded.store.point_alias("docs", "theirs")
        adoption.adopt_collection(embedded.services, "docs", actor="anna")
    else:
        fill(embedded, "first")
        embedded.store.point_alias("docs", "first")
        checks = {"model_stamp": {"accept_inconclusive": True}}
        taken = embedded.deploy(
            "docs", collection="theirs", options={"validation": {"checks": checks}}
        )
        embedded.run()
        assert embedded.status(taken)["status"] == "live", embedded.status(taken)["message"]
    embedded.deploy("docs")
    embedded.run()
    later(embedded, 3)
    assert "theirs" in embedded.store.collections()
    assert "theirs" in [one["collection"] for one in kept(embedded)]


def test_one_that_a_person_names_is_deleted_as_asked(embedded):
    fill(embedded, "theirs")
    answer = commands.safe_delete_collection(
        embedded.services, "theirs", grace_period_minutes=0, actor="anna"
    )
    assert answer["text"].endswith(KEEP)
    later(embedded, 1)
    assert "theirs" not in embedded.store.collections()


# --- what is said ---------------------------------------------------------------------------------


def test_everything_that_speaks_of_a_deletion_says_when_and_how_it_is_kept(world):
    ended_ = replace_theirs(world, grace=60)
    due = deletion(world, "theirs").due_at
    sentence = f"theirs will be deleted at {due:%Y-%m-%d %H:%M:%S} UTC, {BACKUP_FIRST}; {KEEP}"
    assert sentence in ended_["message"]
    assert [one["text"] for one in ended_["deletions"]] == [sentence]
    [for_agent] = answers.build_seen(
        get_deployment_with_situation(world.services, ended_["id"])
    ).deletions
    assert for_agent.startswith(sentence)
    assert "ask a person" in for_agent
    [row] = queries.list_deletions(world.services)
    assert (row["text"], row["keep"]) == (sentence, "rollouts keep theirs")
    adoption_free = lineage.list_versions(world.services, "docs")["versions"]
    assert [one.get("deletion") for one in adoption_free] == [None]  # theirs is no version
    told = {one.what: f"{one.text} {one.next}" for one in world.told()}
    assert sentence in told["deployment.completed"]
    assert "theirs will be deleted at" in told["deletion.scheduled"]
    assert "rollouts keep theirs" in told["deletion.scheduled"]
    [event] = [one for one in world.list_events() if one["event"] == "deletion.scheduled"]
    assert "theirs will be deleted at" in event["detail"]
    answer = COMMANDS["collections.safe_delete_collection"](
        world.services, collection_name="theirs"
    )
    assert (answer["text"], answer["keep"]) == (sentence, "rollouts keep theirs")
    app = make_app(world.services, Settings())
    with TestClient(app, base_url="http://localhost:8600", client=("127.0.0.1", 5)) as client:
        for path in ("/deletions", f"/deployments/{ended_['id']}", "/indexes", "/indexes/docs"):
            assert sentence in client.get(PREFIX + path).text, path
        for page in ("/", "/indexes/docs", f"/deployments/{ended_['id']}", "/alerts", "/events"):
            assert "theirs will be deleted at" in client.get(page).text, page
        for page in ("/", "/indexes/docs", f"/deployments/{ended_['id']}", "/alerts"):
            assert "rollouts keep theirs" in client.get(page).text, page


def test_a_version_says_when_it_goes_too(embedded):
    embedded.declare("docs", source=embedded.write("docs.jsonl", texts(25)))
    for _ in range(2):
        embedded.deploy("docs")
        embedded.run()
    live, before = lineage.list_versions(embedded.services, "docs")["versions"]
    assert live["deletion"] is None
    assert before["deletion"].startswith(f"{before['collection']} will be deleted at ")
    assert before["deletion"].endswith(f"`rollouts keep {before['collection']}`")


def test_what_a_deployment_will_have_deleted_is_said_from_its_beginning_and_can_be_kept(world):
    fill(world, "theirs")
    world.store.point_alias("docs", "theirs")
    world.declare("docs", source=world.write("docs.jsonl", texts(25)), soak=SOAK)
    begun = world.deploy("docs")
    seen = world.status(begun)
    assert [one["text"] for one in seen["deletions"]] == [
        f"theirs will be deleted 60 minutes after {seen['green']} is live, {BACKUP_FIRST}; {KEEP}"
    ]
    for _ in range(2):
        assert (
            retention_policy.keep_collection(world.services, "theirs", actor="anna")["status"]
            == "kept"
        )
    assert world.status(begun)["deletions"] == []
    done = through(world, begun)
    assert (done["status"], done["deletions"]) == ("live", [])
    assert "theirs is kept. To return to it:" in done["message"]
    assert [row["status"] for row in queries.list_deletions(world.services)] == ["kept"]


def test_a_deployment_that_fails_has_nothing_deleted(embedded):
    fill(embedded, "theirs")
    embedded.store.point_alias("docs", "theirs")
    embedded.declare(
        "docs",
        source=embedded.write("docs.jsonl", texts(25)),
        validation={"queries": ["nothing of that"]},
    )
    begun = embedded.deploy("docs", options={"validation": {"min_top_score": 0.99}})
    embedded.run()
    seen = embedded.status(begun)
    assert (seen["status"], seen["deletions"], queries.list_deletions(embedded.services)) == (
        "rolled_back",
        [],
        [],
    )


# --- the index's own rule -------------------------------------------------------------------------


@pytest.fixture
def two(embedded):
    """``docs`` leads to ``old``; ``new`` is there too."""
    for name in ("old", "new"):
        fill(embedded, name)
    embedded.store.point_alias("docs", "old")
    return embedded


def minutes_left(world, answer):
    return (datetime.fromisoformat(answer["delete_after"]) - world.clock.moment) / timedelta(
        minutes=1
    )


@pytest.mark.parametrize(
    ("said", "minutes"),
    [
        ({"grace_period_minutes": 1440, "retention": {"days": 7}}, 7 * 1440),
        ({"grace_period_minutes": 1440}, 1440),
        ({"grace_period_minutes": 0.5, "retention": {"foreign": "delete"}}, 0.5),
        (None, 60),
    ],
)
def test_a_switch_that_deletes_the_old_one_goes_by_the_indexs_own_rule(two, said, minutes):
    if said is not None:
        two.declare("docs", source="jsonl:docs.jsonl", **said)
    answer = commands.switch_alias(two.services, "docs", "new", delete_old=True, actor="anna")[
        "deletion"
    ]
    assert answer["scheduled"]
    assert minutes_left(two, answer) == pytest.approx(minutes, abs=0.02)
    assert "new replaced it behind docs" in answer["reason"]


@pytest.mark.parametrize("retained", [{"versions": 2}, {"foreign": "keep"}])
def test_what_the_indexs_rule_keeps_a_switch_does_not_delete(two, retained):
    two.declare("docs", source="jsonl:docs.jsonl", retention=retained)
    answer = commands.switch_alias(two.services, "docs", "new", delete_old=True, actor="anna")[
        "deletion"
    ]
    assert answer["scheduled"] is False
    assert "old is kept, by the retention of docs" in answer["reason"]
    assert queries.list_deletions(two.services) == []


def test_a_switch_deletes_no_collection_of_others_without_a_backup(two):
    commands.switch_alias(two.services, "docs", "new", delete_old=True, actor="anna")
    later(two, 61)
    assert "old" in two.store.collections()


def test_an_index_without_an_entry_goes_on_by_its_last_deployment(embedded):
    seen = replace_theirs(embedded, declared=False, grace=1440)
    commands.start_rollback(embedded.services, "docs", actor="anna")
    embedded.run()
    answer = commands.safe_delete_collection(embedded.services, seen["green"], actor="anna")
    assert minutes_left(embedded, answer) == pytest.approx(1440, abs=0.1)


@pytest.mark.parametrize(("asked", "minutes"), [({}, 1440), ({"grace_period_minutes": 5}, 5)])
def test_a_deletion_by_name_goes_by_the_rule_of_its_index_unless_told_otherwise(
    embedded, asked, minutes
):
    replace_theirs(embedded, grace=1440, foreign="keep")
    answer = commands.safe_delete_collection(embedded.services, "theirs", actor="anna", **asked)
    assert minutes_left(embedded, answer) == pytest.approx(minutes, abs=0.02)


def test_a_deletion_of_no_index_takes_the_one_default(two):
    answer = commands.safe_delete_collection(two.services, "new", actor="anna")
    assert minutes_left(two, answer) == pytest.approx(60, abs=0.02)


def test_a_task_overrides_nothing_that_it_was_not_told(embedded):
    settings = {"rollback_on_failure": False, "source": embedded.write("docs.jsonl", texts(5))}
    embedded.declare("docs", **settings)
    begun = COMMANDS["deployments.deploy_new_version"](embedded.services, alias_name="docs")[
        "deployment_id"
    ]
    with embedded.services.sessions() as session:
        assert session.get_one(Deployment, begun).spec["rollback_on_failure"] is False


def test_keeping_what_nothing_threatens_is_refused(embedded):
    fill(embedded, "theirs")
    embedded.store.point_alias("docs", "theirs")
    with pytest.raises(Refused, match="no deletion of theirs is scheduled"):
        retention_policy.keep_collection(embedded.services, "theirs", actor="anna")
