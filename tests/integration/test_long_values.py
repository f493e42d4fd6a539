"""A value that is too long is cut wherever it comes back: over HTTP, from tasks, to agents, at the
terminal."""

import asyncio
from contextlib import closing
from inspect import signature

import pytest
from celery import Celery
from mcp import Client
from starlette.testclient import TestClient

from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.errors import AppError
from qdrant_rollouts.core.routing import Routers
from qdrant_rollouts.interfaces.access.tokens import Caller, expand_scopes
from qdrant_rollouts.interfaces.http.api import ENDPOINTS, PREFIX
from qdrant_rollouts.interfaces.http.app import make_app
from qdrant_rollouts.interfaces.mcp.guard import Guard
from qdrant_rollouts.interfaces.mcp.server import make_server
from qdrant_rollouts.tasks import commands
from tests.shell import Shell
from tests.world import World, texts

LONG = "x" * 200_000
#: As it is put, and as no message shows it: without a blank, and as words.
VALUES = {"one word": LONG, "many words": "a word " * 30_000}
MOST = 1_100
#: Any text will do.
_NOT_CHECKED = {"reason", "actor"}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    made = World(folder, f"sqlite:///{folder / 'state.db'}")
    made.declare("docs", source=made.write("docs.jsonl", texts(12)))
    made.deploy("docs")
    made.run()
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(world):
    app = make_app(world.services, Settings())
    with TestClient(app, base_url="http://localhost:8600", client=("127.0.0.1", 5)) as client:
        yield client


@pytest.fixture(scope="module")
def app(world):
    with Celery(set_as_current=False) as app:
        commands.register_commands(app, lambda: world.services)
        yield app


def check(said):
    """Every line by itself: a request may have many faults."""
    assert said
    assert max(map(len, said.splitlines())) <= MOST, said[:300]
    assert "x" * 301 not in said


BODIES = {
    "alias": {"alias": LONG},
    "source": {"alias": "docs", "source": f"jsonl:{LONG[:1900]}"},
    "source's kind": {"alias": "docs", "source": LONG[:1900]},
    "strategy": {"alias": "docs", "strategy": LONG[:200]},
    "collection": {"alias": "docs", "collection": LONG[:200]},
    "unknown key": {"alias": "docs", LONG: 1},
    "another type": {"alias": [LONG]},
    "key of an option": {"alias": "docs", "options": {LONG: 1}},
    "an option": {"alias": "docs", "options": {"strategy": LONG}},
    "keys within": {"alias": "docs", "options": {"soak": {LONG: {LONG: 1}}}},
    "a model": {"alias": "docs", "options": {"embedding": {"model": LONG}}},
    "a model's name": {
        "alias": "docs",
        "options": {"embedding": {"model": "sentence-transformers:" + LONG}},
    },
    "a template": {
        "alias": "docs",
        "options": {"embedding": {"model": "hashing:8", "text": f"{{{LONG}!r}}"}},
    },
    "a check": {"alias": "docs", "options": {"validation": {"checks": {LONG: "off"}}}},
    "judged queries": {"alias": "docs", "options": {"validation": {"judged": LONG}}},
    "a cron line": {"alias": "docs", "options": {"rebuild": f"{LONG} * * * *"}},
    "a zone": {"alias": "docs", "options": {"rebuild": {"cron": "0 2 * * *", "zone": LONG}}},
}


@pytest.mark.parametrize("name", BODIES)
def test_over_http_in_a_body(client, name):
    answer = client.post(f"{PREFIX}/deployments", json=BODIES[name])
    assert 400 <= answer.status_code < 500, answer.text[:300]
    check(answer.json()["detail"])
    assert len(answer.text) < 4 * MOST


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: f"{one.method}{one.path}")
def test_over_http_in_an_address(client, endpoint):
    """What a socket takes of an address is shorter; the test client is not."""
    path = endpoint.path.replace("{", "").replace("}", "")
    long = [
        f"/{part}{LONG[:30_000]}" if f"{{{part}}}" in endpoint.path else f"/{part}"
        for part in path.split("/")[1:]
    ]
    answer = client.request(
        endpoint.method, PREFIX + "".join(long) + f"?{LONG[:1000]}={LONG[:1000]}"
    )
    if answer.status_code != 200:
        check(answer.json()["detail"])


def test_over_http_where_nothing_is(client):
    check(client.get(f"/{LONG[:30_000]}").json()["detail"])
    check(client.get(f"{PREFIX}/{LONG[:30_000]}").json()["detail"])


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("task", sorted(commands.COMMANDS))
def test_from_a_task(app, task, value):
    """Every argument that is a text, one after the other, and a name that no argument has."""
    takes = list(signature(commands.COMMANDS[task]).parameters.values())[1:]
    needed = {
        one.name: "docs" for one in takes if one.default is one.empty and one.annotation is str
    }
    asked = [
        one.name
        for one in takes
        if one.annotation in (str, str | None) and one.name not in _NOT_CHECKED
    ]
    assert asked
    for name in asked:
        with pytest.raises(AppError) as error:
            app.tasks[task].run(**{**needed, name: value})
        check(str(error.value))
    with pytest.raises(AppError) as error:
        app.tasks[task].run(**{value: 1})
    check(str(error.value))


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize(
    ("tool", "argument"),
    [
        ("search_with_alias", "alias"),
        ("search_with_alias", "query"),
        ("search_with_alias", "limit"),
        ("get_deployment", "deployment_id"),
        ("get_deployment", "wait_seconds"),
        ("deploy_new_index", "alias"),
        ("deploy_new_index", "source"),
    ],
)
def test_to_an_agent(world, tool, argument, value):
    needed = {"search_with_alias": {"query": "q"}, "get_deployment": {"deployment_id": "d"}}
    given = {**needed.get(tool, {"alias": "docs"}), argument: value}

    async def asked():
        with closing(Routers(world.services, lent=False)) as routers:
            guard = Guard(lambda _: Caller("token:agent", expand_scopes(("admin",))))
            async with Client(make_server(world.services, routers, guard, deploys=True)) as client:
                return await client.call_tool(tool, given)

    answer = asyncio.run(asked())
    assert answer.is_error
    check(answer.content[0].text)


@pytest.mark.parametrize(
    "arguments",
    [
        ("deploy", LONG),
        ("deploy", "docs", "--source", LONG),
        ("deploy", "docs", "--source", f"jsonl:{LONG}"),
        ("deploy", "docs", "--option", LONG),
        ("deploy", "docs", "--option", f"soak.seconds={LONG}"),
        ("deploy", "docs", "--timeout", LONG),
        ("deploy", "docs", LONG),
        ("status", LONG),
        ("versions", LONG),
        ("diff", "docs", LONG, LONG),
        ("keep", LONG),
        ("validate", LONG, LONG),
        ("search", LONG, "q"),
        ("backup", "verify", LONG),
        ("backup", "create", LONG),
        ("experiment", "report", LONG),
        ("schedule", "run", LONG, "rebuild"),
        ("schedule", "pause", "docs", LONG),
        ("alias", "switch", LONG, "c"),
        ("alias", "create", "a", LONG),
        ("token", "revoke", LONG),
        ("alert", "test", LONG),
        (LONG,),
        (f"--{LONG}",),
        ("alias", LONG),
    ],
    ids=lambda given: " ".join(one[:20] for one in given),
)
def test_at_the_terminal(tmp_path, arguments):
    result = Shell(tmp_path)(*arguments)
    assert result.exit_code == 2, result.output[:300]
    check(result.stderr)
