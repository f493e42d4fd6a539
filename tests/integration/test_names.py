"""Collections and aliases with any name that Qdrant allows, on a real server and in every
interface."""

from dataclasses import replace
from urllib.parse import quote

import httpx
import pytest

from qdrant_rollouts.adapters.embeddings import open_embedder
from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.collections import comparing, lineage
from qdrant_rollouts.core.collections.deletion import garbage_collection, retention_policy
from qdrant_rollouts.core.config.index_file import EmbeddingSpec
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.deployments import backups, commands
from qdrant_rollouts.core.deployments.backups import final
from qdrant_rollouts.core.deployments.commands import adoption
from qdrant_rollouts.core.deployments.commands.validating import validate_collection
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Point
from qdrant_rollouts.core.routing import Router
from qdrant_rollouts.interfaces.http import serving
from qdrant_rollouts.interfaces.http.api import PREFIX
from qdrant_rollouts.interfaces.http.app import make_app
from qdrant_rollouts.tasks.commands import COMMANDS
from tests.backups import back_up, through
from tests.world import DIMENSION, EMBEDDING, World, texts

SCHEMA = {"params": {"vectors": {"size": DIMENSION, "distance": "Cosine"}}, "payload_schema": {}}
#: The alias, and the collection behind it.
ODD = [
    ("docs.live", "legacy.docs.v1"),
    ("a b", " x y"),
    ("ünï", "日本語"),
    ("50%2F#?&+", "a%2Fb#;'=@[x]{y}"),
    ("-x", "…\n"),
]


@pytest.fixture
def world(tmp_path, qdrant_url, qdrant_grpc_port, ready_sqlite_url):
    made = World(tmp_path, ready_sqlite_url, ServerStore(qdrant_url, "", qdrant_grpc_port))
    made.change_services(times=replace(made.services.times, ready_look=0.1))
    yield made
    made.close()


def fill(world, collection):
    """As somebody else would, with the model that is declared."""
    model = open_embedder(EmbeddingSpec.model_validate(EMBEDDING))
    made = model.documents([record["text"] for record in texts(25)])
    world.store.create(collection, SCHEMA, {})
    points = [
        Point(record["id"], vector, record) for record, vector in zip(texts(25), made, strict=True)
    ]
    world.store.upsert(collection, points)


def theirs(world, alias, collection, **settings):
    fill(world, collection)
    world.store.point_alias(alias, collection)
    soak = {"seconds": 1, "interval_seconds": 1}
    world.declare(alias, source=world.write("docs.jsonl", texts(25)), soak=soak, **settings)


@pytest.fixture
def browser(world):
    """Over a socket: the client that Starlette has for tests decodes a path twice."""
    app = make_app(world.services, Settings())
    with (
        serving.bind_socket(world.services, Settings(), "127.0.0.1", 0) as door,
        serving.serve_beside(app, door),
        httpx.Client(base_url=serving.socket_url(door), trust_env=False, timeout=30) as client,
    ):
        yield client


@pytest.mark.parametrize(("alias", "collection"), ODD)
def test_an_index_of_any_name_is_adopted_validated_deployed_kept_and_searched(
    world, alias, collection
):
    theirs(world, alias, collection)
    assert (
        adoption.adopt_collection(world.services, alias, actor="anna")["collection"] == collection
    )
    assert validate_collection(world.services, alias, collection)["verdict"] == "pass"
    seen = through(world, world.deploy(alias))
    assert seen["status"] == "live", seen["message"]
    assert world.store.aliases()[alias] == seen["green"]
    assert comparing.diff_versions(world.services, alias, "1", "2")["gone"] == []
    assert [
        row["collection"] for row in lineage.list_versions(world.services, alias)["versions"]
    ] == [
        seen["green"],
        collection,
    ]
    assert (
        retention_policy.keep_collection(world.services, collection, actor="anna")["status"]
        == "kept"
    )
    with Router(world.services) as router:
        assert router.search(alias, "python asyncio").collection == seen["green"]
    back = through(world, commands.start_rollback(world.services, alias, actor="anna"))
    assert (back["status"], world.store.aliases()[alias]) == ("live", collection)


@pytest.mark.parametrize(("alias", "collection"), ODD)
def test_an_alias_keeps_a_collection_of_any_name_and_a_task_may_delete_it(world, alias, collection):
    theirs(world, alias, collection)
    through(world, world.deploy(alias))
    made = COMMANDS["aliases.create_alias"](
        world.services, alias_name="mine", collection_name=collection
    )
    assert made["created"]
    assert (
        garbage_collection.collect_garbage(world.services, actor="anna", dry_run=True)["due"] == []
    )
    assert COMMANDS["aliases.switch_alias"](
        world.services, alias_name=alias, new_collection=collection
    )["switched"]
    assert COMMANDS["aliases.delete_alias"](world.services, alias_name=alias) == {"deleted": True}
    again = COMMANDS["aliases.create_alias"](
        world.services, alias_name=alias, collection_name=collection
    )
    assert again["created"]  # it was there before, so its name is not ours to judge
    assert COMMANDS["aliases.delete_alias"](world.services, alias_name="mine") == {"deleted": True}
    fill(world, "spare")
    COMMANDS["aliases.switch_alias"](world.services, alias_name=alias, new_collection="spare")
    answer = COMMANDS["collections.safe_delete_collection"](
        world.services, collection_name=collection
    )
    assert answer["scheduled"]


