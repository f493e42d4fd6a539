"""What agents can do, with the official client: in memory and over HTTP on a world that the test
moves, over stdio on a real process."""

import asyncio
import itertools
import json
import os
import re
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from sqlalchemy import text
from starlette.testclient import TestClient

from qdrant_rollouts.adapters.qdrant_local import LocalStore
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.errors import Unavailable
from qdrant_rollouts.core.lifecycle import Event, Status
from qdrant_rollouts.core.operations.asking import judgments
from qdrant_rollouts.core.operations.views.overview.deployment_situation import (
    get_deployment_with_situation,
)
from qdrant_rollouts.core.routing import Routers
from qdrant_rollouts.interfaces.access import tokens
from qdrant_rollouts.interfaces.access.planning import PLACES
from qdrant_rollouts.interfaces.cli import main
from qdrant_rollouts.interfaces.cli.groups import walk_verbs
from qdrant_rollouts.interfaces.http.app import make_mcp_app
from qdrant_rollouts.interfaces.mcp import answers
from qdrant_rollouts.interfaces.mcp.guard import SCOPE_OF, Guard
from qdrant_rollouts.interfaces.mcp.server import make_server
from qdrant_rollouts.interfaces.mcp.words import COMMAND, for_agents
from tests.agents import Agent, over_http, over_stdio, served
from tests.roster import BULK, CONTROL, says
from tests.schedules import Failing
from tests.shell import Shell
from tests.world import EMBEDDING, World, texts

ROOT = Path(__file__).parents[2]
READING = ["search_with_alias", "list_indexes", "get_deployment", "list_versions", "ask_both"]
WRITING = [
    "plan_deployment",
    "deploy_new_index",
    "roll_back_index",
    "mark_version",
    "judge_answers",
]


def deploy_docs_and_declare_other(world):
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    world.declare("other", source=world.write("other.jsonl", texts(8)))
    world.deploy("docs")
    world.run()


@pytest.fixture
def world(tmp_path, ready_sqlite_url, saved_worlds):
    """A live index, and one that is declared only."""
    made = World(tmp_path, ready_sqlite_url)
    saved_worlds.begin(made, deploy_docs_and_declare_other)
    yield made
    made.close()


@pytest.fixture
def agent(world):
    return Agent(world)


# --- search ---------------------------------------------------------------------------------------


def test_a_search_says_what_answered_and_how_well(world, agent):
    found = agent.call(
        "search_with_alias", query="text 7 about asyncio and python", alias="docs", limit=3
    )
    live = world.store.aliases()["docs"]
    assert (found["alias"], found["collection"], found["version"], found["variant"]) == (
        "docs",
        live,
        1,
        "live",
    )
    assert len(found["results"]) == 3
    assert found["results"][0]["payload"] == {"id": 7, "text": "text 7 about asyncio and python"}
    scores = [hit["score"] for hit in found["results"]]
    assert scores == sorted(scores, reverse=True)
    assert found["note"] == ""


