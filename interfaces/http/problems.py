"""Errors as RFC 9457 problem documents: the only place where they get a status and a type."""

import logging
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from qdrant_rollouts.adapters import database
from qdrant_rollouts.core.errors import (
    AppError,
    Busy,
    LeaseLost,
    Limited,
    Malformed,
    Misconfigured,
    OtherRelease,
    OutcomeUnknown,
    Refused,
    Unavailable,
    Unknown,
)
from qdrant_rollouts.core.routing.feedback import Unexposed
from qdrant_rollouts.core.sanitize.quoting import LONGEST_PLACE, shorten_text
from qdrant_rollouts.interfaces.access.idempotency import KeyInUse, KeyReused
from qdrant_rollouts.interfaces.access.planning import TooBusy
from qdrant_rollouts.interfaces.http.app_context import context_of
from qdrant_rollouts.interfaces.http.record_writes import TooManyWrites

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
#: Seconds after which a server that did not answer may be tried again.
RETRY_AFTER = 5

#: The beginning of a problem's type; the name of its kind follows. Names are public: you may add
#: names, but not change or remove them.
TYPE = "urn:qdrant-rollouts:problem:"


class Kind(NamedTuple):
    """``means`` explains the kind to readers of the documentation."""

    status: int
    title: str
    name: str
    means: str

    @property
    def type(self) -> str:
        return TYPE + self.name


class Unauthorized(AppError):
    """This needs a token: send `Authorization: Bearer TOKEN`; `rollouts token create NAME --scope
    read` makes one."""


class Forbidden(AppError):
    """The token does not allow this."""


class ForeignHost(Forbidden):
    """The host name in the request is not one of ours."""


class OtherSite(Forbidden):
    """A browser says that the request comes from another site."""


class TooLarge(AppError):
    """The request's body is too large."""


class RequestTooSlow(AppError):
    """The request took too long to arrive."""


class MalformedHttp(AppError):
    """This is not an HTTP request."""


FORESEEN = (
    Refused,
    Unavailable,
    Unauthorized,
    Forbidden,
    TooLarge,
    RequestTooSlow,
    TooBusy,
    TooManyWrites,
    MalformedHttp,
)

#: The first matching kind of an error counts.
MEANINGS: dict[type[BaseException], Kind] = {
    Unauthorized: Kind(401, "Who is asking?", "unauthorized", "the token is missing or not valid"),
    ForeignHost: Kind(
        403, "Not ours", "foreign-host", "the request asks for a host name that is not ours"
    ),
    OtherSite: Kind(
        403, "Not allowed", "other-site", "a browser says that the request comes from another site"
    ),
    Forbidden: Kind(403, "Not allowed", "forbidden", "the token does not have the needed scope"),
    TooLarge: Kind(413, "Too large", "too-large", "the body has more bytes than are allowed"),
    RequestTooSlow: Kind(408, "Too slow", "too-slow", "the request took too long to arrive"),
    TooBusy: Kind(503, "Too many at once", "crowded", "too many requests at once; try again"),
    TooManyWrites: Kind(
        429,
        "Too many writes at once",
        "too-many-writes",
        "too many writes of records are under way, or the collection takes none for a moment; "
        "repeat it",
    ),
    MalformedHttp: Kind(
        400, "Not an HTTP request", "garbled", "the bytes received are not an HTTP request"
    ),
    Unknown: Kind(404, "Not found", "not-found", "the thing does not exist"),
    KeyReused: Kind(
        422,
        "Another request's key",
        "key-reused",
        "the Idempotency-Key belongs to a different request",
    ),
    Malformed: Kind(
        422,
        "Not acceptable in any state",
        "malformed",
        "the request is never valid; `errors` has each fault",
    ),
    Unexposed: Kind(
        409, "Not exposed", "not-exposed", "the experiment has not served this user yet"
    ),
    Refused: Kind(409, "Refused", "refused", "not possible in the current state"),
    KeyInUse: Kind(
        503,
        "Being processed",
        "key-in-use",
        "the first request with this key is still being processed; try again",
    ),
    Busy: Kind(
        503, "In use elsewhere", "busy", "another process uses the embedded Qdrant; try again"
    ),
    Misconfigured: Kind(
        503,
        "A setting does not fit its server",
        "misconfigured",
        "a server answered and refuses a setting",
    ),
    OtherRelease: Kind(
        503,
        "Another release",
        "other-release",
        "the database belongs to a release that this program cannot work with",
    ),
    Limited: Kind(
        503,
        "A limit of the collection",
        "limited",
        "strict mode allows no more requests for now; try again",
    ),
    OutcomeUnknown: Kind(
        503,
        "The write may or may not be applied",
        "outcome-unknown",
        "a write was sent, and may or may not be applied; repeat it",
    ),
    Unavailable: Kind(
        503,
        "A server did not answer",
        "unavailable",
        "Qdrant, the database or the broker did not answer; try again",
    ),
    LeaseLost: Kind(
        503, "Taken up elsewhere", "taken-up", "another process took over the work; try again"
    ),
    AppError: Kind(500, "Failed", "failed", "a fault of this program; see its log"),
}
#: Refusals by Starlette, by status.
HTTP_KINDS = {
    404: Kind(404, "Not Found", "no-such-path", "there is nothing at this path"),
    405: Kind(
        405,
        "Method Not Allowed",
        "no-such-method",
        "the path accepts only the methods that `Allow` names",
    ),
}
_OTHERWISE = Kind(400, "", "http", "another HTTP status; the title names it")
_UNFORESEEN = Kind(500, "Failed", "unforeseen", "an unexpected error; see the log")
_DATABASE = (OperationalError, InterfaceError, PoolTimeout)

