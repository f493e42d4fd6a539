"""Qdrant's REST API: the connections of this process, and the server's answers as this program's
errors."""

import os
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from pydantic import ConfigDict, TypeAdapter

from qdrant_rollouts.core.defaults import CALL_SECONDS
from qdrant_rollouts.core.errors import (
    Limited,
    Misconfigured,
    OutcomeUnknown,
    Refused,
    Unavailable,
)
from qdrant_rollouts.core.sanitize.quoting import error_text, quote_value

#: Seconds for a whole call, and for a call that must end sooner (``core.ports.VectorStore``).
CALL = CALL_SECONDS
ACT = 5.0
_CONNECT_TIMEOUT = 2.0
_DEFAULT_PORT = 6333
#: The server's message for a request that needs more tokens than its limit has in a minute.
TOO_LARGE = "larger than rate limiter capacity"
#: Qdrant closes connections that were idle for 5 s. A request at that very moment fails, so ours
#: close earlier.
_LIMITS = httpx.Limits(max_connections=None, keepalive_expiry=2.0)
#: Characters of a server's message.
_LONGEST_ANSWER = 500
#: A compressed answer comes in two pieces, of which the second waits for the acknowledgement of the
#: first: a search then takes 40 ms instead of 2 (measured on 1.16.3, loopback).
_NOT_LET_IN = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
_HEADERS = {"content-type": "application/json", "accept-encoding": "identity"}
#: The server refuses NaN and infinite numbers with its own words.
_JSON = TypeAdapter(Any, config=ConfigDict(ser_json_inf_nan="constants"))


_SETTING = "correct ROLLOUTS_QDRANT_URL"
_LONGEST_ERROR = 200
#: Errors before a request has left this process.
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
#: Wrong settings, recognised by the network's message; the first match counts.
_WRONG_SETTINGS = (
    (
        r"Name or service not known|name resolution|No address associated"
        r"|nodename nor servname|Name does not resolve",
        f"has a host name that is not known; {_SETTING}",
    ),
    (
        r"WRONG_VERSION_NUMBER|wrong version number|record layer failure",
        f"speaks no TLS; write http://, or {_SETTING}",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed",
        "has a certificate that is not trusted; name its authority in SSL_CERT_FILE",
    ),
    (
        r"certificate required|CERTIFICATE_REQUIRED",
        "requires a client certificate, which is not supported",
    ),
    (r"\\x15\\x03", "expects TLS; write https:// in ROLLOUTS_QDRANT_URL"),
    (r"illegal (?:request|status) line", f"speaks no HTTP: that may be its gRPC port; {_SETTING}"),
)


class Forbidden(Refused):
    """The key has no right to do this."""


