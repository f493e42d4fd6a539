"""What the HTTP API offers to a router in another process: routes with their changes, and reports
that may come twice."""

import json
import threading
from contextlib import contextmanager

import httpx
import pytest
from sqlalchemy import func, select

from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.database.experiment_rows import ExposureRow
from qdrant_rollouts.core.experiments import commands
from qdrant_rollouts.core.routing import table, traffic
from qdrant_rollouts.core.routing.exposures import unit_of_user
from qdrant_rollouts.interfaces.access import tokens
from qdrant_rollouts.interfaces.http import serving
from qdrant_rollouts.interfaces.http.api import ENDPOINTS, PREFIX
from qdrant_rollouts.interfaces.http.app import make_app
from tests.documented import Documented
from tests.world import World

DOCUMENTED = Documented()
ROUTER = "shop-1:4711:a3f"
ROUTE = {"blue": "docs_1", "green": "docs_2", "share": 5000, "salt": "salt", "stage": "d/3"}
CELLS = {"groups": [1, 7], "buckets": [800, 900], "calls": [3, 1]}


class Server:
    """A web process in a thread, over one installation."""

    def __init__(self, world, client):
        self.world = world
        self.client = client
        self.tokens = {}

    def headers(self, *scopes):
        name = "-".join(("t", *scopes))
        if name not in self.tokens:
            made = tokens.create_token(self.world.services, name, scopes, actor="anna")
            self.tokens[name] = made["token"]
        return {"Authorization": f"Bearer {self.tokens[name]}"}

    def ask(self, method, path, body=None, *, scope="router", **headers):
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.request(
            method, PREFIX + path, json=body, headers={**self.headers(scope), **given}
        )

    def got(self, method, path, body=None, **named):
        answer = self.ask(method, path, body, **named)
        assert answer.status_code == 200, answer.text
        DOCUMENTED.hold(method, path, answer.json())
        return answer.json()

    def refused(self, method, path, body=None, **named):
        answer = self.ask(method, path, body, **named)
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        return answer.status_code, answer.json()["detail"]

    def tallies(self):
        with self.world.services.sessions() as session:
            found = traffic.read_tallies(session, "docs", "d/3")
        return {(key.variant, key.kind): tally for key, tally in found.items()}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("routers")
    world = World(folder, f"sqlite:///{folder / 'state.db'}")
    with serving.bind_socket(world.services, Settings(), "127.0.0.1", 0) as door:
        app = make_app(world.services, Settings())
        with (
            serving.serve_beside(app, door),
            httpx.Client(base_url=serving.socket_url(door), trust_env=False, timeout=60) as client,
        ):
            yield Server(world, client)
    world.close()


@pytest.fixture
def server(served, request):
    """With a route of its own for each test."""
    table.set_route(served.world.services, "docs", **ROUTE)
    yield served
    table.clear_route(served.world.services, "docs")


# --- routes ---------------------------------------------------------------------------------------


def test_routes_have_all_that_a_router_needs_to_choose(server):
    (route,) = server.got("GET", "/routes")["routes"]
    assert {name: route[name] for name in ROUTE} == ROUTE
    assert (route["alias"], route["at_rest"]) == ("docs", False)


def test_routes_are_sent_again_only_after_a_change(server):
    tag = server.ask("GET", "/routes").headers["etag"]
    for known in (tag, f'"another", W/{tag}'):
        again = server.ask("GET", "/routes", if_none_match=known)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
    server.got("POST", "/routers", {"router": ROUTER, "serves": {"docs": 1}})
    assert server.ask("GET", "/routes", if_none_match=tag).status_code == 304
    table.set_route(server.world.services, "docs", **{**ROUTE, "share": 6000})
    changed = server.ask("GET", "/routes", if_none_match=tag)
    assert changed.json()["routes"][0]["share"] == 6000
    assert changed.headers["etag"] != tag


