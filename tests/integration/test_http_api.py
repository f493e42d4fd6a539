"""The HTTP API on real services: a separate installation, called by Starlette's client."""

import json
import logging
from contextlib import ExitStack
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from qdrant_rollouts.core.collections.deletion import deletions
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.ports import Point
from qdrant_rollouts.interfaces.access import tokens
from qdrant_rollouts.interfaces.access.asking import MOST as QUESTIONS
from qdrant_rollouts.interfaces.access.asking import PLACES as ASKED
from qdrant_rollouts.interfaces.access.planning import PLACES
from qdrant_rollouts.interfaces.http.api import ENDPOINTS, PREFIX
from qdrant_rollouts.interfaces.http.api.endpoint import Body
from qdrant_rollouts.interfaces.http.app import make_app
from qdrant_rollouts.interfaces.http.security import REMEMBER_SECONDS
from tests.documented import Documented
from tests.world import World, texts

DOCUMENTED = Documented()
NAMES = {
    "alias": "docs",
    "deployment": "d",
    "collection": "c",
    "experiment": "e",
    "backup": "b",
    "action": "rebuild",
}


class Api:
    """``ask("GET", "/indexes")`` as ``token``, or as the person at this machine."""

    def __init__(self, world, settings=None):
        self.world = world
        self.app = make_app(world.services, settings or Settings())
        self.client = TestClient(
            self.app,
            base_url="http://localhost:8600",
            client=("127.0.0.1", 5),
            raise_server_exceptions=False,
        )

    def ask(self, method, path, body=None, *, token=None, **headers):
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        given |= {"Authorization": f"Bearer {token}"} if token else {}
        return self.client.request(method, PREFIX + path, json=body, headers=given)

    def got(self, method, path, body=None, code=200, **headers):
        answer = self.ask(method, path, body, **headers)
        assert answer.status_code == code, answer.text
        DOCUMENTED.hold(method, path, answer.json())
        return answer.json()

    def refused(self, method, path, body=None, **headers):
        answer = self.ask(method, path, body, **headers)
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        return answer.status_code, answer.json()["detail"]


@pytest.fixture
def world(tmp_path, ready_sqlite_url):
    made = World(tmp_path, ready_sqlite_url)
    made.declare("docs", source=made.write("docs.jsonl", texts(12)))
    yield made
    made.close()


@pytest.fixture
def api(world):
    made = Api(world)
    with made.client:
        yield made


@pytest.fixture
def live(api):
    """An index with one version that serves."""
    started = api.got("POST", "/deployments", {"alias": "docs", "reason": "first"}, code=202)
    api.world.run()
    assert api.world.status(started["deployment_id"])["status"] == "live"
    return started


def token(world, *scopes):
    return tokens.create_token(world.services, "-".join(("t", *scopes)), scopes, actor="anna")[
        "token"
    ]


# --- the table ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scoped(tmp_path_factory):
    """One installation with a token for each scope, and the API over it."""
    folder = tmp_path_factory.mktemp("scoped")
    world = World(folder, f"sqlite:///{folder / 'state.db'}")
    given = {scope: token(world, scope) for scope in tokens.SCOPES}
    yield Api(world), given
    world.close()


@pytest.mark.parametrize(
    "endpoint", [one for one in ENDPOINTS if one.scope], ids=lambda one: f"{one.method}{one.path}"
)
def test_every_endpoint_refuses_without_its_scope(scoped, endpoint):
    api, given = scoped
    path = endpoint.path.format(**NAMES)
    assert api.ask(endpoint.method, path).status_code == 401
    assert api.ask(endpoint.method, path, token="rlt_x_y").status_code == 401
    for scope, presented in given.items():
        lacks = endpoint.scope not in tokens.expand_scopes((scope,))
        answer = api.ask(endpoint.method, path, token=presented)
        assert (answer.status_code == 403) is lacks, (scope, answer.text)
        assert answer.status_code < 500, answer.text


def test_what_may_be_changed_by_a_token_that_reads_is_nothing():
    assert {one.method for one in ENDPOINTS if one.scope in ("", "read", "routes")} == {"GET"}
    assert all(one.scope for one in ENDPOINTS if one.path != "/me")