class Rest:
    """Calls to one server. Nothing is sent before the first call; each process opens its own
    connections."""

    def __init__(self, url: str, api_key: str = "") -> None:
        """``url`` may contain a user and password for a proxy; ``address`` never does. Raises
        Refused if it is not a URL."""
        parsed = self._parsed = _parse_url(url)
        self._user = (parsed.username, parsed.password) if parsed.userinfo else None
        self._opened: tuple[int, httpx.Client] | None = None
        self.api_key = api_key
        self.host = parsed.host
        self.secure = parsed.scheme == "https"
        self.address = str(parsed.copy_with(userinfo=b"")).rstrip("/")

    def __str__(self) -> str:
        return f"Qdrant at {self.address}"

    def about(self) -> dict[str, Any]:
        """What the server says about itself at its root: ``title``, ``version``, ``commit``. A
        server that expects TLS closes the connection silently, so TLS is tried too."""
        try:
            answer = self._parse_content(self._send_request("GET", "/"))
        except Unavailable as error:
            if type(error) is Unavailable and not self.secure and _speaks_tls(self._parsed):
                raise Misconfigured(
                    f"{self} expects TLS; write https:// in ROLLOUTS_QDRANT_URL"
                ) from error
            raise
        if "version" not in answer:
            raise Refused(
                f"{self} is not a Qdrant server: it reported no version; check ROLLOUTS_QDRANT_URL"
            )
        return answer

    def call(
        self,
        method: str,
        *path: str,
        body: Any = None,
        content: bytes | None = None,
        params: dict[str, str] | None = None,
        seconds: float = CALL,
    ) -> Any:
        """Returns the ``result`` of the answer; None if the server only accepted. Raises
        Unavailable and Refused.

        ``body`` is sent as JSON; ``content`` is JSON already.
        """
        if body is not None:
            content = write_json(body)
        return self.result(
            self._send_request(method, build_path(*path), seconds, content=content, params=params)
        )

    def call_once(self, method: str, *path: str, seconds: float, **request: Any) -> Any:
        """As ``call``, for an act that must not be asked for twice. Raises OutcomeUnknown if there
        is no answer of Qdrant's and it may carry the act out all the same. Any other Unavailable
        says that it does not."""
        try:
            with self.translate_errors():
                response = self._open_client().request(
                    method, build_path(*path), timeout=call_timeout(seconds), **request
                )
        except Unavailable as error:
            if isinstance(error.__cause__, _NEVER_SENT):
                raise
            raise OutcomeUnknown(str(error)) from error
        if response.status_code not in _NOT_LET_IN and not _is_of_qdrant(response):
            raise OutcomeUnknown(
                f"{self} did not answer: HTTP {response.status_code} of something in between"
            )
        return self.result(response)

    @contextmanager
    def open_stream(
        self, method: str, *path: str, seconds: float, **request: Any
    ) -> Iterator[httpx.Response]:
        """An answer that the caller reads piece by piece; ``seconds`` are for each piece, not for
        all of it."""
        with (
            self.translate_errors(),
            self._open_client().stream(
                method, build_path(*path), timeout=call_timeout(seconds), **request
            ) as response,
        ):
            yield response

    def result(self, response: httpx.Response) -> Any:
        """Converts an answer to its ``result``, Unavailable or Refused."""
        answer = self._parse_content(response)
        if response.is_success:
            if "result" not in answer and "status" not in answer:
                raise Misconfigured(
                    f"{self} is not a Qdrant server (HTTP {response.status_code}); {_SETTING}"
                )
            return answer.get("result")
        status = answer.get("status")
        said = f"{status.get('error') if isinstance(status, dict) else status}"
        limited = rate_error(self, said, response.headers.get("retry-after"))
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS and limited is not None:
            raise limited
        if response.is_server_error or response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise Unavailable(
                f"{self} did not answer: HTTP {response.status_code}, "
                f"{error_text(said, _LONGEST_ANSWER)}"
            )
        raise Refused(f"{self} refused: {error_text(said, _LONGEST_ANSWER)}")

    def url(self, *path: str) -> str:
        """Returns the address of something on this server, for the server itself to fetch."""
        return self.address + build_path(*path)

    def close(self) -> None:
        opened = self._opened
        self._opened = None
        if opened and opened[0] == os.getpid():
            opened[1].close()

    def connection(self) -> dict[str, Any]:
        """Returns the arguments of an httpx client. The base has no user and password, because
        httpx logs each URL. Without TLS no authorities are loaded, which would take longer than a
        request."""
        headers = _HEADERS | ({"api-key": self.api_key} if self.api_key else {})
        verify = True if self.secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return {
            "base_url": self.address,
            "auth": self._user,
            "headers": headers,
            "limits": _LIMITS,
            "verify": verify,
        }

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Every network error means that the server did not answer, unless its message shows a
        wrong setting."""
        try:
            yield
        except httpx.TransportError as error:
            said = str(error) or type(error).__name__
            if words := next(
                (words for pattern, words in _WRONG_SETTINGS if re.search(pattern, said)), None
            ):
                raise Misconfigured(f"{self} {words} ({said[:_LONGEST_ERROR]})") from error
            raise Unavailable(f"{self} did not answer: {said}") from error

    def _open_client(self) -> httpx.Client:
        """A forked child must not write into its parent's connections."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), httpx.Client(**self.connection())
        return self._opened[1]

    def _send_request(
        self, method: str, path: str, seconds: float = CALL, **request: Any
    ) -> httpx.Response:
        with self.translate_errors():
            return self._open_client().request(
                method, path, timeout=call_timeout(seconds), **request
            )

    def _parse_content(self, response: httpx.Response) -> dict[str, Any]:
        if response.status_code == httpx.codes.FORBIDDEN:
            why = "the key has no right to this; check ROLLOUTS_QDRANT_API_KEY"
            raise Forbidden(f"{self} refused access (HTTP 403): {why}")
        if response.status_code == httpx.codes.UNAUTHORIZED:
            raise Refused(f"{self} refused access (HTTP 401): check ROLLOUTS_QDRANT_API_KEY")
        try:
            answer = response.json()
        except (ValueError, RecursionError) as error:
            answer = error
        if not isinstance(answer, dict):  # a gateway in between may answer while the server is down
            if not response.is_server_error:
                raise Misconfigured(
                    f"{self} is not a Qdrant server (HTTP {response.status_code}); {_SETTING}"
                )
            raise Unavailable(
                f"{self} did not answer: HTTP {response.status_code} without a word of Qdrant's"
            )
        return answer