def test_the_schema_tells_a_model_the_bounds_before_it_asks(agent):
    tools = {tool.name: tool for tool in agent.ask(lambda client: client.list_tools()).tools}
    limit = tools["search_with_alias"].input_schema["properties"]["limit"]
    assert (limit["minimum"], limit["maximum"], limit["default"]) == (1, 50, 10)
    assert (
        tools["search_with_alias"].input_schema["properties"]["alias"]["default"] == "documentation"
    )
    assert all(tool.description and tool.output_schema for tool in tools.values())
    assert tools["search_with_alias"].annotations.read_only_hint is True
    assert tools["deploy_new_index"].annotations.read_only_hint is False


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"alias": "dcos"}, "known: docs"),
        ({"limit": 0}, "limit is 0; expected 1 to 50"),
        ({"limit": 51}, "limit is 51; expected 1 to 50"),
        ({"query": "  "}, "query is empty"),
        ({"query": "x" * 4001}, "4,001 characters; at most 4,000"),
    ],
)
def test_what_makes_no_sense_is_said_so_that_a_model_can_mend_it(agent, arguments, words):
    assert words in agent.refusal(
        "search_with_alias", **{"query": "asyncio", "alias": "docs", **arguments}
    )


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        (
            "search_with_alias",
            {"query": "x", "top_k": 3, "index": "docs"},
            "search_with_alias has no argument 'top_k', 'index'; it takes query, alias, limit, "
            "user_id",
        ),
        (
            "list_indexes",
            {"alias": "docs"},
            "list_indexes has no argument 'alias'; it takes limit, after",
        ),
        (
            "get_deployment",
            {"deployment_id": "x", "id": "y"},
            "it takes deployment_id, wait_seconds",
        ),
        ("deploy_new_index", {"alias": "docs", "force": True}, "it takes alias, source, validate"),
        ("search_with_alias", {}, "query: missing; this argument is required"),
        ("search_with_alias", {"query": "x", "limit": "many"}, "limit: found 'many'; "),
        ("get_deployment", {"deployment_id": ["x"] * 10_000}, "deployment_id: found ['x', 'x'"),
        (
            "serch",
            {},
            "Unknown tool 'serch'; there are: search_with_alias, list_indexes, get_deployment",
        ),
    ],
)
def test_arguments_that_a_tool_does_not_take_are_refused_with_those_it_does(
    agent, tool, arguments, words
):
    refused = agent.refusal(tool, **arguments)
    assert words in refused
    assert "pydantic" not in refused
    assert len(refused) < 500


def test_a_refused_argument_starts_nothing(world, agent):
    agent.refusal("deploy_new_index", alias="other", dry_run=True)
    assert [one["deployment"] for one in agent.call("list_indexes")["indexes"]] == [None, None]


def test_every_schema_says_that_there_is_nothing_else(agent):
    tools = agent.ask(lambda client: client.list_tools()).tools
    assert all(tool.input_schema["additionalProperties"] is False for tool in tools)
    assert {tool.name for tool in tools} == set(SCOPE_OF)


def test_an_unknown_resource_names_those_there_are(agent):
    with pytest.raises(MCPError, match=r"rollouts://deployments/\{id\}/gate"):
        agent.read("rollouts://nothing/here")


def test_a_qdrant_that_does_not_answer_is_named_and_not_hidden(world):
    away = Failing(
        world.store, Unavailable("Qdrant at http://127.0.0.1:1 did not answer"), "aliases", "search"
    )
    world.services = replace(world.services, store=away)
    assert "did not answer" in Agent(world).refusal(
        "search_with_alias", query="asyncio", alias="docs"
    )


def test_what_nobody_foresaw_stays_hidden(world):
    world.services = replace(
        world.services, store=Failing(world.store, KeyError("a secret"), "aliases")
    )
    refused = Agent(world).refusal("list_indexes")
    assert "secret" not in refused
    assert "call again later" in refused


def test_long_payloads_are_cut_and_the_answer_says_so(world, agent):
    records = [
        {"id": number, "text": f"asyncio {number} " * 1000, "note": "kept"} for number in range(30)
    ]
    world.declare("other", source=world.write("other.jsonl", records))
    world.deploy("other")
    world.run()
    found = agent.call("search_with_alias", query="asyncio", alias="other", limit=30)
    assert len(json.dumps(found["results"])) < answers.ANSWER_SIZE + 30 * 200
    assert all(hit["payload"]["text"].endswith("[…]") for hit in found["results"])
    assert all(hit["payload"]["note"] == "kept" for hit in found["results"])
    assert "cut" in found["note"]


def test_fields_without_room_are_left_out_and_the_rest_is_whole():
    kept, cut = answers.bound_payload({"a": "short", "b": list(range(1000)), "c": 1}, 100)
    assert (kept, cut) == ({"a": "short", "c": 1}, True)
    assert answers.bound_payload({"a": "short"}, 100) == ({"a": "short"}, False)


# --- looks ----------------------------------------------------------------------------------------