BODIES = [one for one in ENDPOINTS if issubclass(one.takes, Body)]


@pytest.mark.parametrize("levels", [100, 190, 5_000, 400_000])
@pytest.mark.parametrize("endpoint", BODIES, ids=lambda one: f"{one.method}{one.path}")
def test_a_body_of_many_levels_is_refused_in_words(scoped, endpoint, levels):
    """In every field that the body may have, beside what it must have."""
    api, given = scoped
    path = PREFIX + endpoint.path.format(**NAMES)
    must = {
        "alias": "docs",
        "collection": "c",
        "name": "e",
        "control": "a",
        "treatments": ["b"],
        "query": "x",
    }
    headers = {"Authorization": f"Bearer {given['admin']}", "Content-Type": "application/json"}
    for field in endpoint.takes.model_fields:
        rest = {
            name: value
            for name, value in must.items()
            if name in endpoint.takes.model_fields and name != field
        }
        start, end = ('{"a":', "}") if field in ("filter", "options") else ("[", "]")
        deep = f'{{"{field}": {start * levels}1{end * levels}, {json.dumps(rest)[1:]}'.replace(
            ", }", "}"
        )
        answer = api.client.request(endpoint.method, path, content=deep, headers=headers)
        assert answer.status_code in (404, 409, 413, 422), (field, answer.text[:500])
        assert len(answer.text) < 10_000


def test_the_document_has_every_endpoint_and_is_for_everybody(api):
    document = api.ask("GET", "/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    found = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    assert found == {(one.method, PREFIX + one.path) for one in ENDPOINTS} | {
        ("GET", f"{PREFIX}/stream"),
        ("GET", f"{PREFIX}/routes/stream"),
    }
    names = [
        operation["operationId"]
        for path in document["paths"].values()
        for operation in path.values()
    ]
    assert len(names) == len(set(names))


# --- what is sent ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            {"query": "x", "limit": 0},
            "request: limit: found 0; Input should be greater than or equal to 1",
        ),
        (
            {"query": "x", "limit": 1001},
            "request: limit: found 1001; Input should be less than or equal to 1000",
        ),
        (
            {"query": "x", "limit": "10"},
            "request: limit: found '10'; Input should be a valid integer",
        ),
        ({"query": "x", "top": 5}, "request: top: unknown key"),
        ({"query": "x", "vector": [1.0]}, "expected either query or vector"),
        ({}, "expected either query or vector"),
        ({"vector": []}, "vector: found []; expected 1 to 65536 finite numbers, for a multivector"),
        ({"vector": [[1.0, 2.0], [3.0]]}, "equally long lists"),
        (
            {"vector": {"indices": [1, 1], "values": [0.5, 0.5]}},
            "an object of indices and as many values",
        ),
        ({"vector": {"indices": [1], "values": []}}, "an object of indices and as many values"),
        ({"vector": [10**400]}, "finite numbers"),
        ({"query": "a\0b"}, "NUL"),
        ([], "expected an object"),
        ("x", "expected an object"),
    ],
)
def test_what_makes_no_sense_is_refused_with_where_what_and_the_bound(api, body, words):
    status, detail = api.refused("POST", "/indexes/docs/search", body)
    assert status == 422
    assert words in detail


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/deployments?limit=0", "limit: found '0'"),
        ("/deployments?limit=many", "limit: found 'many'"),
        ("/deployments?status=fine", "status: found 'fine'"),
        ("/deployments?page=2", "page: unknown key"),
        ("/deployments?limit=1&limit=2", "given twice"),
        ("/indexes/docs/diff?one=1", "other: missing"),
        ("/indexes/%2E%2E", "alias name '..' is not allowed"),
    ],
)
def test_the_same_holds_for_what_stands_in_the_address(api, path, words):
    status, detail = api.refused("GET", path)
    assert status == 422
    assert words in detail


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{", "application/json"),
        (b'{"query": NaN}', "application/json"),
        (b'{"vector": [1e999]}', "application/json"),
        (b'{"options":' + b"[" * 100_000, "application/json"),
        (b"query=x", "text/plain"),
    ],
)
def test_a_body_that_is_no_json_is_refused(api, content, kind):
    answer = api.client.post(
        f"{PREFIX}/indexes/docs/search", content=content, headers={"Content-Type": kind}
    )
    assert answer.status_code == 422


