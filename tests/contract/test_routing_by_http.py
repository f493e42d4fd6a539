"""A router without the database: how it hears of changes, and what it does while the rollouts
server is away. What it has in common with a router that has the database is tested in test_routing,
test_arms, test_exposures and test_interleaving."""

import logging
import queue
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qdrant_rollouts.adapters.http_control_plane import HttpControlPlane
from qdrant_rollouts.core.routing import Router, link, table, traffic
from qdrant_rollouts.core.routing.batch import Batch
from qdrant_rollouts.core.routing.control_plane import NotReached, RouterServices
from qdrant_rollouts.core.routing.exposures import Person, UserSearches, unit_of_user
from qdrant_rollouts.interfaces.access import tokens
from tests.by_http import ByHttp
from tests.contract.test_routing import (
    STAGE,
    half_on_green,
    names,
    observed,
    until,
    user_on,
    vector,
    waited,
)
from tests.saved_worlds import SavedWorlds
from tests.world import EMBEDDING, World


class Between:
    """Stands before the app, and swallows the answers to so many of the next requests to a path, or
    answers them itself with what cannot be decoded."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.swallow: dict[str, int] = {}
        self.garble: dict[str, int] = {}
        self.asked: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "").removeprefix("/api/v1")
        self.asked.append(path)
        if self.swallow.get(path, 0):
            self.swallow[path] -= 1
            await self._app(scope, receive, _drop)
            return
        if self.garble.get(path, 0):
            self.garble[path] -= 1
            headers = [(b"content-encoding", b"gzip")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"<html>"})
            return
        await self._app(scope, receive, send)


async def _drop(message: Message) -> None:
    """The answer is lost on its way."""


def _half(world: World) -> None:
    half_on_green(world, EMBEDDING)


@pytest.fixture
def between() -> list[Between]:
    """The one before each app that was started."""
    return []


@pytest.fixture
def routed(
    tmp_path: Path, ready_sqlite_url: str, saved_worlds: SavedWorlds, between: list[Between]
) -> Iterator[World]:
    def wrap(app: ASGIApp) -> ASGIApp:
        between.append(Between(app))
        return between[-1]

    world = World(tmp_path, ready_sqlite_url)
    saved_worlds.begin(world, _half)
    world.reach = ByHttp(wrap)
    yield world
    world.close()


def reach(world: World) -> ByHttp:
    assert isinstance(world.reach, ByHttp)
    return world.reach


def set_share(world: World, share: int) -> Any:
    blue, green = names(world)
    return table.set_route(
        world.services, "docs", blue=blue, green=green, share=share, salt="salt", stage=STAGE
    )


def router_at(world: World, url: str, token: str = "") -> Router:
    services = world.services
    control = HttpControlPlane(url, token)
    return Router(
        RouterServices(services.store, services.embedder, services.indexes, control), control.close
    )


# --- changes --------------------------------------------------------------------------------------


def test_a_change_is_told_by_the_stream_and_nothing_asks_for_it(
    routed: World, between: list[Between]
) -> None:
    control = reach(routed).connect(routed.services)
    heard: queue.Queue[str] = queue.Queue()
    control.listen(heard.put, threading.Event())
    assert {heard.get(timeout=60)} <= {"docs", "other"}
    until(lambda: control._followed)
    for share in (6000, 7000):
        changed = set_share(routed, share)
        until(lambda wanted=changed: control.read_route("docs") == wanted)
    control.close()
    assert "/routes" not in between[0].asked


def test_without_a_stream_routes_are_asked_for_and_an_unchanged_answer_is_empty(
    routed: World,
) -> None:
    control = reach(routed).connect(routed.services)
    before = control.read_route("docs")
    changed = set_share(routed, 6000)
    until(lambda: control.read_route("docs") == changed)
    assert control.find_newer_routes({"docs": before.version, "other": 10**9}) == {"docs"}
    control.close()


# --- the server is away ---------------------------------------------------------------------------


def test_routes_are_kept_and_observations_are_counted_once_when_the_server_was_away(
    routed: World,
) -> None:
    _, green = names(routed)
    with routed.open_router() as router:
        assert router.search("docs", vector(), user_on("canary")).collection == green
        reach(routed).close()
        until(lambda: router.stats.database)
        for _ in range(20):
            assert router.search("docs", vector(), user_on("canary")).collection == green
        assert "the rollouts server at http://127.0.0.1" in router.stats.database
        changed = set_share(routed, 10_000)
        reach(routed).start(routed.services)
        waited(lambda: table.confirm_route(routed.services, changed).serving, 60)
        assert router.search("docs", vector(), user_on("control")).collection == green
        assert router.stats.database == ""
    assert observed(routed)["canary", "real"].calls == 22


def test_a_router_that_starts_before_its_server_searches_the_alias_and_joins_later(
    routed: World,
) -> None:
    control = reach(routed).connect(routed.services)
    control.close()
    reach(routed).close()
    with router_at(routed, reach(routed).url, reach(routed).token) as router:
        assert router.search("docs", vector(), user_on("canary")).variant == "unrouted"
        assert router.stats.unrouted_aliases == ("docs",)
        reach(routed).start(routed.services)
        until(lambda: router.search("docs", vector(), user_on("canary")).variant == "canary")


def test_no_search_waits_for_a_server_that_takes_connections_and_is_silent(
    routed: World,
) -> None:
    with silent_server() as url, router_at(routed, url) as router:
        took = []
        for number in range(3):
            started = time.monotonic()
            assert router.search("docs", vector(), f"user {number}").variant == "unrouted"
            took.append(time.monotonic() - started)
    assert took[0] < link.PATIENCE + 2
    assert max(took[1:]) < link.PATIENCE


@contextmanager
def silent_server() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as door:
        yield f"http://127.0.0.1:{door.getsockname()[1]}"


# --- reports --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/observations", "/routers", "/routes"])
def test_a_request_whose_answer_is_lost_is_sent_again_and_counts_once(
    routed: World, between: list[Between], path: str
) -> None:
    with routed.open_router() as router:
        router.search("docs", vector(), user_on("canary"))
        between[0].swallow[path] = 2
        router.search("docs", vector(), user_on("canary"))
        until(lambda: not router.stats.waiting)
    assert observed(routed)["canary", "real"].calls == 2


def test_a_batch_that_counts_for_another_router_of_the_same_name_is_told(
    routed: World, caplog: pytest.LogCaptureFixture
) -> None:
    batch = Batch()
    batch.tallies[traffic.TrafficKey("docs", STAGE, "canary", "real", "green")].add(1, 0.01)
    for told in (0, 1):
        control = reach(routed).connect(routed.services)
        control.write_batch("shop:1:a", 1, batch)
        control.close()
        assert sum("was not counted" in one.getMessage() for one in caplog.records) == told


def test_what_the_server_never_takes_is_left_out_and_the_rest_is_sent(
    routed: World, caplog: pytest.LogCaptureFixture
) -> None:
    with routed.open_router() as router:
        key = traffic.TrafficKey("docs", STAGE, "canary", "real", "green")
        wrong = traffic.TrafficKey("docs", STAGE, "canary", "imagined", "green")
        for one in (wrong, key):
            router._core.recorder.add(one, 1, 0.01)
        router._core.recorder.flush()
        router._core.recorder.add(key, 1, 0.01)
        router._core.recorder.flush()
    assert {kind: one.calls for (_, kind), one in observed(routed).items()} == {"real": 2}
    (said,) = [one.getMessage() for one in caplog.records if "left out" in one.getMessage()]
    assert "kind: found 'imagined'" in said


def test_only_users_who_were_refused_are_counted_as_dropped(routed: World) -> None:
    with routed.open_router() as router:
        recorder = router._core.recorder
        for number in range(5):
            person = Person("e", unit_of_user("e", str(number)))
            bucket = 5
            if number == 3:
                bucket = -1
            seen = UserSearches("treatment", 1, "green", bucket, 7, latencies=Counter((700,)))
            recorder.add_person(person, seen)
        recorder.flush()
        wrong = traffic.TrafficKey("docs", STAGE, "canary", "imagined", "green")
        recorder.add(wrong, 1, 0.01)
        recorder.flush()
        assert router.stats.dropped == 1


def test_a_server_that_takes_nothing_is_not_asked_about_every_piece(
    routed: World, between: list[Between]
) -> None:
    with routed.open_router() as router:
        router._core.routes.look("docs")
        for number in range(300):
            wrong = traffic.TrafficKey("docs", STAGE, "canary", "imagined", f"green {number}")
            router._core.recorder.add(wrong, 1, 0.01)
        router._core.recorder.flush()
    assert observed(routed) == {}
    assert between[0].asked.count("/observations") < 100


def test_answers_that_cannot_be_decoded_end_neither_the_following_nor_the_reports(
    routed: World, between: list[Between]
) -> None:
    reach(routed).connect(routed.services).close()
    between[0].garble = {"/routes/stream": 3, "/routes": 2, "/observations": 1, "/routers": 1}
    with routed.open_router() as router:
        assert router.search("docs", vector(), user_on("canary")).variant == "unrouted"
        until(lambda: router.search("docs", vector(), user_on("canary")).variant == "canary")
        changed = set_share(routed, 0)
        until(lambda: router.search("docs", vector(), user_on("canary")).variant == "live")
        waited(lambda: table.confirm_route(routed.services, changed).serving, 60)
        until(lambda: not router.stats.waiting)
    assert observed(routed)["canary", "real"].calls
    assert set(between[0].garble.values()) == {0}


# --- the token ------------------------------------------------------------------------------------


def test_a_token_that_is_revoked_is_told_once_and_the_last_routes_stay(
    routed: World, caplog: pytest.LogCaptureFixture
) -> None:
    _, green = names(routed)
    with routed.open_router() as router:
        assert router.search("docs", vector(), user_on("canary")).collection == green
        tokens.revoke_token(routed.services, "application", actor="anna")
        until(lambda: router.stats.away_seconds > 2.5)
        assert router.search("docs", vector(), user_on("canary")).collection == green
    told = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert [one.name for one in told] == ["qdrant_rollouts.core.routing.link"]
    assert "refuses ROLLOUTS_TOKEN" in told[0].getMessage()
    assert "unknown or was revoked" in told[0].getMessage()
    assert "rollouts token create NAME --scope router" in told[0].getMessage()


@pytest.mark.parametrize(
    ("path", "token", "told"),
    [
        ("/api/v1", None, "correct ROLLOUTS_URL, which is the address before /api/v1"),
        ("", "", "unknown or was revoked; `rollouts token create NAME --scope router`"),
    ],
)
def test_a_wrong_address_or_no_token_is_told_with_what_to_do(
    routed: World, path: str, token: str | None, told: str
) -> None:
    reach(routed).connect(routed.services).close()
    known = reach(routed)
    control = HttpControlPlane(known.url + path, known.token if token is None else token)
    with closing(control), pytest.raises(NotReached, match=re.escape(told)):
        control.read_route("docs")


def test_a_token_that_may_only_read_routes_follows_them_and_says_once_that_nothing_is_written(
    routed: World, caplog: pytest.LogCaptureFixture
) -> None:
    reach(routed).connect(routed.services).close()
    made = tokens.create_token(routed.services, "reader", ["routes"], actor="anna")
    with router_at(routed, reach(routed).url, made["token"]) as router:
        assert router.search("docs", vector(), user_on("canary")).variant == "canary"
        until(lambda: router.stats.away_seconds > 2.5)
        set_share(routed, 0)
        until(lambda: router.search("docs", vector(), user_on("canary")).variant == "live")
        assert "needs the scope router; token:reader has routes" in router.stats.database
    (told,) = [one for one in caplog.records if one.name == link.__name__]
    assert (told.levelname, "observations wait" in told.getMessage()) == ("ERROR", True)


def test_a_token_without_the_scope_is_told_what_it_may_do(routed: World) -> None:
    control = reach(routed).connect(routed.services)
    control.close()
    made = tokens.create_token(routed.services, "browser", ["feedback"], actor="anna")
    other = HttpControlPlane(reach(routed).url, made["token"])
    with pytest.raises(NotReached, match="it may report what users did"):
        other.read_route("docs")
    other.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://nowhere.invalid:8600"])
def test_an_address_without_a_server_is_named(url: str) -> None:
    control = HttpControlPlane(url, "")
    with pytest.raises(NotReached, match=f"the rollouts server at {url} "):
        control.read_route("docs")
    control.close()


def test_authorities_that_cannot_be_read_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/authorities.pem")
    control = HttpControlPlane("https://127.0.0.1:1", "")
    with pytest.raises(NotReached, match="correct SSL_CERT_FILE"):
        control.read_route("docs")
    control.close()


class Stranger(BaseHTTPRequestHandler):
    """Answers everything with what is no answer of ours."""

    answer = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.mark.parametrize("answer", [b"<html>", b"{}", b"[1]", b'{"routes": [{}]}', b"null"])
def test_another_server_at_the_address_is_named_and_fails_no_search(
    routed: World, answer: bytes
) -> None:
    handler = type("Handler", (Stranger,), {"answer": answer})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with router_at(routed, f"http://127.0.0.1:{server.server_port}") as router:
            assert router.search("docs", vector(), user_on("canary")).variant == "unrouted"
            assert "is not a rollouts server" in router.stats.database
        server.shutdown()
        thread.join()


# --- its threads ----------------------------------------------------------------------------------


def test_a_router_that_is_closed_leaves_no_thread(routed: World) -> None:
    control = reach(routed).connect(routed.services)
    control.close()
    before = set(threading.enumerate())
    for _ in range(3):
        with routed.open_router() as router:
            assert router.search("docs", vector(), user_on("canary")).results
            until(lambda: router._core.services.control._followed)
    left = {one for one in set(threading.enumerate()) - before if "AnyIO" not in one.name}
    assert left == set()