@pytest.mark.parametrize(("alias", "collection"), ODD)
def test_a_collection_of_any_name_is_a_source(world, alias, collection):
    fill(world, collection)
    world.declare(
        "copy", source=f"collection:{collection}", soak={"seconds": 1, "interval_seconds": 1}
    )
    seen = through(world, world.deploy("copy"))
    assert seen["status"] == "live", seen["message"]
    assert world.store.count("copy") == 25
    refused = commands.safe_delete_collection(world.services, collection, actor="anna")
    assert refused["reason"] == "index copy reads from it, says the index file"


def test_blanks_that_a_person_writes_before_a_source_are_not_its_name(world):
    fill(world, "plain")
    assert world.services.source("collection: plain ").address == "collection:plain"
    world.declare("copy", source="collection: plain ")
    answer = commands.safe_delete_collection(world.services, "plain", actor="anna")
    assert (answer["scheduled"], answer["reason"]) == (
        False,
        "index copy reads from it, says the index file",
    )


@pytest.mark.parametrize(("alias", "collection"), ODD)
def test_a_backup_of_any_name_is_made_verified_and_restored(world, alias, collection):
    theirs(world, alias, collection, validation={"queries": ["python asyncio"]})
    made = back_up(world, alias)
    tried = through(world, backups.verify_backup(world.services, backup=made, actor="anna"))
    assert tried["status"] == "live", tried["message"]
    world.store.drop(collection)
    back = through(world, backups.restore_backup(world.services, backup=made, actor="anna"))
    assert back["status"] == "live", back["message"]
    assert world.store.count(alias) == 25


def test_a_name_too_long_for_a_snapshot_is_said_before_a_backup_is_begun(world):
    collection = "x" * 230
    theirs(world, "docs", collection)
    with pytest.raises(
        Refused, match="has 230 bytes, and Qdrant makes no snapshot of more than 197"
    ):
        backups.create_backup(world.services, "docs", actor="anna")
    assert backups.list_backups(world.services) == []
    fill(world, "y" * 197)
    world.store.point_alias("docs", "y" * 197)
    back_up(world, "docs")


@pytest.mark.parametrize(("alias", "collection"), ODD)
def test_http_takes_any_name_quoted(world, browser, alias, collection):
    theirs(world, alias, collection)
    path = f"{PREFIX}/indexes/{quote(alias, safe='')}"
    assert browser.get(f"{path}/versions").json()["versions"][0]["collection"] == collection
    assert browser.get(path).json()["live"]["collection"] == collection
    begun = browser.post(f"{PREFIX}/deployments", json={"alias": alias})
    assert begun.status_code == 202, begun.text
    through(world, begun.json()["deployment_id"])
    kept = browser.post(f"{PREFIX}/collections/{quote(collection, safe='')}/keep")
    assert kept.json() == {"collection": collection, "status": "kept"}
    found = browser.post(f"{path}/search", json={"query": "python asyncio"})
    assert found.json()["collection"] == begun.json()["new_collection"]
    moved = browser.put(
        f"{PREFIX}/aliases/{quote(alias, safe='')}", json={"collection": collection}
    )
    assert moved.json()["switched"]


@pytest.mark.parametrize(("alias", "collection"), ODD)
def test_pages_lead_to_an_index_of_any_name_and_their_forms_keep_its_collection(
    world, browser, alias, collection
):
    theirs(world, alias, collection)
    deployment = through(world, world.deploy(alias))["id"]
    link = f"/indexes/{quote(alias, safe='')}"
    for page in ("/", "/deployments", f"/deployments/{deployment}"):
        assert f'href="{link}"' in browser.get(page).text
    page = browser.get(link)
    assert page.status_code == 200
    secret = page.text.split('name="csrf" value="')[1].split('"')[0]
    form = {"csrf": secret, "collection": collection, "back": link}
    answer = browser.post("/keep", data=form)
    assert answer.headers["location"].partition("?")[0] == link, answer.text
    [row] = browser.get(f"{PREFIX}/deletions").json()["deletions"]
    assert (row["collection"], row["status"]) == (collection, "kept")


def test_a_new_alias_is_named_strictly_wherever_it_is_made(world, browser):
    fill(world, "there")
    world.declare("no.t here", source=world.write("docs.jsonl", texts(5)))
    for act in (
        lambda: commands.create_alias(world.services, "no.t here", "there", actor="anna"),
        lambda: world.deploy("no.t here"),
    ):
        with pytest.raises(
            Refused, match=r"alias name 'no\.t here' is not allowed: expected 1 to 128 letters"
        ):
            act()
    answer = browser.post(f"{PREFIX}/aliases", json={"alias": "no.t here", "collection": "there"})
    assert answer.status_code == 422
    assert world.store.aliases() == {}


def test_an_alias_that_no_request_can_name_can_be_listed_and_removed(world):
    fill(world, "there")
    world.store.point_alias("a/b", "there")
    with pytest.raises(Refused, match="alias name 'a/b' is not allowed: Qdrant takes"):
        world.deploy("a/b")
    assert commands.delete_alias(world.services, "a/b", actor="anna") == {"deleted": True}
    assert world.store.aliases() == {}


def test_the_final_backup_of_a_collection_of_any_name_is_made_before_it_goes(world):
    theirs(world, "docs.live", "a%2Fb \n#", grace_period_minutes=0)
    through(world, world.deploy("docs.live"))
    for _ in range(2):
        final.begin_final_backups(world.services)
        for record in backups.list_backups(world.services):
            through(world, record["backup_id"])
        garbage_collection.collect_garbage(world.services, actor="anna")
        world.clock.move(1)
    assert "a%2Fb \n#" not in world.store.collections()
    [made] = backups.list_backups(world.services)
    assert (made["status"], made["collection"], made["points"]) == ("done", "a%2Fb \n#", 25)
