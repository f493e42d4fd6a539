"""Answers for a browser if there is no page, or a page has failed: a page with a link back.
Programs get the problem document of ``interfaces.http.problems``."""

from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from qdrant_rollouts.core.errors import AppError
from qdrant_rollouts.core.operations.views.overview.store_snapshot import StoreWatcher
from qdrant_rollouts.interfaces.http import problems, security
from qdrant_rollouts.interfaces.http.pages.visits import Visit, open_visit

Handler = Callable[[Request, Exception], Response]

#: First parts of paths that programs use, whatever they say that they accept.
_PROGRAMS = ("api", "mcp", "metrics", "livez", "readyz", "live", "static")
#: Headers that say what to do about the error.
_KEPT_HEADERS = {"allow", "retry-after", "www-authenticate"}
_WORDS = {
    404: ("Not found", "There is no page {path}."),
    405: ("Not possible", "{path} does not take {method}."),
    500: ("Failed", "An unexpected error; see the log of the web process."),
}


def page_handlers(watcher: StoreWatcher) -> dict[Any, Handler]:
    """The handlers of ``problems``, with a page instead for browsers."""
    return {kind: _wrap_handler(watcher, handler) for kind, handler in problems.HANDLERS.items()}


def _wrap_handler(watcher: StoreWatcher, handler: Handler) -> Handler:
    def answer(request: Request, error: Exception) -> Response:
        document = handler(request, error)
        page = document
        if reads_pages(request):
            page = _error_page(request, watcher, error, document.status_code)
        page.headers["Vary"] = "Accept"
        for name in _KEPT_HEADERS & set(document.headers):
            page.headers[name] = document.headers[name]
        return page

    return answer


def reads_pages(request: Request) -> bool:
    """Whether a browser shows the answer to a person."""
    if request.url.path.split("/")[1] in _PROGRAMS:
        return False
    return any(
        one.split(";")[0].strip() == "text/html"
        for one in request.headers.get("accept", "").split(",")
    )


def _error_page(request: Request, watcher: StoreWatcher, error: Exception, status: int) -> Response:
    visit = _open_error_visit(request, watcher)
    if isinstance(error, AppError | DBAPIError):
        return visit.render_error(error)
    known = status if status in _WORDS else 500
    title, words = _WORDS[known]
    if isinstance(error, HTTPException) and known != status:
        title = error.detail
        words = error.detail
    said = words.format(path=request.url.path[:_LONGEST_PATH], method=request.method)
    return visit.render_words(title, said, status)


#: How many characters of a path are repeated.
_LONGEST_PATH = 200


def _open_error_visit(request: Request, watcher: StoreWatcher) -> Visit:
    """With the navigation for a caller who may see it; the database may be what has failed."""
    seen = watcher.look()
    try:
        return open_visit(request, seen, security.require_scope(request, "read"))
    except (AppError, DBAPIError):
        return open_visit(request, seen, None)