# --- deployments ----------------------------------------------------------------------------------


def test_a_deployment_is_started_followed_and_listed(api, live):
    seen = api.got("GET", f"/deployments/{live['deployment_id']}")
    assert (seen["status"], seen["green"]) == ("live", live["new_collection"])
    assert {event["source"] for event in seen["events"] if event["event"] == "enrolled"} <= {"http"}
    assert (
        seen["situation"]["now"] == "docs is served by version 1, which this deployment made live"
    )
    assert (seen["situation"]["person"], seen["why"]) == (False, "")
    listed = api.got("GET", "/deployments?alias=docs")
    assert [row["id"] for row in listed["deployments"]] == [live["deployment_id"]]
    assert api.got("GET", "/aliases") == {"aliases": {"docs": live["new_collection"]}}


def test_an_index_tells_what_serves_and_what_comes_next(api, world, live):
    world.declare("docs", source="jsonl:docs.jsonl", rebuild="0 2 * * *")
    assert api.got("GET", "/schedules")["schedules"][0]["next_at"]
    found = api.got("GET", "/indexes/docs")
    assert (found["live"]["collection"], found["live"]["number"]) == (live["new_collection"], 1)
    assert (found["live"]["points"], found["live"]["model"]) == (12, "hashing:64")
    assert found["live"]["since"]
    assert found["last"]["id"] == live["deployment_id"]
    assert found["rebuild"]["next_at"]
    assert [one["alias"] for one in api.got("GET", "/indexes")["indexes"]] == ["docs"]
    assert api.got("GET", "/indexes/docs/versions")["versions"][0]["live"]


def test_pages_of_deployments_follow_each_other_without_gap_or_double(api, world, live):
    for number in range(4):
        world.clock.move(1 if number % 2 else 0)  # some begin in the same moment
        api.got("POST", "/deployments", {"alias": "docs"}, code=202)
        world.run()
    whole = [row["id"] for row in api.got("GET", "/deployments")["deployments"]]
    seen = []
    path = "/deployments?limit=2"
    while path:
        page = api.got("GET", path)
        seen += [row["id"] for row in page["deployments"]]
        path = f"/deployments?limit=2&after={page['next']}" if page["next"] else None
    assert seen == whole
    assert len(whole) == 5


def test_an_operator_pauses_resumes_and_aborts(api, world):
    started = api.got("POST", "/deployments", {"alias": "docs"}, code=202)["deployment_id"]
    for verb, status in (("pause", "paused"), ("resume", "running"), ("abort", "rolled_back")):
        api.got("POST", f"/deployments/{started}/{verb}", {"reason": f"a {verb} of the test"})
        world.run(until=lambda wanted=status: world.read_status(started) == wanted)
        assert world.status(started)["status"] == status
    events = api.got("GET", f"/events?deployment={started}&limit=1000")["events"]
    assert {"a pause of the test", "a abort of the test"} <= {event["reason"] for event in events}
    assert {event["source"] for event in events if event["reason"]} == {"http"}


def test_an_abort_that_is_to_keep_what_does_not_serve_is_refused(api, world):
    started = api.got("POST", "/deployments", {"alias": "docs"}, code=202)["deployment_id"]
    world.run(until=lambda: world.read_status(started) == "running")
    status, said = api.refused("POST", f"/deployments/{started}/abort", {"keep": True})
    assert (status, "abort takes it back" in said) == (409, True), said


def test_back_to_the_version_before(api, world, live):
    second = api.got("POST", "/deployments", {"alias": "docs"}, code=202)
    world.run()
    difference = api.got("GET", "/indexes/docs/diff?one=1&other=2")
    assert difference["content"]["changed"]["count"] == 0
    back = api.got("POST", "/indexes/docs/rollback", {"reason": "worse"}, code=202)
    assert (back["old_collection"], back["new_collection"]) == (
        second["new_collection"],
        live["new_collection"],
    )
    world.run()
    assert api.got("GET", "/aliases")["aliases"]["docs"] == live["new_collection"]
    assert api.got("GET", "/deletions")["deletions"]


