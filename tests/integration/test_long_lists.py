"""Hundreds of indexes: every list is a page that says how many there are and how to go on."""

from itertools import pairwise

import pytest
from starlette.testclient import TestClient

from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.errors import Malformed, Unknown
from qdrant_rollouts.core.operations.views.overview import home
from qdrant_rollouts.core.operations.views.overview.store_snapshot import StoreSnapshot
from qdrant_rollouts.interfaces.http.app import make_app
from qdrant_rollouts.interfaces.mcp import answers
from tests import crowds
from tests.world import World

INDEXES = 450


@pytest.fixture
def world(tmp_path, ready_url):
    """Every third index waits for a place, every third has a canary that waits, and the last one
    serves from another collection than it should."""
    made = World(tmp_path, ready_url)
    now = made.clock.moment
    with made.services.sessions.begin() as session:
        crowds.write_served(session, now, range(INDEXES))
        crowds.write_waiting(session, now, range(0, INDEXES, 3), crowds.AGE)
        crowds.write_queued(session, now, range(1, INDEXES, 3))
    yield made
    made.close()


@pytest.fixture
def seen(world):
    names = map(crowds.name_alias, range(INDEXES - 1))
    aliases = {name: f"{name}_1" for name in names} | {crowds.name_alias(INDEXES - 1): "foreign"}
    return StoreSnapshot(aliases, frozenset(aliases.values()), world.clock.moment)


@pytest.fixture
def web(world):
    app = make_app(world.services, Settings(_env_file=None))
    return TestClient(app, base_url="http://localhost:8600", client=("127.0.0.1", 50000))


def walk(world, seen, limit):
    pages = []
    after = None
    while True:
        page = home.describe_home(world.services, seen, limit, after)
        pages.append(page)
        after = page["next"]
        if after is None:
            return pages


def test_all_indexes_are_on_some_page_each_once_in_the_order_of_their_ranks(world, seen):
    pages = walk(world, seen, 200)
    assert [len(page["indexes"]) for page in pages] == [200, 200, 50]
    assert {(page["total"], page["attention"]) for page in pages} == {(INDEXES, 1)}
    found = [one for page in pages for one in page["indexes"]]
    assert sorted(one["alias"] for one in found) == [*map(crowds.name_alias, range(INDEXES))]
    assert all(one["rank"] >= other["rank"] for one, other in pairwise(found))
    assert found[0]["alias"] == crowds.name_alias(INDEXES - 1)
    assert "leads to foreign" in found[0]["attention"][0]["text"]
    assert {one["rank"] for one in found[1:301]} == {2}


def test_a_page_says_the_same_of_an_index_as_a_look_at_it_alone(world, seen):
    for number in (0, 1, 2, INDEXES - 1):
        alias = crowds.name_alias(number)
        pages = walk(world, seen, 200)
        (listed,) = (one for page in pages for one in page["indexes"] if one["alias"] == alias)
        assert home.find_index(world.services, alias, seen) == listed


def test_of_hundreds_of_known_indexes_a_refusal_names_some_and_counts_the_rest(world, seen):
    with pytest.raises(Unknown, match=r"index-00019 and 430 more$"):
        home.find_index(world.services, "other", seen)
    with pytest.raises(Unknown, match="alias other neither exists"):
        home.find_index(world.services, "other", seen)


@pytest.mark.parametrize("after", ["other", "7:docs", "x:docs", ":docs"])
def test_what_is_no_place_in_the_list_is_refused(world, seen, after):
    with pytest.raises(Malformed, match="say the `next` of the page before"):
        home.describe_home(world.services, seen, after=after)


def test_no_index_is_left_out_if_the_last_one_of_a_page_has_another_rank_by_the_next(world, seen):
    first = home.describe_home(world.services, seen, 1)
    assert first["indexes"][0]["rank"] > 2
    led = dict(seen.aliases)
    alias = first["indexes"][0]["alias"]
    led[alias] = f"{alias}_1"
    calm = StoreSnapshot(led, frozenset(led.values()), seen.at)
    rest = home.describe_home(world.services, calm, 1000, first["next"])
    ranks = {one["alias"]: one["rank"] for one in rest["indexes"]}
    assert set(map(crowds.name_alias, range(INDEXES))) - {alias} <= set(ranks)


def test_http_leads_from_page_to_page(world, web):
    first = web.get("/api/v1/indexes").json()
    assert (len(first["indexes"]), first["total"]) == (100, INDEXES)
    second = web.get("/api/v1/indexes", params={"limit": 400, "after": first["next"]}).json()
    assert (len(second["indexes"]), second["next"]) == (350, None)
    assert web.get("/api/v1/indexes", params={"after": "other"}).status_code == 422
    assert web.get("/api/v1/indexes", params={"limit": 1001}).status_code == 422


def test_an_agent_is_told_how_many_there_are_and_how_to_go_on(world, seen):
    found = answers.build_indexes(home.describe_home(world.services, seen, 50), {})
    assert (len(found.indexes), found.total) == (50, INDEXES)
    rest = answers.build_indexes(home.describe_home(world.services, seen, 50, found.next), {})
    assert not {one.alias for one in found.indexes} & {one.alias for one in rest.indexes}
