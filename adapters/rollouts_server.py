"""Requests to a rollouts server, and its answers as this program's errors.

Rule: everything that is sent may be sent twice. So a request whose connection broke is sent once
more.
"""

import json
import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx

from qdrant_rollouts.core.errors import (
    AppError,
    Malformed,
    Misconfigured,
    Refused,
    Unavailable,
    Unknown,
)
from qdrant_rollouts.core.routing.control_plane import NotReached
from qdrant_rollouts.core.routing.feedback import Unexposed
from qdrant_rollouts.core.sanitize.quoting import error_text

PREFIX = "/api/v1"
#: Seconds. A search that waits for its first route gives up earlier (``link.PATIENCE``).
_CONNECT_TIMEOUT = 2.0
_TIMEOUT = 3.0
#: The server sends a comment every 2 s; a stream that is silent for longer is lost.
_SILENT_STREAM = 7.0
#: The server closes connections that were idle for 5 s. A request at that very moment fails, so
#: ours close earlier.
_LIMITS = httpx.Limits(max_connections=None, keepalive_expiry=2.0)
_LONGEST_ANSWER = 500
_WAY_OUT = "`rollouts token create NAME --scope router` makes a token"
_TYPE = "urn:qdrant-rollouts:problem:"
#: Answers to a request that reached its target, by the name of the problem's kind.
_ANSWERS: Mapping[str, type[Refused]] = {
    "not-found": Unknown,
    "not-exposed": Unexposed,
    "refused": Refused,
    "malformed": Malformed,
    "too-large": Malformed,
}
#: Wrong settings, recognised by the network's message; the first match counts.
_WRONG_SETTINGS = (
    (
        r"Name or service not known|name resolution|No address associated"
        r"|nodename nor servname|Name does not resolve",
        "has a host name that is not known; correct ROLLOUTS_URL",
    ),
    (
        r"WRONG_VERSION_NUMBER|wrong version number|record layer failure",
        "speaks no TLS; write http:// in ROLLOUTS_URL",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed",
        "has a certificate that is not trusted; name its authority in SSL_CERT_FILE",
    ),
    (r"illegal (?:request|status) line", "speaks no HTTP; correct ROLLOUTS_URL"),
)