def test_back_to_a_version_that_is_marked_bad_only_if_that_is_confirmed(api, world, live):
    api.got("POST", "/deployments", {"alias": "docs"}, code=202)
    world.run()
    marked = api.got("POST", "/indexes/docs/mark", {"version": "1", "reason": "wrong prices"})
    assert (marked["number"], marked["marked_bad"]["reason"]) == (1, "wrong prices")
    status, said = api.refused("POST", "/indexes/docs/rollback", {"to": "1"})
    assert (status, "marked bad by" in said) == (409, True), said
    status, said = api.refused("POST", "/indexes/docs/rollback", {})
    assert (status, "no version before" in said) == (409, True), said
    asked = {"to": "v1", "force": True, "reason": "it was right"}
    back = api.got("POST", "/indexes/docs/rollback", asked, code=202)
    assert back["new_collection"] == live["new_collection"]
    assert "as they were when" in back["warnings"][0]
    versions = api.got("GET", "/indexes/docs/versions")["versions"]
    assert [one["marked_bad"] is not None for one in versions] == [False, True]


def test_two_versions_are_asked_and_what_is_judged_becomes_lines_of_the_judged_file(api, live):
    query = "text 3 about asyncio and python"
    asked = api.got("GET", f"/indexes/docs/compare-answers?query={query}&limit=5")
    assert asked["left"]["collection"] == live["new_collection"]
    assert asked["left"]["answers"][0]["record"] == 3
    assert asked["right"] is None
    line = {"query": query, "relevant": [3], "reason": "the text itself"}
    api.got("POST", "/indexes/docs/judged", line)
    graded = {**line, "query": "asyncio", "relevant": {"3": 2.0, "4": 0}}
    api.got("POST", "/indexes/docs/judged", graded)
    proposed = api.got("GET", "/indexes/docs/judged")
    assert [json.loads(one) for one in proposed["jsonl"].splitlines()] == [
        {"query": query, "relevant": [3]},
        {"query": "asyncio", "relevant": {"3": 2.0, "4": 0.0}},
    ]
    out = api.got("DELETE", "/indexes/docs/judged", {"query": "asyncio", "reason": "too wide"})
    assert (out["changed"], out["lines"]) == (1, 1)
    for path, said in (
        (f"?query={'x' * 1001}", "at most 1000 characters"),
        ("?query=x&right=9", "docs has no version '9'"),
        ("?query=x&limit=51", "limit"),
    ):
        assert said in api.refused("GET", f"/indexes/docs/compare-answers{path}")[1]


def test_a_process_asks_few_queries_at_once(api, live):
    with ExitStack() as stack:
        for _ in range(QUESTIONS):
            stack.enter_context(ASKED.take_place())
        status, said = api.refused("GET", "/indexes/docs/compare-answers?query=x")
    assert (status, "try again" in said) == (503, True)
    api.got("GET", "/indexes/docs/compare-answers?query=x")


def test_nothing_is_rebuilt_where_nothing_has_changed(api, live):
    assert api.got("POST", "/indexes/docs/rebuild", code=202)["status"] == "unchanged"


@pytest.mark.parametrize("kind", ["python", "sql"])
def test_code_and_queries_are_never_taken_from_a_request(api, kind):
    for body in (
        {"alias": "docs", "source": f"{kind}:secret"},
        {"alias": "docs", "options": {"source": f"{kind}:secret"}},
        {"alias": "docs", "options": {"validation": {"judged": f"{kind}:secret"}}},
    ):
        status, detail = api.refused("POST", "/deployments", body)
        assert (status, "index file" in detail, "secret" in detail) == (409, True, False)


@pytest.mark.parametrize(
    "source", ["jsonl:/etc/passwd", "jsonl:../../etc/*", "dir:/", "csv:\x7f", "ftp:x", "jsonl:"]
)
def test_only_files_below_the_roots_are_read(api, source):
    status, _ = api.refused("POST", "/deployments", {"alias": "docs", "source": source})
    assert status in (409, 422)
    assert api.got("GET", "/deployments")["deployments"] == []


# --- once -----------------------------------------------------------------------------------------