def rate_error(rest: Rest, said: str, retry_after: str | bytes | None) -> Limited | Refused | None:
    """Returns the error for a rate limit, from REST or gRPC: wait, or never, for a request larger
    than a minute's tokens. None for another error."""
    if TOO_LARGE in said:
        return Refused(f"{rest} refused: {said}")
    seconds = retry_after.decode() if isinstance(retry_after, bytes) else retry_after
    if seconds is None or not seconds.isdecimal():
        return None
    return Limited(f"{rest} did not answer: {said}", float(seconds))


def write_json(body: Any) -> bytes:
    """The standard library's encoder takes at least five times as long for a vector. Raises Refused
    for half of a surrogate pair, and for more levels than can be written."""
    try:
        return _JSON.dump_json(body)
    except ValueError as error:
        raise Refused(f"the request cannot be written as JSON: {error_text(error)}") from error


def call_timeout(seconds: float) -> httpx.Timeout:
    """A whole call ends within ``seconds``, however few: connecting gets at most half of them."""
    connect = min(_CONNECT_TIMEOUT, seconds / 2)
    return httpx.Timeout(seconds - connect, connect=connect)


def _is_of_qdrant(response: httpx.Response) -> bool:
    """Returns whether Qdrant has written this answer, and no gateway in between, which may answer
    in JSON too."""
    try:
        answer = response.json()
    except (ValueError, RecursionError):
        return False
    if not isinstance(answer, dict) or "time" not in answer:
        return False
    status = answer.get("status")
    return status in ("ok", "acknowledged", "accepted") or (
        isinstance(status, dict) and "error" in status
    )


def build_path(*parts: str) -> str:
    """Raises Refused for a name that would lead elsewhere: quoting does not help against "..", nor
    against an empty name."""
    if wrong := [part for part in parts if part in ("", ".", "..")]:
        raise Refused(f"Qdrant answers no request for the name {quote_value(wrong[0])}")
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def _parse_url(url: str) -> httpx.URL:
    """Returns the URL with its port. The error message does not quote the input, because it may
    contain a password."""
    try:
        parsed = httpx.URL(url)
        port = urlsplit(url).port
    except (httpx.InvalidURL, ValueError):
        parsed = httpx.URL()
        port = None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise Refused(
            f"ROLLOUTS_QDRANT_URL is not a server's URL: expected http://HOST:{_DEFAULT_PORT} or "
            f"https://HOST:{_DEFAULT_PORT}"
        )
    if parsed.query or parsed.fragment:  # paths would be appended to them
        raise Refused(
            "ROLLOUTS_QDRANT_URL has a query or a fragment; write it without, and a key in "
            "ROLLOUTS_QDRANT_API_KEY"
        )
    if port:
        return parsed
    return parsed.copy_with(port=_DEFAULT_PORT)


def _speaks_tls(url: httpx.URL) -> bool:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent
    try:
        with (
            socket.create_connection(
                (url.host, url.port or _DEFAULT_PORT), _CONNECT_TIMEOUT
            ) as plain,
            context.wrap_socket(plain),
        ):
            return True
    except OSError:
        return False
