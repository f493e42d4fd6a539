"""Lists that agents read: page by page, and to their end by the official client, over every
transport."""

import json
from datetime import timedelta

import pytest
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS

from qdrant_rollouts.core.database.events import record_event
from qdrant_rollouts.core.database.models import Version
from qdrant_rollouts.core.defaults import ROWS
from qdrant_rollouts.interfaces.mcp import answers
from tests.agents import Agent, over_http, over_stdio, served
from tests.world import EMBEDDING, World, texts

COUNT = ROWS + 5
SCHEMA = {"params": {"vectors": {"size": 4, "distance": "Cosine"}}, "payload_schema": {}}
NAMES = [f"docs{number}" for number in range(COUNT)]
#: An alias of another program, which a path or a query string would understand otherwise.
THEIRS = "x:50%&b=ä c"
OF_THEIRS = "rollouts://indexes/x%3A50%25%26b%3D%C3%A4%20c"


def begin_a_deployment_of_each(world):
    source = world.write("docs.jsonl", texts(3))
    for alias in NAMES:
        world.declare(alias, source=source)
        world.deploy(alias)
        world.clock.move(1)


@pytest.fixture(scope="module")
def world(tmp_path_factory, ready_sqlite):
    """Of every list more than one page; nothing is changed by the tests."""
    folder = tmp_path_factory.mktemp("lists")
    (folder / "state.db").write_bytes(ready_sqlite.read_bytes())
    made = World(folder, f"sqlite:///{folder / 'state.db'}")
    begin_a_deployment_of_each(made)
    made.store.create("theirs", SCHEMA, {})
    made.store.point_alias(THEIRS, "theirs")
    with made.services.sessions.begin() as session:
        for number in range(COUNT):
            at = made.clock.moment + timedelta(seconds=number)
            record_event(session, at, "noted", f"{number} " * 1200, alias=THEIRS)
            version = Version(collection=f"old_{number}", alias=THEIRS, number=number + 100)
            version.created_at = at
            session.add(version)
    yield made
    made.close()


@pytest.fixture
def agent(world):
    return Agent(world)


def walk(agent, uri, rows):
    """The pages of a list, first to last."""
    while uri is not None:
        page = agent.read(uri)
        yield page[rows]
        uri = page["next"]


@pytest.mark.parametrize(
    ("uri", "rows", "key", "least"),
    [
        ("rollouts://indexes", "indexes", "alias", COUNT + 1),
        ("rollouts://deployments", "deployments", "id", COUNT),
        ("rollouts://events", "events", "id", 2 * COUNT),
        (f"{OF_THEIRS}/events", "events", "id", COUNT),
        (f"{OF_THEIRS}/versions", "versions", "collection", COUNT),
    ],
)
def test_every_list_is_read_to_its_end_and_has_each_row_once(agent, uri, rows, key, least):
    pages = list(walk(agent, uri, rows))
    found = [row[key] for page in pages for row in page]
    assert len(pages) > 1
    assert len(found) == len(set(found)) >= least
    assert all(0 < len(page) <= ROWS for page in pages)
    assert all(
        len(page) == 1 or len(json.dumps(page, ensure_ascii=False)) < answers.ANSWER_SIZE + 200
        for page in pages
    )


def test_a_list_is_the_newest_first_and_that_of_an_index_is_of_no_other(agent):
    times = [row["at"] for page in walk(agent, "rollouts://events", "events") for row in page]
    assert times == sorted(times, reverse=True)
    pages = walk(agent, f"{OF_THEIRS}/events", "events")
    assert {row["alias"] for page in pages for row in page} == {THEIRS}


def test_a_list_of_one_page_says_that_there_is_no_other(agent):
    assert agent.read("rollouts://experiments") == {"experiments": [], "next": None}
    assert agent.read("rollouts://indexes/docs1/deployments")["next"] is None


