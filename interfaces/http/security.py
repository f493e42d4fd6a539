"""Who sends a request, and which requests are accepted at all.

Rule: a caller with a token or a session is the one that it names, or nobody if it is not valid. A
caller without either is the local operator, with every scope, only if no token was ever created or
set and the request really comes from this machine: from a loopback address, to a loopback name, not
forwarded by a proxy. For browsers there are two more conditions, because any page may send them
here: the host name must be ours (DNS rebinding), and a change must come from our own pages (request
forgery).
"""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.interfaces.access import tokens, web_sessions
from qdrant_rollouts.interfaces.access.tokens import ALL_SCOPES, SCOPES, Caller, describe_scopes
from qdrant_rollouts.interfaces.http import problems
from qdrant_rollouts.interfaces.http.app_context import AppContext
from qdrant_rollouts.interfaces.http.problems import (
    Forbidden,
    ForeignHost,
    OtherSite,
    TooLarge,
    Unauthorized,
)
from qdrant_rollouts.interfaces.people import login_name

SESSION_COOKIE = "rollouts_session"
#: Maximum bytes of a request's body, and of a page's form, which callers without a session may
#: send.
LARGEST_BODY = 1_000_000
LARGEST_FORM = 100_000
#: Seconds for which a token's look-up is cached: a revoked token may still work for this long.
REMEMBER_SECONDS = 1.0
_MOST_REMEMBERED = 1000
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
#: The source in events, by the path's first part.
_ENTRANCES = {"api": "http", "mcp": "mcp"}