@contextmanager
def listening(server):
    headers = server.headers("router")
    with server.client.stream("GET", f"{PREFIX}/routes/stream", headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        yield _events(answer.iter_lines())


def _events(lines):
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "event":
            event = value
        if name == "data":
            yield event, json.loads(value)


def test_a_stream_begins_with_all_routes_and_goes_on_with_those_that_change(server):
    services = server.world.services
    table.set_route(services, "news", blue="n1", green="n2", share=100, salt="s", stage="n/1")
    with listening(server) as events:
        event, first = next(events)
        assert event == "routes"
        assert {route["alias"] for route in first["routes"]} == {"docs", "news"}
        changed = table.set_route(services, "docs", **{**ROUTE, "share": 7000})
        _, then = next(events)
        assert [route["alias"] for route in then["routes"]] == ["docs"]
        assert (then["routes"][0]["share"], then["routes"][0]["version"]) == (7000, changed.version)


def test_a_stream_ends_when_its_token_is_revoked(server):
    made = tokens.create_token(server.world.services, "gone", ["routes"], actor="anna")
    headers = {"Authorization": f"Bearer {made['token']}"}
    with server.client.stream("GET", f"{PREFIX}/routes/stream", headers=headers) as answer:
        events = _events(answer.iter_lines())
        next(events)
        tokens.revoke_token(server.world.services, "gone", actor="anna")
        event, problem = next(events)
    assert (event, problem["status"]) == ("end", 401)


def test_a_router_is_known_to_serve_its_routes_until_it_says_that_it_ends(server):
    services = server.world.services
    route = table.current_route(services, "docs")
    server.got("POST", "/routers", {"router": ROUTER, "serves": {"docs": route.version - 1}})
    agreed = table.confirm_route(services, route)
    assert (agreed.serving, agreed.known) == (0, 1)
    server.got("POST", "/routers", {"router": ROUTER, "serves": {"docs": route.version}})
    (shown,) = [one for one in server.got("GET", "/routes")["routes"] if one["alias"] == "docs"]
    assert shown["confirmed"] == {"serving": 1, "known": 1}
    server.got("POST", "/routers", {"router": ROUTER, "serves": {}})
    assert table.confirm_route(services, route).known == 0


# --- observations ---------------------------------------------------------------------------------


def observations(batch, router=ROUTER, **changes):
    one = {
        "alias": "docs",
        "stage": "d/3",
        "variant": "canary",
        "kind": "real",
        "collection": "docs_2",
        "sketch": {"cells": CELLS, "failed": {"groups": [1], "calls": [2]}, "seconds": 0.5},
        **changes,
    }
    return {"router": router, "batch": batch, "observations": [one]}


def test_a_batch_of_observations_counts_once_however_often_it_comes(server):
    before = server.tallies().get(("canary", "real"))
    calls = before.calls if before else 0
    body = observations(1, "once:1")
    assert server.got("POST", "/observations", body) == {"recorded": True}
    assert server.got("POST", "/observations", body) == {"recorded": False}
    assert server.got("POST", "/observations", observations(2, "once:1")) == {"recorded": True}
    assert server.got("POST", "/observations", body) == {"recorded": False}
    tally = server.tallies()["canary", "real"]
    assert tally.calls == calls + 8


def test_the_same_batch_sent_by_many_at_once_counts_once(server):
    body = observations(1, "crowd:1", variant="control")
    answers = []

    def send():
        answers.append(server.ask("POST", "/observations", body))

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.got("POST", "/observations", body) == {"recorded": False}
    assert server.tallies()["control", "real"].calls == 4


def test_two_lines_of_one_batch_that_belong_together_are_added(server):
    body = observations(1, "sum:1", variant="both")
    body["observations"] *= 2
    server.got("POST", "/observations", body)
    tally = server.tallies()["both", "real"]
    assert (tally.calls, tally.errors, tally.seconds) == (8, 4, 1.0)


def test_a_field_of_a_newer_application_is_left_out(server):
    body = {**observations(1, "newer:1", variant="newer", colour="red"), "release": "9.9"}
    body["observations"][0]["sketch"]["novelty"] = 3
    assert server.got("POST", "/observations", body) == {"recorded": True}
    assert server.tallies()["newer", "real"].calls == 4


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sketch": {"cells": {**CELLS, "groups": [1, 512]}}}, "groups.1: found 512"),
        ({"sketch": {"cells": {**CELLS, "buckets": [1536, 1]}}}, "buckets.0: found 1536"),
        ({"sketch": {"cells": {**CELLS, "calls": [0, 1]}}}, "calls.0: found 0"),
        ({"sketch": {"cells": {**CELLS, "calls": [1]}}}, "equally long"),
        (
            {"sketch": {"cells": CELLS, "failed": {"groups": [7], "calls": [2]}}},
            "at most as many calls as cells has",
        ),
        ({"kind": "imagined"}, "kind: found 'imagined'"),
        ({"alias": ""}, "alias: found ''"),
    ],
)
def test_an_observation_that_makes_no_sense_is_refused_with_its_place(server, changes, words):
    status, detail = server.refused("POST", "/observations", observations(1, "bad:1", **changes))
    assert (status, words in detail) == (422, True), detail


@pytest.mark.parametrize("router", ["minute", "day", "", "two words:1", "x:" + "y" * 300])
def test_a_router_has_a_name_that_no_folded_row_has(server, router):
    status, detail = server.refused("POST", "/observations", observations(1, router))
    assert (status, "router: found" in detail) == (422, True), detail


def test_a_batch_that_is_too_large_is_refused(server):
    body = observations(1)
    body["observations"] *= 1001
    status, detail = server.refused("POST", "/observations", body)
    assert (status, "1000" in detail) == (422, True), detail