def test_a_request_that_is_sent_twice_under_one_key_starts_one_deployment(api, world):
    body = {"alias": "docs", "reason": "nightly"}
    first = api.ask("POST", "/deployments", body, Idempotency_Key="night-1")
    again = api.ask("POST", "/deployments", body, Idempotency_Key="night-1")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (
        None,
        "true",
    )
    assert len(api.got("GET", "/deployments")["deployments"]) == 1
    other = api.refused(
        "POST", "/deployments", {**body, "reason": "other"}, Idempotency_Key="night-1"
    )
    assert other[0] == 422
    without = api.refused("POST", "/deployments", body)
    assert (without[0], first.json()["deployment_id"] in without[1]) == (409, True)


def test_whatever_starts_something_is_started_once(api, world, live):
    """Every row of the table that honours a key, as far as the embedded Qdrant can."""
    world.declare("docs", source="jsonl:docs.jsonl", rebuild="0 2 * * *")
    world.store.create("docs_b", world.store.schema(live["new_collection"]), {})
    bodies = {
        "/indexes/docs/rebuild": {},
        "/schedules/docs/rebuild/run": {},
        "/experiments": {
            "name": "x",
            "control": live["new_collection"],
            "treatments": ["docs_b"],
            "start": False,
        },
    }
    for path, body in bodies.items():
        first, again = (
            api.ask("POST", path, body, Idempotency_Key="k" + path.replace("/", "-"))
            for _ in range(2)
        )
        assert (first.status_code, first.json()) == (202, again.json()), first.text
        assert "idempotency-replayed" in again.headers
    assert len(api.got("GET", "/experiments")["experiments"]) == 1
    assert len(api.got("GET", "/schedules")["schedules"][0]["runs"]) == 1


# --- searches and experiments ---------------------------------------------------------------------


def test_a_search_goes_through_the_route_as_text_or_vector(api, world, live):
    found = api.got(
        "POST",
        "/indexes/docs/search",
        {"query": "text 3 about asyncio", "limit": 3, "user_id": "anna"},
    )
    assert (found["collection"], len(found["results"])) == (live["new_collection"], 3)
    vector = [0.1] * 64
    found = api.got("POST", "/indexes/docs/search", {"vector": vector, "limit": 2, "offset": 1})
    assert len(found["results"]) == 2
    filtered = {"must": [{"key": "id", "match": {"value": 3}}]}
    found = api.got("POST", "/indexes/docs/search", {"query": "text", "filter": filtered})
    assert [hit["payload"]["id"] for hit in found["results"]] == [3]
    assert api.refused("POST", "/indexes/docs/search", {"vector": [0.1]})[0] == 409
    assert api.refused("POST", "/indexes/nothing/search", {"query": "x"})[0] == 404


def test_a_search_brings_a_vector_of_whatever_kind_the_index_has(api, world):
    rows = {"size": 3, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}}
    params = {"vectors": {"rows": rows}, "sparse_vectors": {"words": {}}}
    world.store.create("theirs", {"params": params, "payload_schema": {}}, {})
    words = {"indices": [3, 7], "values": [0.5, 1.0]}
    world.store.upsert(
        "theirs", [Point(1, {"rows": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], "words": words}, {})]
    )
    world.store.point_alias("theirs_by_alias", "theirs")
    path = "/indexes/theirs_by_alias/search"
    for body in ({"vector": [[1.0, 2.0, 3.0]]}, {"vector": words, "using": "words"}):
        assert [hit["id"] for hit in api.got("POST", path, body)["results"]] == [1]
    status, detail = api.refused("POST", path, {"vector": words})
    assert status == 409
    assert (
        "the query is a sparse vector, and the vector rows of theirs is searched with rows of 3 "
        "numbers" in detail
    )


