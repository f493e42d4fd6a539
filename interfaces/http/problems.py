"""Errors as RFC 9457 problem documents: the one place where they become a status."""

import logging
from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from adapters import database
from core.errors import AppError, LeaseLost, Malformed, Refused, Unavailable, Unknown
from interfaces.http.house import of

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
#: Seconds after which a server that did not answer may be asked again.
RETRY_AFTER = 5

#: The first kind that fits gives the status and the title.
MEANINGS: dict[type[BaseException], tuple[int, str]] = {
    Unknown: (404, "Not found"),
    Malformed: (422, "Not acceptable in any state"),
    Refused: (409, "Refused"),
    Unavailable: (503, "A server did not answer"),
    LeaseLost: (503, "Taken up elsewhere"),
    AppError: (500, "Failed"),
}
_DATABASE = (OperationalError, InterfaceError, PoolTimeout)


class Unauthorized(AppError):
    """This needs a token: send `Authorization: Bearer TOKEN`; `rollouts token create NAME --scope read` makes one."""


class Forbidden(AppError):
    """The token does not reach so far."""


class TooLarge(AppError):
    """The request's body is too large."""


class Slow(AppError):
    """The request did not come in time."""


class Crowded(AppError):
    """Too much is asked at once; ask again."""


FORESEEN = (Refused, Unavailable, Unauthorized, Forbidden, TooLarge, Slow, Crowded)


MEANINGS = {
    Unauthorized: (401, "Who is asking?"),
    Forbidden: (403, "Not allowed"),
    TooLarge: (413, "Too large"),
    Slow: (408, "Too slow"),
    Crowded: (503, "Too many at once"),
    **MEANINGS,
}


def problem(
    status: int, title: str, detail: str, headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """``more`` are members besides those of the RFC, such as ``errors``."""
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return JSONResponse(content, status, headers, MEDIA_TYPE)


def answer(error: AppError) -> JSONResponse:
    status, title = next(meaning for kind, meaning in MEANINGS.items() if isinstance(error, kind))
    return problem(status, title, str(error), _headers(status), errors=str(error).splitlines())


def _headers(status: int) -> dict[str, str]:
    if status == 401:
        return {"WWW-Authenticate": 'Bearer realm="rollouts"'}
    return {"Retry-After": str(RETRY_AFTER)} if status == 503 else {}


def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, AppError)
    if not isinstance(error, FORESEEN):
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return answer(error)


def _database(request: Request, error: Exception) -> Response:
    """The driver's words may name the whole URL; ours name the address."""
    engine = of(request).services.sessions.kw["bind"]
    return answer(database.unavailable(engine, error))


def _theirs(request: Request, error: Exception) -> Response:
    """What Starlette itself refuses: no such path, a method it lacks."""
    assert isinstance(error, HTTPException)
    return problem(
        error.status_code, error.detail, f"{request.method} {request.url.path}: {error.detail}", error.headers
    )


def _gone(request: Request, error: Exception) -> Response:
    """Who went away before the request was whole hears nothing, and nothing has failed here."""
    return Response(status_code=408)


def _unforeseen(request: Request, error: Exception) -> Response:
    """Starlette hands it on to the server's log after this answer, which does not say what is in it."""
    return problem(500, "Failed", "an error nobody foresaw; the log of the web process has it")


HANDLERS: dict[Any, Any] = {
    AppError: _ours,
    **dict.fromkeys((*_DATABASE, DBAPIError), _database),
    HTTPException: _theirs,
    ClientDisconnect: _gone,
    Exception: _unforeseen,
}