def test_indexes_are_listed_with_what_serves_and_what_is_only_declared(world, agent):
    docs, other = sorted(agent.call("list_indexes")["indexes"], key=lambda one: one["alias"])
    assert (docs["alias"], docs["version"], docs["points"]) == ("docs", 1, 30)
    assert (docs["source"], docs["model"]) == ("jsonl:docs.jsonl", "hashing:64")
    assert (other["alias"], other["collection"], other["declared"]) == ("other", None, True)
    started = world.deploy("other")
    assert {one["alias"]: one["deployment"] for one in agent.call("list_indexes")["indexes"]} == {
        "docs": None,
        "other": started,
    }


def test_indexes_are_listed_while_qdrant_is_away_and_what_is_missing_is_said(world):
    world.services = replace(
        world.services, store=Failing(world.store, Unavailable("Qdrant is away"), "aliases")
    )
    listed = Agent(world).call("list_indexes")
    assert listed["note"] == "Qdrant is away"
    assert {one["alias"]: one["version"] for one in listed["indexes"]} == {"docs": 1, "other": None}


def test_a_deployment_that_the_gate_stopped_says_why_and_what_to_do(world, agent):
    stopped = world.deploy(
        "docs", options={"validation": {"queries": ["asyncio"], "min_top_score": 0.999}}
    )
    world.run()
    seen = agent.call("get_deployment", deployment_id=stopped[:6])
    assert (seen["id"], seen["status"], seen["moving"]) == (stopped, "rolled_back", False)
    assert seen["gate"]["verdict"] == "block"
    assert any("min_top_score" in row and "0.999" in row for row in seen["gate"]["not_passed"])
    assert "correct" in seen["next"]
    situation = seen["situation"]
    assert situation["now"].startswith("It did not go live: validate failed: ")
    assert "(min_top_score" in situation["now"], "the words of the message"
    assert situation["now"].partition(": validate")[2].partition(")")[0] in seen["message"]
    assert situation["until"] == f"it ended at {seen['finished_at']}"
    assert situation["needed"].startswith("Nothing at once")
    assert situation["advice"].startswith("Look at the answers")
    assert not situation["person"]
    report = agent.read(seen["gate"]["report"])
    assert report == world.status(stopped)["gate"]


def test_resources_are_deployments_as_the_command_line_tells_them(world, agent):
    started = world.deploy("other")
    assert agent.read(f"rollouts://deployments/{started}") == json.loads(
        json.dumps(get_deployment_with_situation(world.services, started))
    )
    assert [
        one["id"] for one in agent.read("rollouts://indexes/other/deployments")["deployments"]
    ] == [started]
    templates = agent.ask(lambda client: client.list_resource_templates()).resource_templates
    says(world, CONTROL, BULK)
    assert [one["name"] for one in agent.read("rollouts://queues/bulk/workers")["workers"]] == [
        "bulk@one"
    ]
    assert "rollouts://deployments/{id}/gate" in [template.uri_template for template in templates]


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("rollouts://deployments/none", "there is no deployment"),
        ("rollouts://deployments/{id}/gate", "no gate report"),
    ],
)
def test_a_resource_that_is_not_there_says_so(world, agent, uri, words):
    started = world.deploy("other")
    with pytest.raises(MCPError, match=words):
        agent.read(uri.format(id=started))


def test_an_unknown_deployment_and_a_wait_too_long_are_refused_in_words(world, agent):
    assert "there is no deployment 'none'" in agent.refusal("get_deployment", deployment_id="none")
    assert "expected 0 to 50" in agent.refusal(
        "get_deployment", deployment_id="none", wait_seconds=51
    )


def test_a_wait_reports_progress_and_ends_in_time(world, agent):
    started = world.deploy("other")
    world.run(until=world.at(started, "populate"))
    seen = agent.call("get_deployment", deployment_id=started, wait_seconds=1)
    assert seen["moving"] is True
    assert [(done, total) for done, total, _ in agent.progress] == [(1.0, 6.0)]