def test_an_experiment_is_created_searched_reported_and_stopped(api, world, live):
    second = api.got("POST", "/deployments", {"alias": "docs"}, code=202)
    world.run()
    arms = {"control": second["new_collection"], "treatments": [live["new_collection"]]}
    metrics = [{"name": "click", "role": "primary"}]
    made = api.got(
        "POST", "/experiments", {"name": "old-or-new", **arms, "metrics": metrics}, code=202
    )
    assert made["status"] == "running"
    path = f"/experiments/{made['id']}"
    assert api.got("GET", "/indexes/docs/route")["experiment_id"] == made["id"]
    assert [one["alias"] for one in api.got("GET", "/routes")["routes"]] == ["docs"]
    found = api.got("POST", f"{path}/search", {"query": "asyncio", "user_id": "anna"})
    again = api.got("POST", f"{path}/search", {"query": "asyncio", "user_id": "anna"})
    assert found["variant"] == again["variant"]
    status, detail = api.refused(
        "POST", f"{path}/feedback", {"metric": "dwell", "value": 1, "user_id": "anna"}
    )
    assert (status, "not a metric" in detail) == (409, True)
    click = {"metric": "click", "value": 1, "variant": found["variant"], "key": "k"}
    assert api.got("POST", f"{path}/feedback", click) == {"recorded": True}
    assert api.got("POST", f"{path}/feedback", click) == {"recorded": False}
    assert api.got("GET", f"{path}/report")["id"] == made["id"]
    assert api.got("POST", f"{path}/stop", {"reason": "seen enough"})["status"] == "stopped"


def test_schedules_are_listed_changed_paused_and_run(api, world, live):
    world.declare("docs", source="jsonl:docs.jsonl", rebuild="0 2 * * *")
    path = "/schedules/docs/rebuild"
    assert api.got("PATCH", path, {"cron": "30 3 * * *"})["cron"] == "30 3 * * *"
    assert api.got("POST", f"{path}/pause", {"reason": "holidays"})["status"] == "paused"
    assert api.got("POST", f"{path}/resume")["status"] == "on"
    assert api.got("POST", f"{path}/run", code=202)["status"] == "due"
    assert api.refused("POST", f"{path}/run")[0] == 409
    assert api.refused("POST", "/schedules/docs/polish/run")[0] == 422
    assert api.refused("POST", "/schedules/other/rebuild/run")[0] == 404


def test_aliases_are_moved_by_hand_and_collections_kept(api, world, live):
    collection = live["new_collection"]
    assert api.got("POST", "/aliases", {"alias": "mirror", "collection": collection})["created"]
    assert api.got("PUT", "/aliases/mirror", {"collection": collection})["switched"] is False
    assert api.got("DELETE", "/aliases/mirror", {"reason": "done"}) == {"deleted": True}
    assert api.got("DELETE", f"/collections/{collection}")["scheduled"] is False
    assert api.refused("POST", f"/collections/{collection}/keep")[0] == 409


def test_what_may_go_is_told_to_who_reads_and_collected_for_the_admin(api, world, live):
    world.declare("docs", source="jsonl:docs.jsonl", grace_period_minutes=0.1)
    api.got("POST", "/deployments", {"alias": "docs"}, code=202)
    world.run()
    deletions.delete_due(world.services)
    world.clock.moment += timedelta(seconds=10)
    told = api.got("GET", "/gc")
    assert ([one["collection"] for one in told["due"]], told["deleted"]) == (
        [live["new_collection"]],
        [],
    )
    reader = token(world, "deploy")
    assert api.refused("POST", "/gc", {}, token=reader)[0] == 403
    done = api.got("POST", "/gc", {"reason": "tidy"}, token=token(world, "admin"))
    assert (done["dry_run"], len(done["deleted"])) == (False, 1)
    assert live["new_collection"] not in world.store.collections()


def test_a_deployment_is_planned_by_who_may_start_it_and_nothing_is_started(api, world, live):
    path = "/indexes/docs/deployment-plan"
    admin = token(world, "admin")
    may = token(world, "deploy")
    before = api.got("GET", "/events?limit=1000", token=admin), world.store.collections()
    told = api.got("POST", path, {"options": {"soak": {"seconds": 7}}}, token=may)
    assert before == (
        api.got("GET", "/events?limit=1000", token=admin),
        world.store.collections(),
    )
    assert (told["way"], told["records"]["value"], told["texts"]["value"]) == ("records", 12, 0)
    assert told["watching"]["value"] == 7
    [compared] = told["errors"]["plans"]
    assert (compared["deployment_id"], compared["records"]["error"]) == (live["deployment_id"], 0)
    reader = token(world, "read")
    assert api.refused("POST", path, {}, token=reader)[0] == 403
    status, detail = api.refused("POST", path, {"source": "sql:URL:SELECT 1"}, token=admin)
    assert (status, "accepted only from there" in detail) == (409, True)
    assert api.refused("POST", path, {"source": "jsonl:.env"}, token=admin)[0] == 409
    assert api.refused("POST", "/indexes/nothing/deployment-plan", {}, token=admin)[0] == 404


