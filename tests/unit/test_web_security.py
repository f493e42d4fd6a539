"""Which callers get in, and as whom."""

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.errors import Broken, Malformed, Refused, Unavailable, Unknown
from qdrant_rollouts.interfaces.access import tokens, web_sessions
from qdrant_rollouts.interfaces.http import serving
from qdrant_rollouts.interfaces.http.app import make_app
from qdrant_rollouts.interfaces.http.security import LARGEST_BODY, SESSION_COOKIE
from tests.world import World

EVERYWHERE = "0.0.0.0"  # noqa: S104 - the test is that this is refused


@pytest.fixture
def world(tmp_path, ready_sqlite_url):
    made = World(tmp_path, ready_sqlite_url)
    yield made
    made.close()


def web(world, *, api_token="", hosts=(), client="127.0.0.1", base_url="http://localhost:8600"):
    app = make_app(world.services, Settings(api_token=api_token, web_hosts=hosts))
    return TestClient(app, base_url=base_url, client=(client, 50000), raise_server_exceptions=False)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def made(world, name, *scopes):
    return tokens.create_token(world.services, name, scopes, actor="anna")["token"]


def test_where_no_token_was_ever_made_a_person_at_this_machine_may_do_everything(world):
    answer = web(world).get("/api/v1/me").json()
    assert answer["scopes"] == sorted(tokens.SCOPES)
    assert answer["name"].endswith("@web")


@pytest.mark.parametrize(
    "other",
    [
        {"client": "192.0.2.7"},
        {"base_url": "http://192.0.2.8:8600"},
        {"base_url": "http://web.lan", "hosts": ("web.lan",)},
        {"api_token": "a token of the settings"},
    ],
)
def test_who_is_not_at_this_machine_needs_a_token(world, other):
    answer = web(world, **other).get("/api/v1/me")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "rollouts token create" in answer.json()["detail"]


def test_what_a_proxy_hands_on_is_not_from_this_machine(world):
    assert web(world).get("/api/v1/me", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 401


def test_revoking_the_last_token_opens_the_door_to_nobody(world):
    token = made(world, "ci", "read")
    tokens.revoke_token(world.services, "ci", actor="anna")
    assert web(world).get("/api/v1/me").status_code == 401
    assert web(world).get("/api/v1/me", headers=bearer(token)).status_code == 401


def test_a_token_is_its_holder_with_what_its_scopes_bring(world):
    answer = web(world).get("/api/v1/me", headers=bearer(made(world, "ci", "deploy")))
    assert answer.json() == {"name": "token:ci", "scopes": ["deploy", "read", "routes"]}


def test_the_token_of_the_settings_may_do_everything(world):
    answer = web(world, api_token="a token of the settings").get(
        "/api/v1/me", headers=bearer("a token of the settings")
    )
    assert answer.json() == {"name": "token:ROLLOUTS_API_TOKEN", "scopes": sorted(tokens.SCOPES)}


@pytest.mark.parametrize(
    "wrong", ["", "rlt_", "rlt_x_y", "Ä", "rlt_{id}_", "rlt_{id}_x{secret}", "{secret}", "\udcff"]
)
def test_what_is_nearly_a_token_is_none(world, wrong):
    _, id, secret = made(world, "ci", "read").split("_", 2)
    presented = wrong.format(id=id, secret=secret)
    assert tokens.caller_of_token(world.services, presented) is None


def test_a_wrong_token_is_not_taken_for_the_person_at_this_machine(world):
    for header in ("Bearer rlt_x_y", "Basic YTpi", "Bearer"):
        assert web(world).get("/api/v1/me", headers={"Authorization": header}).status_code == 401


def test_of_a_token_the_database_keeps_a_digest_alone(world):
    token = made(world, "ci", "read")
    folder = Path(world.engine.url.database).parent
    web(world).get("/api/v1/me", headers=bearer(token))
    world.close()
    kept = b"".join(path.read_bytes() for path in folder.glob("state.db*"))
    assert token.encode() not in kept
    assert token.split("_", 2)[2].encode() not in kept
    assert tokens.hash_secret(token).encode() in kept


def test_a_name_is_given_once_and_scopes_are_those_there_are(world):
    made(world, "ci", "read")
    with pytest.raises(Refused, match="was made before"):
        made(world, "ci", "read")
    for scopes in ((), ("erase",)):
        known = "read, search, routes, feedback, router, write, deploy, admin"
        with pytest.raises(Malformed, match=known):
            made(world, "other", *scopes)
    with pytest.raises(Unknown, match="rollouts token list"):
        tokens.revoke_token(world.services, "nobody", actor="anna")
    assert [one["name"] for one in tokens.list_tokens(world.services)] == ["ci"]


def test_the_last_use_of_a_token_is_known_to_the_minute(world):
    token = made(world, "ci", "read")
    assert tokens.list_tokens(world.services)[0]["last_used_at"] is None
    tokens.caller_of_token(world.services, token)
    first = tokens.list_tokens(world.services)[0]["last_used_at"]
    world.clock.move(30)
    tokens.caller_of_token(world.services, token)
    assert tokens.list_tokens(world.services)[0]["last_used_at"] == first
    world.clock.move(31)
    tokens.caller_of_token(world.services, token)
    assert tokens.list_tokens(world.services)[0]["last_used_at"] > first


# --- sessions -------------------------------------------------------------------------------------


def test_a_session_is_the_holder_of_its_token_until_that_is_revoked(world):
    token = made(world, "anna", "deploy")
    secret = web_sessions.begin_session(world.services, token, "")
    client = web(world)
    client.cookies.set(SESSION_COOKIE, secret)
    answer = client.get("/api/v1/me")
    assert answer.json() == {"name": "token:anna", "scopes": ["deploy", "read", "routes"]}
    tokens.revoke_token(world.services, "anna", actor="anna")
    assert web_sessions.caller_of_session(world.services, secret, "") is None


def test_a_session_ends_after_half_a_day_and_when_it_is_left(world):
    token = made(world, "anna", "read")
    left = web_sessions.begin_session(world.services, token, "")
    late = web_sessions.begin_session(world.services, token, "")
    web_sessions.end_session(world.services, left)
    assert web_sessions.caller_of_session(world.services, left, "") is None
    assert web_sessions.caller_of_session(world.services, late, "").name == "token:anna"
    world.clock.move(web_sessions.SESSION_LENGTH.total_seconds() + 1)
    assert web_sessions.caller_of_session(world.services, late, "") is None


def test_a_session_by_the_token_of_the_settings_ends_when_that_is_changed(world):
    secret = web_sessions.begin_session(world.services, "the first", "the first")
    assert web_sessions.caller_of_session(world.services, secret, "the first").may("admin")
    assert web_sessions.caller_of_session(world.services, secret, "the second") is None
    assert web_sessions.caller_of_session(world.services, secret, "") is None


def test_nobody_signs_in_with_what_is_no_token(world):
    for presented in ("", "rlt_x_y", "the first"):
        assert web_sessions.begin_session(world.services, presented, "") is None


# --- browsers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "", "[", "127.0.0.1.nip.io"]
)
def test_a_page_that_made_its_name_lead_here_is_refused(world, host):
    answer = web(world).get("/api/v1/me", headers={"Host": host})
    assert answer.status_code == 403
    assert "ROLLOUTS_WEB_HOSTS" in answer.json()["detail"]


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8600", "127.0.0.1:8600", "[::1]:8600", "LOCALHOST."]
)
def test_names_of_this_machine_are_ours(world, host):
    assert web(world).get("/api/v1/me", headers={"Host": host}).status_code == 200