def test_progress_only_grows_whatever_becomes_of_the_deployment(world):
    """Over HTTP, while it is moved: forth, then back by an abort."""
    started = world.deploy("other", options={"soak": {"seconds": 0.3, "interval_seconds": 0.1}})
    heard = []
    ends = threading.Event()

    async def hear(done, total, message):
        heard.append(done)

    def hears(count):
        while len(heard) < count and not ends.wait(0.05):
            pass

    def move():
        hears(1)
        world.run(until=world.at(started, "validate"))
        hears(2)
        commands.request_action(world.services, started, Event.ABORT, actor="anna")
        while not ends.wait(0.3):
            world.run()

    waiting = {"deployment_id": started, "wait_seconds": 20}
    mover = threading.Thread(target=move)
    with served(world) as url:
        mover.start()
        seen = over_http(
            url, lambda client: client.call_tool("get_deployment", waiting, progress_callback=hear)
        )
        ends.set()
        mover.join()
    assert seen.structured_content["status"] == "rolled_back"
    assert len(heard) >= 2
    assert all(before < after for before, after in itertools.pairwise(heard))


# --- what to do without a shell -------------------------------------------------------------------


def test_a_command_in_a_message_is_followed_by_what_an_agent_can_do(agent):
    refused = agent.refusal("get_deployment", deployment_id="none")
    assert "`rollouts list` shows them" in refused
    assert "list_indexes" in refused
    assert "rollouts://indexes/ALIAS/deployments" in refused


def test_the_command_that_keeps_a_collection_is_followed_too(world, agent):
    """Wherever deletions are told of: of an index, of a deployment just begun, and of one under
    way."""
    world.deploy("docs")
    world.run()
    started = agent.call("deploy_new_index", alias="docs")
    told = [started, agent.call("get_deployment", deployment_id=started["deployment_id"])]
    world.run()
    index = next(one for one in agent.call("list_indexes")["indexes"] if one["alias"] == "docs")
    for deletions in (*(one["deletions"] for one in told), index["deletions"]):
        assert deletions
        assert all("rollouts keep" in text and "Without a shell" in text for text in deletions)


@pytest.mark.parametrize(
    ("text", "act"),
    [
        ("it runs; `rollouts abort d1` ends it", "ask a person"),
        (
            "rollouts promote d1, rollouts retry d1 or rollouts abort d1",
            "rollouts promote, rollouts retry, rollouts abort",
        ),
        ("see rollouts status d1", "get_deployment"),
        ("`rollouts alias list` shows what is served", "list_indexes"),
        ("`rollouts alias switch a b`", "ask a person"),
        ("`rollouts deploy` can name one", "deploy_new_index"),
        ("`rollouts versions docs`", "list_indexes"),
        ("another process has it, such as `rollouts up`", "ask a person"),
    ],
)
def test_every_command_has_an_act_of_an_agent(text, act):
    said = for_agents(text)
    assert said.startswith(text)
    assert act in said.removeprefix(text)


def test_what_names_no_command_stays_as_it_is():
    assert (
        for_agents("alias dcos does not exist; known: docs")
        == "alias dcos does not exist; known: docs"
    )


def test_every_command_that_the_core_names_is_known_to_the_command_line():
    """The pattern finds whole commands: each is one of the program's."""
    told = [path.read_text(encoding="utf-8") for path in (ROOT / "core").rglob("*.py")]
    found = {command for text in told for command in COMMAND.findall(text)}
    assert len(found) > 15
    verbs = {verb for verb, _ in walk_verbs(main, "rollouts")}
    groups = {verb.rpartition(" ")[0] for verb in verbs}
    assert found <= verbs | groups


def test_what_is_to_be_done_names_a_tool_for_every_status():
    for status in Status:
        assert re.search(
            "get_deployment|search_with_alias|deploy_new_index", answers.next_action(status)
        ), status


# --- deployments ----------------------------------------------------------------------------------