def test_plans_are_made_one_of_an_index_and_two_in_all_and_the_next_is_told_to_wait(api, world):
    path = "/indexes/docs/deployment-plan"
    with PLACES.take_place("docs"):
        busy = api.ask("POST", path, {})
        assert (busy.status_code, busy.json()["type"].rpartition(":")[2]) == (503, "crowded")
        assert int(busy.headers["retry-after"]) > 0
        assert "a plan of docs is being made" in busy.json()["detail"]
    with PLACES.take_place("one"):
        assert api.got("POST", path, {})["records"]["value"] == 12
        with PLACES.take_place("other"):
            assert "2 plans are being made" in api.refused("POST", path, {})[1]
    assert api.got("POST", path, {})["records"]["value"] == 12


def test_an_experiment_is_planned_from_what_is_given_by_hand(api, live):
    path = "/indexes/docs/experiment-plan"
    told = api.got("POST", path, {"rate": 0.2, "users_per_day": 5000, "metrics": ["clicks"]})
    assert (told["missing"], told["days"] > 0) == ([], True)
    status, detail = api.refused("POST", path, {"rate": 1.5})
    assert (status, "not a share between 0 and 1" in detail) == (409, True)


def test_backups_say_that_they_need_a_server(api, live):
    status, detail = api.refused("POST", "/backups", {"alias": "docs"})
    assert (status, "ROLLOUTS_QDRANT_URL" in detail) == (409, True)
    assert api.got("GET", "/backups") == {"backups": []}
    assert api.refused("GET", "/backups/b")[0] == 404


# --- events ---------------------------------------------------------------------------------------


def test_pages_of_events_follow_each_other(api, live):
    whole = [event["id"] for event in api.got("GET", "/events?limit=1000")["events"]]
    page = api.got("GET", "/events?limit=3")
    following = api.got("GET", f"/events?limit=1000&before={page['next']}")
    assert [event["id"] for event in (*page["events"], *following["events"])] == whole
    assert following["next"] is None


# --- secrets --------------------------------------------------------------------------------------


def test_a_token_is_in_no_log_event_answer_or_error(api, world, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    secret = token(world, "admin")
    answers = []
    for endpoint in ENDPOINTS:
        path = endpoint.path.format(**NAMES)
        for body, presented in ((None, secret), ({"nonsense": 1}, secret), (None, secret + "x")):
            answers += [api.ask(endpoint.method, path, body, token=presented).text]
    rows = json.dumps(api.got("GET", "/events?limit=1000", token=secret))
    shown = "\n".join((*answers, rows, caplog.text, json.dumps(tokens.list_tokens(world.services))))
    assert len(shown) > 10_000
    hidden = secret.split("_", 2)[2]
    assert hidden not in shown
    world.close()
    assert hidden.encode() not in b"".join(
        path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
    )


def test_a_revoked_token_is_refused_within_a_second(api, world):
    secret = token(world, "read")
    assert api.ask("GET", "/me", token=secret).status_code == 200
    tokens.revoke_token(world.services, "t-read", actor="anna")
    api.app.state.door.forget()
    assert api.ask("GET", "/me", token=secret).status_code == 401
    assert REMEMBER_SECONDS <= 1.0


@pytest.mark.parametrize("levels", [60, 120, 190, 5_000])
def test_a_filter_of_many_levels_is_refused_or_followed(api, live, levels):
    deep = '{"must": [' * levels + '{"key": "id", "match": {"value": 1}}' + "]}" * levels
    body = f'{{"query": "text 7", "filter": {deep}}}'
    headers = {"Content-Type": "application/json"}
    answer = api.client.post(f"{PREFIX}/indexes/docs/search", content=body, headers=headers)
    assert answer.status_code in (200, 422, 409), answer.text[:500]
    assert len(answer.text) < 20_000