def test_a_name_of_the_settings_is_ours(world):
    asked = web(world, hosts=("web.lan",), base_url="http://web.lan").get(
        "/api/v1/me", headers=bearer(made(world, "ci", "read"))
    )
    assert asked.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_site_changes_nothing_here(world, headers):
    assert web(world).post("/api/v1/me", headers=headers).status_code == 403


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": "http://localhost:8600", "Sec-Fetch-Site": "same-origin"}]
)
def test_programs_and_our_own_pages_may_change_something(world, headers):
    assert web(world).post("/api/v1/me", headers=headers).status_code == 405


def test_a_body_may_not_be_larger_than_said(world):
    for size in (str(LARGEST_BODY + 1), "many"):
        answer = web(world).post("/api/v1/me", headers={"Content-Length": size})
        assert (answer.status_code, answer.headers["content-type"]) == (
            413,
            "application/problem+json",
        )


def test_no_answer_is_kept_by_a_cache_or_shown_to_another_site(world):
    for answer in (
        web(world).get("/api/v1/me"),
        web(world).get("/nothing"),
        web(world).get("/", headers={"Host": "x"}),
    ):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert not [name for name in answer.headers if name.startswith("access-control")]


# --- problems -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refused("too late; wait"), 409),
        (Unknown("there is no x; `list` shows them"), 404),
        (Malformed("x is 7, expected 1 to 5"), 422),
        (Unavailable("qdrant at http://x did not answer"), 503),
        (Broken("impossible"), 500),
        (ZeroDivisionError("a secret"), 500),
    ],
)
def test_an_error_is_a_problem_document(world, error, status):
    def fail(_: Request) -> PlainTextResponse:
        raise error

    inner = make_app(world.services, Settings())
    app = Starlette(routes=[Route("/fail", fail)], exception_handlers=inner.exception_handlers)
    app.state.context = inner.state.context
    answer = TestClient(app, base_url="http://localhost", raise_server_exceptions=False).get(
        "/fail"
    )
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "application/problem+json",
    )
    body = answer.json()
    assert body["status"] == status
    assert (body["detail"] == str(error)) is (not isinstance(error, ZeroDivisionError))
    assert "a secret" not in answer.text
    assert ("retry-after" in answer.headers) is (status == 503)


def test_a_path_that_is_not_there_is_a_problem_document_too(world):
    answer = web(world).get("/api/v1/nothing")
    assert (answer.status_code, answer.json()["status"]) == (404, 404)


# --- serving --------------------------------------------------------------------------------------


def test_other_machines_are_let_in_with_a_token_only(world):
    with (
        pytest.raises(Refused, match="rollouts token create"),
        serving.bind_socket(world.services, Settings(), EVERYWHERE, 0),
    ):
        pass
    with serving.bind_socket(world.services, Settings(api_token="x"), EVERYWHERE, 0) as door:
        assert serving.socket_url(door).startswith(f"http://{EVERYWHERE}:")
    made(world, "ci", "read")
    with serving.bind_socket(world.services, Settings(), EVERYWHERE, 0) as door:
        assert serving.socket_url(door).startswith(f"http://{EVERYWHERE}:")


def test_a_port_that_is_taken_is_refused_in_words(world):
    with serving.bind_socket(world.services, Settings(), "127.0.0.1", 0) as door:
        port = door.getsockname()[1]
        with (
            pytest.raises(Refused, match=f"--port {port}.*another port"),
            serving.bind_socket(world.services, Settings(), "127.0.0.1", port),
        ):
            pass