def test_without_leave_the_tool_that_writes_is_not_even_there(world):
    reader = Agent(world, deploys=False)
    assert reader.tools() == READING
    assert "Unknown tool" in reader.refusal("deploy_new_index", alias="docs")
    assert Agent(world).tools() == [*READING, *WRITING]


def test_a_plan_says_what_a_deployment_would_take_and_starts_none(world, agent):
    told = agent.call("plan_deployment", alias="other", source="jsonl:other.jsonl")
    plan = told["plan"]
    assert (plan["way"], plan["records"]["value"], plan["texts"]["value"]) == ("records", 8, 8)
    assert "nothing was changed" in told["next"]
    assert plan["errors"]["plans"] == []
    [compared] = agent.call("plan_deployment", alias="docs")["plan"]["errors"]["plans"]
    assert compared["records"] == {"planned": 30, "took": 30, "error": 0, "within": True}
    assert "other" not in world.store.aliases()
    assert "is not what the index file declares" in agent.refusal(
        "plan_deployment", alias="docs", source="jsonl:secrets.jsonl"
    )
    assert "declared: docs, other" in agent.refusal("plan_deployment", alias="nothing")


def test_a_plan_is_said_to_reach_outside_and_only_one_of_an_index_is_made(agent):
    tools = {tool.name: tool for tool in agent.ask(lambda client: client.list_tools()).tools}
    hints = tools["plan_deployment"].annotations
    assert (hints.read_only_hint, hints.open_world_hint) == (True, True)
    with PLACES.take_place("docs"):
        assert "try again" in agent.refusal("plan_deployment", alias="docs")
        assert agent.call("plan_deployment", alias="other")["plan"]["records"]["value"] == 8


def test_a_declared_index_is_deployed_at_once_and_told_of_until_it_is_live(world, agent):
    started = agent.call("deploy_new_index", alias="other", source="jsonl:other.jsonl")
    assert (started["status"], started["old_collection"]) == ("pending", None)
    world.run()
    seen = agent.call("get_deployment", deployment_id=started["deployment_id"])
    assert (seen["status"], seen["new_collection"]) == ("live", started["new_collection"])
    assert seen["gate"]["verdict"] == "pass"
    assert (
        agent.call("search_with_alias", query="text", alias="other")["collection"]
        == started["new_collection"]
    )
    begun = world.status(started["deployment_id"])["events"][0]
    assert (begun["actor"], begun["source"]) == ("token:agent", "mcp")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"alias": "nothing"}, "declared: docs, other"),
        ({"source": "jsonl:secrets.jsonl"}, "declares for docs: 'jsonl:docs.jsonl'"),
        ({"source": "python:os:system"}, "is not what the index file declares"),
        ({"validate": False}, "no gate|only after its gate has passed"),
    ],
)
def test_nothing_undeclared_and_nothing_unchecked_is_deployed(world, agent, arguments, words):
    before = agent.call("list_indexes")
    assert any(
        word in agent.refusal("deploy_new_index", **{"alias": "docs", **arguments})
        for word in words.split("|")
    )
    assert agent.call("list_indexes") == before


def test_versions_are_marked_and_gone_back_to(world, agent):
    for _ in range(2):
        world.deploy("docs")
        world.run()
    seen = agent.call("list_versions", alias="docs", limit=2)
    assert (seen["total"], [one["number"] for one in seen["versions"]]) == (3, [3, 2])
    assert [one["rollback_target"] for one in seen["versions"]] == [False, True]
    marked = agent.call("mark_version", alias="docs", version="2", reason="wrong prices")
    assert marked["marked_bad"] == "marked bad by token:agent: wrong prices"
    refused = agent.refusal("roll_back_index", alias="docs", version="2")
    assert "--force" in refused
    assert "Without a shell" in refused
    started = agent.call("roll_back_index", alias="docs", version="1", reason="wrong prices")
    assert "as they were when" in started["warnings"][0]
    world.run()
    assert agent.call("get_deployment", deployment_id=started["deployment_id"])["status"] == "live"
    assert agent.call("list_versions", alias="docs")["versions"][-1]["state"] == "live"