# --- exposures and feedback -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def experiment(served):
    for name in ("x_1", "x_2"):
        schema = {"params": {"vectors": {"size": 4, "distance": "Cosine"}}, "payload_schema": {}}
        served.world.store.create(name, schema, {})
    served.world.store.point_alias("x", "x_1")
    return commands.create_experiment(
        served.world.services, "which", "x_1", ["x_2"], actor="anna",
        options={"window_hours": 1}, metrics=["clicks"],
    )  # fmt: skip


def exposures(experiment, batch, user, router=ROUTER, **changes):
    one = {
        "experiment": experiment,
        "unit": unit_of_user(experiment, user),
        "variant": "treatment",
        "stage": 1,
        "collection": "x_2",
        "bucket": 5000,
        "group": 3,
        "log_ms": 1.5,
        "latencies": {"buckets": [700], "calls": [1]},
        **changes,
    }
    return {"router": router, "batch": batch, "users": [one]}


def exposed(server, experiment):
    with server.world.services.sessions() as session:
        query = select(func.count()).where(ExposureRow.experiment_id == experiment)
        return session.scalar(query)


def test_an_experiment_tells_its_route_and_its_control(server, experiment):
    found = server.got("GET", f"/experiments/{experiment}/route")
    assert found == {"route": "x", "control": "x_1"}
    status, _ = server.refused("GET", "/experiments/unknown/route")
    assert status == 404


def test_a_batch_of_exposures_counts_once(server, experiment):
    before = exposed(server, experiment)
    body = exposures(experiment, 1, "anna", "once:2")
    assert server.got("POST", "/exposures", body) == {"recorded": True}
    assert server.got("POST", "/exposures", body) == {"recorded": False}
    assert exposed(server, experiment) == before + 1
    assert server.got("POST", "/observations", observations(1, "once:2")) == {"recorded": True}


def test_exposures_of_an_unknown_experiment_are_left_out(server, experiment):
    body = exposures("unknown", 1, "anna", "lost:1")
    assert server.got("POST", "/exposures", body) == {"recorded": True}


def piece(experiment, key, user="berta", **changes):
    return {"experiment": experiment, "metric": "clicks", "value": 1, "key": key,
            "user_id": user, **changes}  # fmt: skip


def test_feedback_comes_in_batches_and_each_piece_counts_once(server, experiment):
    server.got("POST", "/exposures", exposures(experiment, 1, "berta", "feed:1"))
    body = {
        "feedback": [
            piece(experiment, "k1"),
            piece(experiment, "k2", metric="laughs"),
            piece(experiment, "k3"),
        ]
    }
    first = server.got("POST", "/feedback", body, scope="feedback")["results"]
    assert [one["outcome"] for one in first] == ["counted", "refused", "counted"]
    assert "laughs" in first[1]["detail"]
    again = server.got("POST", "/feedback", body, scope="feedback")["results"]
    assert [one["outcome"] for one in again] == ["repeated", "refused", "repeated"]


def test_feedback_that_comes_before_the_exposure_can_be_sent_again(server, experiment):
    early = {"feedback": [piece(experiment, "early", "zora")], "patient": True}
    assert server.got("POST", "/feedback", early)["results"][0]["outcome"] == "unexposed"
    server.got("POST", "/exposures", exposures(experiment, 1, "zora", "feed:2"))
    assert server.got("POST", "/feedback", early)["results"][0]["outcome"] == "counted"


def test_feedback_with_a_misspelt_field_is_refused(server, experiment):
    wrong = {"feedback": [{**piece(experiment, "k9"), "user": "anna"}]}
    status, detail = server.refused("POST", "/feedback", wrong)
    assert (status, "feedback.0.user: unknown key" in detail) == (422, True), detail


# --- who may --------------------------------------------------------------------------------------


def test_the_token_of_a_browser_may_only_send_feedback_and_an_error_says_so(server):
    for endpoint in ENDPOINTS:
        path = endpoint.path.format(
            alias="docs", deployment="d", collection="c", experiment="e", backup="b", action="a"
        )
        if endpoint.scope in ("", "feedback"):
            continue
        status, detail = server.refused(endpoint.method, path, scope="feedback")
        assert status == 403, path
        assert detail == (
            f"this needs the scope {endpoint.scope}; token:t-feedback has feedback, "
            "so it may report what users did"
        )
    assert server.ask("GET", "/routes/stream", scope="feedback").status_code == 403
    assert server.ask("GET", "/stream", scope="feedback").status_code == 403


def test_the_token_of_a_router_may_do_what_a_router_does_and_nothing_else(server):
    allowed = {
        (one.method, one.path) for one in ENDPOINTS if one.scope in tokens.expand_scopes(["router"])
    }
    assert allowed == {
        ("GET", "/routes"),
        ("GET", "/experiments/{experiment}/route"),
        ("POST", "/routers"),
        ("POST", "/observations"),
        ("POST", "/exposures"),
        ("POST", "/feedback"),
        ("POST", "/experiments/{experiment}/feedback"),
    }