def test_events_are_narrowed_as_over_http_and_so_are_the_pages_that_follow(agent, world):
    asked = "rollouts://events?event=noted&text=%20&since=1900-01-01&until=2999-01-01"
    pages = list(walk(agent, asked, "events"))
    found = [row for page in pages for row in page]
    assert len(pages) > 1
    assert len(found) == len({row["id"] for row in found}) == COUNT
    assert {(row["event"], row["alias"]) for row in found} == {("noted", THEIRS)}
    theirs = OF_THEIRS.removeprefix("rollouts://indexes/")
    of_one = list(walk(agent, f"rollouts://events?alias={theirs}", "events"))
    assert len(of_one) > 1
    assert {row["alias"] for page in of_one for row in page} == {THEIRS}
    (one,) = agent.read(f"{OF_THEIRS}/events?text=24%20")["events"]
    assert one["detail"].startswith("24 ")
    deployment, *_ = agent.read("rollouts://indexes/docs1/deployments")["deployments"]
    of_deployment = agent.read(f"rollouts://events?deployment={deployment['id'][:12]}")["events"]
    assert {row["deployment_id"] for row in of_deployment} == {deployment["id"]}
    assert agent.read("rollouts://indexes/docs1/events?actor=nobody")["events"] == []
    assert agent.read("rollouts://events?until=2000-01-01") == {"events": [], "next": None}


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("rollouts://events?since=soon", "since is 'soon'; expected a time such as"),
        ("rollouts://events?text=" + "x" * 201, "201 characters; expected 1 to 200"),
        ("rollouts://events?deployment=nosuch", "there is no deployment 'nosuch'"),
        ("rollouts://events?actor=%00", "expected 1 to 200 without NUL"),
        ("rollouts://indexes/nothing/events?event=noted", "nothing is known of an index nothing"),
        ("rollouts://events?alias=nothing", "nothing is known of an index nothing"),
        ("rollouts://events?alias=a%2Fb", "is not allowed"),
        ("rollouts://indexes?after=docs1", "is no place in the list"),
        ("rollouts://events?after=docs1", "'docs1' is no place in the list"),
        ("rollouts://events?after=" + "9" * 40, "is no place in the list"),
        ("rollouts://indexes?after=" + "9" * 5000 + "%3Ax", "is no place in the list"),
        ("rollouts://events?after=%00", "is no place in the list"),
        ("rollouts://deployments?after=%00", "is no place in the list"),
        ("rollouts://indexes/a%00b/deployments", "is not allowed"),
        ("rollouts://indexes/docs1/events?after=-1", "is no place in the list"),
        ("rollouts://deployments?after=%2Fetc", "there is no deployment '/etc'"),
        ("rollouts://experiments?after=x", "there is no experiment 'x'"),
        (f"{OF_THEIRS}/versions?after=x", "'x' is no place in the list"),
        ("rollouts://indexes/nothing/versions", "there are no versions of nothing"),
        ("rollouts://indexes/nothing/events", "nothing is known of an index nothing"),
        ("rollouts://indexes/nothing/deployments", "nothing is known of an index nothing"),
    ],
)
def test_a_place_that_is_in_no_list_is_refused_in_words(agent, uri, words):
    with pytest.raises(MCPError, match=words) as refused:
        agent.read(uri)
    assert refused.value.error.code == INVALID_PARAMS
    assert len(refused.value.error.message) < 1000


# --- resources/list -------------------------------------------------------------------------------


async def list_every_resource(client):
    """All pages, as the protocol says: until there is no cursor."""
    pages = [await client.list_resources()]
    while pages[-1].next_cursor is not None:
        pages.append(await client.list_resources(cursor=pages[-1].next_cursor))
    return [[str(resource.uri) for resource in page.resources] for page in pages]


LISTS = [
    "rollouts://indexes",
    "rollouts://deployments",
    "rollouts://events",
    "rollouts://experiments",
]


def test_resources_are_listed_by_the_cursor_of_the_protocol_and_each_can_be_read(agent):
    async def story(client):
        pages = await list_every_resource(client)
        uris = [uri for page in pages for uri in page]
        return pages, {uri: await client.read_resource(uri) for uri in uris}

    pages, found = agent.ask(story)
    assert pages[0][: len(LISTS)] == LISTS
    assert len(pages[0]) <= len(LISTS) + 3 * ROWS
    assert len(pages) > 1
    assert sum(map(len, pages)) == len(found) == len(LISTS) + 2 * COUNT + 3
    assert all("next" in json.loads(read.contents[0].text) for read in found.values())


def test_a_cursor_that_is_none_is_an_invalid_parameter(agent):
    with pytest.raises(MCPError, match="is no place in the list") as refused:
        agent.ask(lambda client: client.list_resources(cursor="nowhere"))
    assert refused.value.error.code == INVALID_PARAMS


def test_who_may_read_nothing_is_listed_nothing(world):
    assert Agent(world, "search").ask(lambda client: client.list_resources()).resources == []


def test_over_http_the_list_is_read_to_its_end_by_a_server_that_remembers_nothing(world):
    with served(world) as url:
        pages = over_http(url, list_every_resource)
        page = over_http(url, lambda client: client.read_resource("rollouts://deployments"))
    assert sum(map(len, pages)) == len(LISTS) + 2 * COUNT + 3
    assert json.loads(page.contents[0].text)["next"].startswith("rollouts://deployments?after=")


def test_over_stdio_the_list_is_read_to_its_end(tmp_path):
    declared = {"source": "jsonl:docs.jsonl", "embedding": EMBEDDING}
    indexes = dict.fromkeys(NAMES, declared)
    (tmp_path / "rollouts.yaml").write_text(json.dumps({"indexes": indexes}), encoding="utf-8")

    async def story(client):
        first = json.loads((await client.read_resource(LISTS[0])).contents[0].text)
        second = json.loads((await client.read_resource(first["next"])).contents[0].text)
        return await list_every_resource(client), first, second

    (pages, first, second), errors = over_stdio(tmp_path, story)
    assert sum(map(len, pages)) == len(LISTS) + 2 * COUNT
    aliases = [index["alias"] for page in (first, second) for index in page["indexes"]]
    assert sorted(aliases) == sorted(NAMES)
    assert second["next"] is None
    assert "Traceback" not in errors