def test_a_call_repeated_with_its_key_begins_nothing_more(world, agent):
    for _ in range(2):
        world.deploy("docs")
        world.run()
    asked = {"alias": "docs", "key": "after the timeout"}
    first = agent.call("roll_back_index", **asked)
    world.run()
    assert agent.call("roll_back_index", **asked) == first
    other = agent.refusal("deploy_new_index", **asked)
    assert "was sent with another request before; take a new key" in other
    world.run()
    assert agent.call("list_versions", alias="docs")["versions"][1]["state"] == "live"
    started = agent.call("deploy_new_index", alias="other", key="another")
    world.run()
    assert agent.call("deploy_new_index", alias="other", key="another") == started


def test_two_versions_are_asked_side_by_side_and_their_answers_are_judged(world, agent):
    lonely = agent.call("ask_both", alias="docs", query="asyncio")
    assert (lonely["summary"], lonely["right"]) == ("There is only one version to ask", None)
    world.deploy("docs")
    world.run()
    found = agent.call("ask_both", alias="docs", query=" asyncio and python ", limit=5)
    assert found["query"] == "asyncio and python"
    assert [found[side]["version"] for side in ("left", "right")] == [2, 1]
    assert [one["rank"] for one in found["left"]["answers"]] == [1, 2, 3, 4, 5]
    assert {one["moved"] for one in found["left"]["answers"]} <= {"same", "tied"}
    assert found["summary"] == "5 of 5 in both, none of them moved"
    assert "v9" in agent.refusal("ask_both", alias="docs", query="x", right="v9")
    best = found["left"]["answers"][0]["record"]
    line = {"alias": "docs", "query": "asyncio and python", "relevant": [best], "reason": "it is"}
    assert agent.call("judge_answers", **line)["lines"] == 1
    assert agent.call("judge_answers", **line)["changed"] is False
    assert "a judgment has a reason" in agent.refusal("judge_answers", **{**line, "reason": " "})
    (told,) = judgments.read_proposal(world.services, "docs")["lines"]
    assert (told["relevant"], told["by"]) == ([best], "token:agent")


def test_a_second_deployment_is_refused_with_the_first_ones_id(agent):
    first = agent.call("deploy_new_index", alias="other")["deployment_id"]
    assert first in agent.refusal("deploy_new_index", alias="other")


@pytest.mark.parametrize(
    ("scope", "tool", "arguments"),
    [
        ("read", "search_with_alias", {"query": "asyncio", "alias": "docs"}),
        ("search", "list_indexes", {}),
        ("search", "get_deployment", {"deployment_id": "x"}),
        ("read", "deploy_new_index", {"alias": "docs"}),
        ("read", "plan_deployment", {"alias": "docs"}),
    ],
)
def test_a_token_reaches_no_further_than_its_scopes(world, scope, tool, arguments):
    words = Agent(world, scope).refusal(tool, **arguments)
    assert "token:agent may not do this: the scope" in words
    assert "rollouts token create NAME --scope" in words
    left = {
        tool
        for tool, needed in SCOPE_OF.items()
        if needed == scope or (scope == "deploy" and needed == "read")
    }
    assert all(one in words for one in left), words


def test_a_resource_needs_the_scope_to_read(world):
    started = world.deploy("other")
    with pytest.raises(MCPError, match="the scope read is missing"):
        Agent(world, "search").read(f"rollouts://deployments/{started}")


def test_a_search_is_answered_while_the_database_is_away(world, agent):
    """The route is known already; what is not known is said."""

    async def asked():
        with closing(Routers(world.services, lent=False)) as routers:
            server = make_server(
                world.services, routers, Guard(lambda context: agent.caller), deploys=False
            )
            async with Client(server) as client:
                arguments = {"query": "asyncio", "alias": "docs"}
                await client.call_tool("search_with_alias", arguments)
                with world.services.sessions.begin() as session:
                    session.execute(text("ALTER TABLE versions RENAME TO elsewhere"))
                return (await client.call_tool("search_with_alias", arguments)).structured_content

    found = asyncio.run(asked())
    assert len(found["results"]) == 10
    assert (found["version"], found["note"]) == (
        None,
        "the database did not answer, so the version is not known",
    )


