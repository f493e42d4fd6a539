"""Every refusal of the web process is a problem document whose type names its kind."""

import importlib
import pkgutil
from dataclasses import replace
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from qdrant_rollouts import core, interfaces
from qdrant_rollouts.adapters.database import open_engine, open_sessions
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.database.caller_rows import OnceRow
from qdrant_rollouts.core.deployments.steps.gone_records import TooManyGone
from qdrant_rollouts.core.errors import (
    AppError,
    Broken,
    Busy,
    Interrupted,
    LeaseLost,
    NothingHere,
    Refused,
    Unavailable,
)
from qdrant_rollouts.core.routing.feedback import Unexposed
from qdrant_rollouts.interfaces.access import idempotency, tokens
from qdrant_rollouts.interfaces.http import problems
from qdrant_rollouts.interfaces.http.api import ENDPOINTS
from qdrant_rollouts.interfaces.http.api.document import build_document
from qdrant_rollouts.interfaces.http.app import make_app
from qdrant_rollouts.interfaces.http.problems import KINDS, MEANINGS, TYPE, error_response
from tests.world import World, texts

#: What no request meets: faults of our own, and a folder in which no web process starts.
FAILURES = {Broken, Interrupted, NothingHere}
#: Errors that no request meets: of a step of a deployment.
OF_OTHERS = {TooManyGone}


def every_error():
    for package in (core, interfaces):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    found = set()
    left = [AppError]
    while left:
        one = left.pop()
        found.add(one)
        left += one.__subclasses__()
    return {
        one
        for one in found
        if one.__module__.split(".")[1] in ("core", "interfaces") and "cli" not in one.__module__
    }


def test_every_error_there_is_has_a_kind_of_its_own():
    errors = every_error() - OF_OTHERS
    assert errors >= {
        Refused,
        Unavailable,
        Busy,
        LeaseLost,
        Unexposed,
        idempotency.KeyReused,
        problems.TooBusy,
    }
    assert errors - FAILURES == set(MEANINGS)
    told = {error: error_response(error("words")) for error in errors}
    types = {error: problems.problem_content(error("words"))["type"] for error in errors - FAILURES}
    assert len(set(types.values())) == len(types)
    assert all(one.media_type == problems.MEDIA_TYPE for one in told.values())


def test_names_of_kinds_are_different_and_these():
    """They are public: a name may be added, none changed or dropped."""
    names = """
        unauthorized foreign-host other-site forbidden too-large too-slow crowded
        too-many-writes garbled not-found
        key-reused malformed not-exposed refused key-in-use busy misconfigured other-release
        limited outcome-unknown unavailable
        taken-up failed no-such-path no-such-method http unforeseen
    """
    assert [kind.name for kind in KINDS] == names.split()


def test_the_openapi_document_names_every_kind_where_its_status_is():
    made = build_document(ENDPOINTS)
    assert made["components"]["schemas"]["Problem"]["properties"]["type"]["examples"] == [
        kind.type for kind in KINDS
    ]
    for status, response in made["components"]["responses"].items():
        named = {kind.type for kind in KINDS if f"`{kind.type}`" in response["description"]}
        assert named == {kind.type for kind in KINDS if str(kind.status) == status} != set()


# --- by asking ------------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path, ready_sqlite_url):
    made = World(tmp_path, ready_sqlite_url)
    made.declare("docs", source=made.write("docs.jsonl", texts(12)))
    yield made
    made.close()


def client(world, host="http://localhost:8600"):
    app = make_app(world.services, Settings())
    return TestClient(app, base_url=host, client=("127.0.0.1", 5), raise_server_exceptions=False)


ASKED = {
    "no-such-path": ("GET", "/api/v1/nothing", {}),
    "no-such-method": ("DELETE", "/api/v1/me", {}),
    "not-found": ("GET", "/api/v1/deployments/f00", {}),
    "malformed": ("POST", "/api/v1/deployments", {"json": {"alias": "docs", "colour": "red"}}),
    "refused": (
        "POST",
        "/api/v1/deployments",
        {"json": {"alias": "docs", "source": "python:evil"}},
    ),
    "too-large": ("POST", "/api/v1/deployments", {"content": b"x" * 1_000_001}),
    "other-site": ("POST", "/api/v1/deployments", {"headers": {"Origin": "http://evil.example"}}),
    "foreign-host": ("GET", "/api/v1/me", {"headers": {"Host": "evil.example"}}),
    "unauthorized": ("GET", "/api/v1/me", {"headers": {"Authorization": "Bearer rlt_no"}}),
}


@pytest.mark.parametrize("name", ASKED)
def test_what_is_refused_says_of_which_kind_it_is(world, name):
    method, path, sent = ASKED[name]
    found = client(world).request(method, path, **sent)
    kind = next(kind for kind in KINDS if kind.name == name)
    assert found.headers["content-type"] == problems.MEDIA_TYPE
    assert (found.status_code, found.json()["type"]) == (kind.status, TYPE + name)
    assert found.json()["status"] == kind.status
    assert found.json()["title"]
    assert found.json()["detail"]


def test_a_token_without_the_scope_is_forbidden(world):
    presented = tokens.create_token(world.services, "watch", ("read",), actor="anna")["token"]
    found = client(world).post(
        "/api/v1/deployments", json={}, headers={"Authorization": f"Bearer {presented}"}
    )
    assert (found.status_code, found.json()["type"]) == (403, f"{TYPE}forbidden")


def test_keys_that_are_reused_and_keys_in_use_are_told_apart(world):
    asked = client(world)
    headers = {"Idempotency-Key": "k1"}
    first = asked.post("/api/v1/deployments", json={"alias": "docs"}, headers=headers)
    assert first.status_code == 202, first.text
    again = asked.post(
        "/api/v1/deployments", json={"alias": "docs", "reason": "other"}, headers=headers
    )
    assert again.json()["type"] == f"{TYPE}key-reused"
    with world.services.sessions.begin() as session:
        row = session.scalars(OnceRow.__table__.select()).first()
        assert row is not None
        session.query(OnceRow).update(
            {
                "answer": None,
                "started": None,
                "lease_until": world.services.clock.now(session) + timedelta(seconds=20),
            }
        )
    busy = asked.post("/api/v1/deployments", json={"alias": "docs"}, headers=headers)
    assert (busy.status_code, busy.json()["type"]) == (503, f"{TYPE}key-in-use")


def test_a_database_that_is_away_is_unavailable(world, tmp_path):
    away = open_engine(f"sqlite:///{tmp_path / 'empty.db'}")
    app = make_app(replace(world.services, sessions=open_sessions(away)), Settings())
    asked = TestClient(
        app, base_url="http://localhost", client=("127.0.0.1", 5), raise_server_exceptions=False
    )
    found = asked.get("/api/v1/deployments")
    assert (found.status_code, found.json()["type"]) == (503, f"{TYPE}unavailable")
    away.dispose()


def test_what_nobody_foresaw_says_so_and_nothing_else(world):
    app = make_app(world.services, Settings())

    async def fail(request):
        raise ZeroDivisionError("secret words")

    app.router.add_route("/api/v1/fails", fail)
    app.router.routes.insert(0, app.router.routes.pop())
    asked = TestClient(
        app, base_url="http://localhost", client=("127.0.0.1", 5), raise_server_exceptions=False
    )
    found = asked.get("/api/v1/fails")
    assert (found.status_code, found.json()["type"]) == (500, f"{TYPE}unforeseen")
    assert "secret" not in found.text