class Authenticator:
    """Identifies the caller, and caches it for a second, so that a hundred clients do not queue at
    the database."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._known: OrderedDict[tuple[str, str], tuple[float, Caller | None]] = OrderedDict()

    def caller(self, connection: HTTPConnection) -> Caller:
        """Raises Unauthorized if the request identifies nobody."""
        found = (
            self._caller_by_token(connection)
            or self._caller_by_session(connection)
            or self._caller_on_machine(connection)
        )
        if found is None:
            raise Unauthorized
        return found

    def _caller_by_token(self, connection: HTTPConnection) -> Caller | None:
        """Raises Unauthorized for an invalid token, without looking for another identification."""
        kind, _, presented = connection.headers.get("authorization", "").partition(" ")
        if not kind:
            return None
        found = None
        if kind.lower() == "bearer":
            found = self._remember_lookup("token", presented.strip(), self._look_up_token)
        if found is None:
            raise Unauthorized(
                "this token is unknown or was revoked; `rollouts token list` shows those there are"
            )
        return found

    def _caller_by_session(self, connection: HTTPConnection) -> Caller | None:
        secret = connection.cookies.get(SESSION_COOKIE, "")
        if not secret:
            return None
        return self._remember_lookup("session", secret, self._look_up_session)

    def _caller_on_machine(self, connection: HTTPConnection) -> Caller | None:
        if not is_local(connection) or self._context.api_token:
            return None
        return self._remember_lookup("local", "", self._look_up_machine)

    def _look_up_token(self, presented: str) -> Caller | None:
        if web_sessions.is_settings_token(presented, self._context.api_token):
            return Caller(web_sessions.SETTINGS_CALLER, ALL_SCOPES)
        return tokens.caller_of_token(self._context.services, presented)

    def _look_up_session(self, secret: str) -> Caller | None:
        return web_sessions.caller_of_session(
            self._context.services, secret, self._context.api_token
        )

    def _look_up_machine(self, _: str) -> Caller | None:
        if tokens.has_any_token(self._context.services):
            return None
        return Caller(login_name("web"), ALL_SCOPES)

    def _remember_lookup(
        self, what: str, secret: str, look: Callable[[str], Caller | None]
    ) -> Caller | None:
        """Stores only a digest of the secret."""
        key = what, tokens.hash_secret(secret)
        until, found = self._known.get(key, (0.0, None))
        if time.monotonic() >= until:
            found = look(secret)
            self._known[key] = time.monotonic() + REMEMBER_SECONDS, found
            while len(self._known) > _MOST_REMEMBERED:
                self._known.popitem(last=False)
        return found

    def forget(self) -> None:
        """Clears the cache: after a token was created or revoked, or a person signed out."""
        self._known.clear()


def caller_of_request(connection: HTTPConnection) -> Caller:
    """Raises Unauthorized. It may ask the database: call it in a thread."""
    door: Authenticator = connection.app.state.door
    return door.caller(connection)


def require_scope(connection: HTTPConnection, scope: str) -> Caller:
    """Returns the caller if it has ``scope``; with an empty scope any caller. Raises Unauthorized
    and Forbidden."""
    found = caller_of_request(connection)
    if scope and not found.may(scope):
        has = ", ".join(one for one in SCOPES if found.may(one)) or "none"
        raise Forbidden(
            f"this needs the scope {scope}; {found.name} has {has}, so it may "
            f"{describe_scopes(found.scopes)}"
        )
    return found


def is_local(connection: HTTPConnection) -> bool:
    """Whether the request comes from this machine and was not forwarded."""
    client = ""
    if connection.client:
        client = connection.client.host
    handed_on = any(name in connection.headers for name in _PROXY_HEADERS)
    return (
        is_loopback(client)
        and is_loopback(host_name(connection.headers.get("host", "")))
        and not handed_on
    )


def is_loopback(host: str) -> bool:
    """A loopback address, or localhost."""
    address = _parse_ip(host)
    if address is None:
        return host == "localhost"
    return address.is_loopback


def host_name(host: str) -> str:
    """Returns the host of ``HOST[:PORT]`` in lower case, an IPv6 address without its brackets;
    empty if it is not valid."""
    try:
        return (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return ""


def _parse_ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


class Guard:
    """Before everything else: checks names, origins, sizes. After everything: adds headers to every
    answer."""

    def __init__(self, app: ASGIApp, context: AppContext) -> None:
        self._app = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _with_headers(send)
        try:
            self._check_request(scope)
        except (Forbidden, TooLarge) as error:
            await problems.error_response(error)(scope, receive, answer)
            return
        with events.use_source(_ENTRANCES.get(_first_part(scope), "page")):
            await self._app(scope, _MeasuredBody(receive, _largest_body(scope)), answer)

    def _check_request(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = host_name(headers.get("host", ""))
        if (
            host != "localhost"
            and _parse_ip(host) is None
            and host not in self._context.settings.web_hosts
        ):
            raise ForeignHost(
                f"host {quote_value(host)} is not ours: ask by address or localhost, or name it in "
                "ROLLOUTS_WEB_HOSTS"
            )
        if scope["method"] not in _SAFE_METHODS and not _from_our_pages(headers):
            raise OtherSite(
                "what changes something is taken from our own pages and from programs, not from "
                "other sites"
            )
        size = headers.get("content-length", "0")
        if not size.isdecimal() or int(size) > _largest_body(scope):
            raise TooLarge(
                f"the body has {size[:20]} bytes, at most {_largest_body(scope)} are taken"
            )


def _largest_body(scope: Scope) -> int:
    if _ENTRANCES.get(_first_part(scope)):
        return LARGEST_BODY
    return LARGEST_FORM


def _first_part(scope: Scope) -> str:
    path: str = scope["path"]
    if "/" not in path:
        return ""
    return path.split("/")[1]


def _from_our_pages(headers: Headers) -> bool:
    """Browsers always say which page sends a request; programs say nothing."""
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return False
    return "origin" not in headers or urlsplit(headers["origin"]).netloc == headers.get("host")


class _MeasuredBody:
    """A body without a declared length is counted as it arrives."""

    def __init__(self, receive: Receive, largest: int) -> None:
        self._receive = receive
        self._largest = largest
        self._bytes = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._bytes += len(message.get("body", b""))
        if self._bytes > self._largest:
            raise TooLarge(f"the body has more than {self._largest} bytes")
        return message


def _with_headers(send: Send) -> Send:
    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("Cache-Control", "no-store")
            headers["X-Content-Type-Options"] = "nosniff"
        await send(message)

    return answer