# --- over stdio -----------------------------------------------------------------------------------


RECORDS = [{"id": number, "text": f"text {number} about asyncio"} for number in range(20)]
DECLARED = {
    "source": "jsonl:docs.jsonl",
    "embedding": EMBEDDING,
    "soak": {"seconds": 0.2, "interval_seconds": 0.1},
}


@pytest.fixture
def folder(tmp_path):
    """An installation with nothing set and nothing running."""
    place = tmp_path / "elsewhere"
    place.mkdir()
    (place / "docs.jsonl").write_text("\n".join(map(json.dumps, RECORDS)), encoding="utf-8")
    (place / "rollouts.yaml").write_text(
        json.dumps({"indexes": {"docs": DECLARED}}), encoding="utf-8"
    )
    return place


def test_over_stdio_a_deployment_is_started_followed_to_its_end_and_searched(folder):
    async def story(client):
        started = (await client.call_tool("deploy_new_index", {"alias": "docs"})).structured_content
        waiting = {"deployment_id": started["deployment_id"], "wait_seconds": 50}
        for _ in range(3):
            seen = (await client.call_tool("get_deployment", waiting)).structured_content
            if not seen["moving"]:
                break
        asked = {"query": "text 3 about asyncio", "alias": "docs", "limit": 1}
        found = (await client.call_tool("search_with_alias", asked)).structured_content
        return started, seen, found

    (started, seen, found), errors = over_stdio(folder, story, ROLLOUTS_MCP_DEPLOY="true")
    assert (seen["status"], seen["gate"]["verdict"]) == ("live", "pass"), errors
    assert (found["collection"], found["version"]) == (started["new_collection"], 1)
    assert found["results"][0]["payload"]["text"] == "text 3 about asyncio"
    assert "Traceback" not in errors


def test_over_stdio_and_by_default_nothing_can_be_changed_and_the_store_is_given_back(folder):
    async def story(client):
        tools = [tool.name for tool in (await client.list_tools()).tools]
        listed = (await client.call_tool("list_indexes", {})).structured_content["indexes"]
        refused = await client.call_tool("search_with_alias", {"query": "x", "alias": "docs"})
        with closing(LocalStore(folder / ".rollouts" / "qdrant")) as store:
            return tools, listed, refused.content[0].text, store.aliases()

    (tools, listed, refused, aliases), errors = over_stdio(folder, story)
    assert tools == READING
    assert [(one["alias"], one["collection"], one["deployment"]) for one in listed] == [
        ("docs", None, None)
    ]
    assert "alias docs does not exist" in refused
    assert aliases == {}
    assert "Traceback" not in errors


def test_nothing_but_the_protocol_is_on_stdout_and_the_end_of_stdin_is_the_end(folder):
    hello = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "ROLLOUTS_SPELT_WRONG": "1"}
    command = [sys.executable, "-m", "qdrant_rollouts.interfaces.cli", "mcp"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes) as process:
        said = []
        for number, (method, params) in enumerate(
            [("initialize", hello), ("tools/list", {}), ("ping", {})]
        ):
            request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            said.append(json.loads(process.stdout.readline()))
        rest, errors = process.communicate(timeout=60)
    assert [(answer["id"], "result" in answer) for answer in said] == [
        (0, True),
        (1, True),
        (2, True),
    ]
    assert (process.returncode, rest) == (0, "")
    assert "ROLLOUTS_SPELT_WRONG is not a setting" in errors


# --- over HTTP ------------------------------------------------------------------------------------


def statuses(url, **headers):
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    accept = {"Accept": "application/json, text/event-stream"}
    return httpx.post(
        f"{url}/mcp", json=body, headers={**accept, **headers}, trust_env=False
    ).status_code