class RolloutsServer:
    """Nothing is sent before the first request; each process opens its own connections."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._opened: tuple[int, httpx.Client] | None = None
        #: Requests that were sent twice, because the connection broke.
        self.repeated = 0

    def __str__(self) -> str:
        return f"the rollouts server at {self._url}"

    def get(self, path: str, tag: str = "") -> httpx.Response:
        """Returns the answer, or one with status 304 if nothing has changed since ``tag``. Raises
        NotReached, and Refused."""
        headers = {}
        if tag:
            headers["If-None-Match"] = tag
        return self._request("GET", path, headers=headers)

    def post(self, path: str, content: bytes) -> httpx.Response:
        """Raises NotReached, and Refused."""
        headers = {"Content-Type": "application/json"}
        return self._request("POST", path, headers=headers, content=content)

    @contextmanager
    def expect_our_answer(self) -> Iterator[None]:
        """Reads an answer: one that lacks what ours have comes from another server."""
        try:
            yield
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise NotReached(
                Misconfigured(f"{self} is not a rollouts server; correct ROLLOUTS_URL")
            ) from error

    @contextmanager
    def open_stream(self, path: str) -> Iterator[httpx.Response]:
        """An answer whose lines arrive as long as the server sends them. Raises NotReached."""
        timeout = httpx.Timeout(_SILENT_STREAM, connect=_CONNECT_TIMEOUT)
        with (
            self._explain_network_errors(),
            self._client().stream("GET", PREFIX + path, timeout=timeout) as response,
        ):
            if not response.is_success:
                response.read()
                raise self._explain_answer(response)
            yield response

    def close(self) -> None:
        opened = self._opened
        self._opened = None
        if opened and opened[0] == os.getpid():
            opened[1].close()

    def _request(self, method: str, path: str, **request: Any) -> httpx.Response:
        with self._explain_network_errors():
            try:
                response = self._client().request(method, PREFIX + path, **request)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                self.repeated += 1
                response = self._client().request(method, PREFIX + path, **request)
        if response.is_success or response.status_code == httpx.codes.NOT_MODIFIED:
            return response
        raise self._explain_answer(response)

    def _client(self) -> httpx.Client:
        """A forked child must not write into its parent's connections. Without TLS no authorities
        are loaded, which would take longer than a request."""
        if self._opened is None or self._opened[0] != os.getpid():
            secure = self._url.startswith("https:")
            headers = {}
            if self._token:
                headers["Authorization"] = f"Bearer {self._token}"
            try:
                client = httpx.Client(
                    base_url=self._url,
                    headers=headers,
                    limits=_LIMITS,
                    timeout=httpx.Timeout(_TIMEOUT, connect=_CONNECT_TIMEOUT),
                    verify=True if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                )
            except OSError as error:
                words = (
                    f"{self} cannot be asked: no authority of certificates can be read ({error})"
                )
                raise NotReached(
                    Misconfigured(f"{words}; correct SSL_CERT_FILE or SSL_CERT_DIR")
                ) from error
            self._opened = os.getpid(), client
        return self._opened[1]

    @contextmanager
    def _explain_network_errors(self) -> Iterator[None]:
        try:
            yield
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError) as error:
            said = str(error) or type(error).__name__
            for pattern, words in _WRONG_SETTINGS:
                if re.search(pattern, said):
                    raise NotReached(Misconfigured(f"{self} {words} ({said})")) from error
            raise NotReached(Unavailable(f"{self} did not answer: {said}")) from error

    def _explain_answer(self, response: httpx.Response) -> AppError | NotReached:
        """A problem of the server's says what it means; anything else comes from something in
        between, or from another server."""
        problem = _read_problem(response)
        if problem is None:
            return self._not_ours(response)
        kind, detail = problem
        if kind in _ANSWERS:
            return _ANSWERS[kind](detail)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            words = "refuses ROLLOUTS_TOKEN, which is missing, unknown or was revoked"
            return NotReached(Misconfigured(f"{self} {words}; {_WAY_OUT}"))
        if response.status_code == httpx.codes.FORBIDDEN:
            words = f"{self} refuses ROLLOUTS_TOKEN or the address: {detail.rstrip('.')}"
            return NotReached(Misconfigured(f"{words}; {_WAY_OUT}"))
        if response.is_server_error or response.status_code in (408, 429):
            return NotReached(Unavailable(f"{self} did not answer: {detail}"))
        words = f"{self} is of another release: HTTP {response.status_code}, {detail}"
        if urlsplit(self._url).path.strip("/"):
            words += f"; or correct ROLLOUTS_URL, which is the address before {PREFIX}"
        return NotReached(Misconfigured(words))

    def _not_ours(self, response: httpx.Response) -> NotReached:
        if response.is_server_error:
            why: AppError = Unavailable(f"{self} did not answer: HTTP {response.status_code}")
        else:
            why = Misconfigured(
                f"{self} is not a rollouts server (HTTP {response.status_code}); correct "
                "ROLLOUTS_URL"
            )
        return NotReached(why)


def shut_down_connection(response: httpx.Response) -> None:
    """Ends a stream that another thread reads: its next read fails at once."""
    stream = response.extensions.get("network_stream")
    connection = stream.get_extra_info("socket") if stream is not None else None
    if connection is not None:
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it is closed already


def _read_problem(response: httpx.Response) -> tuple[str, str] | None:
    """Returns the name of a problem's kind, and its words."""
    try:
        content = json.loads(response.content)
        kind = str(content["type"])
        detail = error_text(str(content["detail"]), _LONGEST_ANSWER)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not kind.startswith(_TYPE):
        return None
    return kind.removeprefix(_TYPE), detail