KINDS: tuple[Kind, ...] = (*MEANINGS.values(), *HTTP_KINDS.values(), _OTHERWISE, _UNFORESEEN)


def problem_response(
    kind: Kind, detail: str, headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """``more`` are members besides those of the RFC, such as ``errors``."""
    return JSONResponse(_build_content(kind, detail, **more), kind.status, headers, MEDIA_TYPE)


def problem_content(error: AppError) -> dict[str, Any]:
    """The document itself."""
    return _build_content(_kind_of_error(error), str(error), errors=str(error).splitlines())


def error_response(error: AppError) -> JSONResponse:
    status = _kind_of_error(error).status
    headers = _response_headers(status)
    if isinstance(error, TooManyWrites):
        headers = {"Retry-After": str(max(1, math.ceil(error.seconds)))}
    return JSONResponse(problem_content(error), status, headers, MEDIA_TYPE)


def _kind_of_error(error: AppError) -> Kind:
    return next(meaning for kind, meaning in MEANINGS.items() if isinstance(error, kind))


def _build_content(kind: Kind, detail: str, **more: Any) -> dict[str, Any]:
    return {"type": kind.type, "title": kind.title, "status": kind.status, "detail": detail, **more}


def _response_headers(status: int) -> dict[str, str]:
    if status == 401:
        return {"WWW-Authenticate": 'Bearer realm="rollouts"'}
    if status != 503:
        return {}
    return {"Retry-After": str(RETRY_AFTER)}


def _answer_app_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AppError)
    if not isinstance(error, FORESEEN):
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return error_response(error)


def _answer_database_error(request: Request, error: Exception) -> Response:
    """The driver's message may contain the whole URL; ours has the address."""
    engine = context_of(request).services.engine
    return error_response(database.unavailable_error(engine, error))


def _answer_http_error(request: Request, error: Exception) -> Response:
    """Refusals by Starlette itself: an unknown path or method."""
    assert isinstance(error, HTTPException)
    otherwise = _OTHERWISE._replace(status=error.status_code, title=error.detail)
    kind = HTTP_KINDS.get(error.status_code, otherwise)
    where = f"{shorten_text(request.method)} {shorten_text(request.url.path, LONGEST_PLACE)}"
    return problem_response(kind, f"{where}: {error.detail}", error.headers)


def _answer_disconnect(request: Request, error: Exception) -> Response:
    """A client that disconnected before the request was complete gets no answer, and nothing has
    failed here."""
    return Response(status_code=408)


def _answer_unforeseen(request: Request, error: Exception) -> Response:
    """Starlette passes the error on to the server's log after this answer, which does not contain
    it."""
    return problem_response(_UNFORESEEN, "an unexpected error; see the log of the web process")


HANDLERS: dict[Any, Any] = {
    AppError: _answer_app_error,
    **dict.fromkeys((*_DATABASE, DBAPIError), _answer_database_error),
    HTTPException: _answer_http_error,
    ClientDisconnect: _answer_disconnect,
    Exception: _answer_unforeseen,
}