def token(world, *scopes):
    return tokens.create_token(world.services, "-".join(scopes), scopes, actor="anna")["token"]


SEARCH = ("search_with_alias", {"query": "asyncio", "alias": "docs", "limit": 2})


def test_over_http_a_person_at_this_machine_needs_no_token_while_there_is_none(world):
    with served(world) as url:
        found = over_http(url, lambda client: client.call_tool(*SEARCH))
        tools = over_http(url, lambda client: client.list_tools()).tools
    assert len(found.structured_content["results"]) == 2
    assert "deploy_new_index" in [tool.name for tool in tools]


def test_over_http_nobody_gets_in_without_a_token_once_there_is_one(world):
    with served(world) as url:
        mine = token(world, "search")
        assert statuses(url) == 401
        assert statuses(url, Authorization="Bearer rlt_no_token") == 401
        found = over_http(url, lambda client: client.call_tool(*SEARCH), mine)
        assert len(found.structured_content["results"]) == 2
        tokens.revoke_token(world.services, "search", actor="anna")
        until(lambda: statuses(url, Authorization=f"Bearer {mine}") == 401)


def test_over_http_a_token_reaches_as_far_as_its_scopes_and_is_the_actor(world):
    with served(world) as url:
        searching = token(world, "search")
        deploying = token(world, "deploy")
        refused = over_http(
            url, lambda client: client.call_tool("deploy_new_index", {"alias": "other"}), searching
        )
        started = over_http(
            url, lambda client: client.call_tool("deploy_new_index", {"alias": "other"}), deploying
        )
    assert refused.is_error
    assert "token:search may not do this: the scope deploy is missing" in refused.content[0].text
    begun = world.status(started.structured_content["deployment_id"])["events"][0]
    assert (begun["actor"], begun["source"]) == ("token:deploy", "mcp")


def test_over_http_progress_arrives_while_the_call_waits(world):
    started = world.deploy("other")
    heard = []

    async def hear(done, total, message):
        heard.append((done, total))

    waiting = {"deployment_id": started, "wait_seconds": 1}
    with served(world) as url:
        seen = over_http(
            url, lambda client: client.call_tool("get_deployment", waiting, progress_callback=hear)
        )
    assert seen.structured_content["status"] == "pending"
    assert heard[0] == (0.0, 6.0)


def test_over_http_other_sites_are_not_let_in(world):
    with served(world) as url:
        assert statuses(url, Host="evil.example") == 403
        assert statuses(url, Origin="https://evil.example") == 403
        assert httpx.get(f"{url}/mcp", trust_env=False).status_code == 405


def test_over_http_a_client_of_the_protocol_before_is_served_too(world):
    async def asked(url):
        async with Client(f"{url}/mcp", mode="legacy") as client:
            return await client.call_tool(*SEARCH)

    with served(world) as url:
        assert len(asyncio.run(asked(url)).structured_content["results"]) == 2


def test_what_only_agents_ask_has_health_and_nothing_else(world):
    app = make_mcp_app(world.services, Settings(_env_file=None))
    with TestClient(app, base_url="http://localhost:8601", client=("127.0.0.1", 50000)) as client:
        assert client.get("/livez").status_code == 200
        assert client.get("/metrics").status_code == 404
        assert client.get("/api/v1/me").status_code == 404


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        ((), {}, "the embedded Qdrant belongs to one process"),
        (
            ("--host", "192.0.2.1"),
            {"ROLLOUTS_QDRANT_URL": "http://127.0.0.1:1"},
            "there is no token: make one with",
        ),
    ],
)
def test_what_would_let_everybody_in_or_keep_others_out_is_refused_at_the_start(
    folder, arguments, settings, words
):
    answer = Shell(folder)("mcp", "--http", "--port", "0", *arguments, **settings)
    assert answer.exit_code == 2
    assert words in answer.stderr


def until(condition, seconds=60):
    pause = threading.Event()
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not happen in time"
        pause.wait(0.1)
