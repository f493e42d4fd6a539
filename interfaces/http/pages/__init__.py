"""The pages: what an operator sees and does in a browser, in HTML that works without JavaScript."""

from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode

from sqlalchemy.exc import DBAPIError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from qdrant_rollouts.core.errors import AppError, Malformed
from qdrant_rollouts.core.operations.views.overview.store_snapshot import StoreWatcher
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.access import web_sessions
from qdrant_rollouts.interfaces.http import security
from qdrant_rollouts.interfaces.http.api.endpoint import FOREIGN_NAMES
from qdrant_rollouts.interfaces.http.pages import asking, forms, list_views, log_views, views
from qdrant_rollouts.interfaces.http.pages.forms import Form, own_path
from qdrant_rollouts.interfaces.http.pages.live import Pulse
from qdrant_rollouts.interfaces.http.pages.rendering import HEADERS, HERE, Shown
from qdrant_rollouts.interfaces.http.pages.visits import (
    VISITOR_COOKIE,
    Visit,
    open_visit,
    own_address,
    set_cookie,
)
from qdrant_rollouts.interfaces.http.problems import Unauthorized
from qdrant_rollouts.interfaces.http.streams import Stream

Look = Callable[[Visit], Shown]
File = Callable[[Visit], Response]
Do = Callable[[Visit, Form], forms.Next]
#: Each record that is judged has a field.
_MOST_FIELDS = 60

#: Path -> what it shows, its template, and whether it updates itself.
_PAGES: dict[str, tuple[Look, str, bool]] = {
    "/": (list_views.indexes_page, "home.html", True),
    "/indexes/{alias}": (views.index_page, "index.html", True),
    "/indexes/{alias}/compare": (views.comparison_page, "compare.html", False),
    "/indexes/{alias}/ask": (asking.ask_page, "ask.html", False),
    "/indexes/{alias}/judged": (asking.judged_page, "judged.html", False),
    "/deployments": (views.deployments_page, "deployments.html", True),
    "/deployments/{id}": (views.deployment_page, "deployment.html", True),
    "/experiments": (views.experiments_page, "experiments.html", True),
    "/experiments/{id}": (views.experiment_page, "experiment.html", False),
    "/schedules": (views.schedules_page, "schedules.html", True),
    "/backups": (views.backups_page, "backups.html", True),
    "/alerts": (list_views.alerts_page, "alerts.html", True),
    "/events": (list_views.events_page, "events.html", True),
    "/workers": (views.workers, "workers.html", True),
}
#: Path -> what is downloaded there.
_FILES: dict[str, File] = {
    "/deployments/{id}/log.txt": log_views.download_log,
    "/indexes/{alias}/judged.jsonl": asking.download_judged,
}
_FORMS: dict[str, Do] = {
    "/indexes/{alias}": forms.on_index,
    "/indexes/{alias}/ask": asking.on_ask,
    "/indexes/{alias}/judged": asking.on_judged,
    "/deployments/{id}": forms.on_deployment,
    "/experiments/{id}": forms.on_experiment,
    "/schedules": forms.on_schedule,
    "/backups": forms.on_backup,
    "/keep": forms.on_keep,
}


def page_routes(services: Services, watcher: StoreWatcher) -> list[BaseRoute]:
    """Everything under ``/`` that no other part of the process serves."""
    pulse = Pulse(services)
    return [
        *(
            Route(path, _page_endpoint(watcher, *page), methods=["GET"])
            for path, page in _PAGES.items()
        ),
        *(
            Route(path, _file_endpoint(watcher, file), methods=["GET"])
            for path, file in _FILES.items()
        ),
        *(
            Route(path, _form_endpoint(watcher, do), methods=["POST"])
            for path, do in _FORMS.items()
        ),
        Route("/login", _login_endpoint(watcher), methods=["GET"]),
        Route("/login", _sign_in(watcher), methods=["POST"]),
        Route("/logout", _sign_out(watcher), methods=["POST"]),
        Route("/live", _stream_endpoint(pulse), methods=["GET"]),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]


def _page_endpoint(
    watcher: StoreWatcher, look: Look, template: str, live: bool
) -> Callable[[Request], Response]:
    return _file_endpoint(
        watcher, lambda visit: visit.render_page(template, look(visit), live=live)
    )


def _file_endpoint(watcher: StoreWatcher, file: File) -> Callable[[Request], Response]:
    def endpoint(request: Request) -> Response:
        visit = open_visit(request, watcher.look(), None)
        try:
            visit = open_visit(request, visit.seen, security.require_scope(request, "read"))
            visit.check_address()
            return file(visit)
        except Unauthorized:
            path = own_address(request) + (f"?{request.url.query}" if request.url.query else "")
            return visit.redirect_to(f"/login?{urlencode({'next': path})}")
        except (AppError, DBAPIError) as error:
            return visit.render_error(error)

    return endpoint


def _form_endpoint(watcher: StoreWatcher, do: Do) -> Callable[[Request], object]:
    def answer(request: Request, body: bytes) -> Response:
        visit = open_visit(request, watcher.look(), None)
        try:
            visit = open_visit(request, visit.seen, security.require_scope(request, "deploy"))
            visit.check_address()
            form = read_form(body)
            visit.check_form(form)
            return visit.redirect_to(do(visit, form), form.get("verb", "keep"))
        except Unauthorized:
            return visit.redirect_to("/login")
        except (AppError, DBAPIError) as error:
            return visit.render_error(error)

    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(answer, request, await request.body())

    return endpoint


def read_form(body: bytes) -> dict[str, str]:
    """Raises Malformed for content that no form of ours sends."""
    try:
        fields = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"
        )
    except (UnicodeDecodeError, ValueError):
        raise Malformed("the form could not be read") from None
    if any("\0" in value for _, value in fields):
        raise Malformed("a field of the form holds a NUL; leave it out")
    return {name: value if name in FOREIGN_NAMES else value.strip() for name, value in fields}


def _login_endpoint(watcher: StoreWatcher) -> Callable[[Request], Response]:
    def endpoint(request: Request) -> Response:
        return _login_page(open_visit(request, watcher.look(), None))

    return endpoint


def _login_page(visit: Visit, wrong: str = "", status: int = 200, onward: str = "") -> Response:
    shown = {
        "title": "Sign in",
        "here": "",
        "wrong": wrong,
        "next": onward or own_path(visit.query_value("next") or "/"),
    }
    return visit.render_page("login.html", shown, status)


def _sign_in(watcher: StoreWatcher) -> Callable[[Request], object]:
    def enter(request: Request, body: bytes) -> Response:
        visit = open_visit(request, watcher.look(), None)
        try:
            form = read_form(body)
            visit.check_form(form)
            secret = web_sessions.begin_session(
                visit.services, form.get("token", ""), visit.context.api_token
            )
        except (AppError, DBAPIError) as error:
            return visit.render_error(error)
        onward = own_path(form.get("next", "/"))
        if secret is None:
            return _login_page(visit, "This token is unknown, or was revoked.", 401, onward)
        entered = RedirectResponse(onward, 303, HEADERS)
        set_cookie(
            request,
            entered,
            security.SESSION_COOKIE,
            secret,
            int(web_sessions.SESSION_LENGTH.total_seconds()),
        )
        entered.delete_cookie(VISITOR_COOKIE)
        return entered

    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(enter, request, await request.body())

    return endpoint


def _sign_out(watcher: StoreWatcher) -> Callable[[Request], object]:
    def leave(request: Request, body: bytes) -> Response:
        visit = open_visit(request, watcher.look(), None)
        try:
            visit.check_form(read_form(body))
            web_sessions.end_session(
                visit.services, request.cookies.get(security.SESSION_COOKIE, "")
            )
        except (AppError, DBAPIError) as error:
            return visit.render_error(error)
        request.app.state.door.forget()
        left = RedirectResponse("/login", 303, HEADERS)
        left.delete_cookie(security.SESSION_COOKIE)
        return left

    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(leave, request, await request.body())

    return endpoint


def _stream_endpoint(pulse: Pulse) -> Callable[[Request], object]:
    async def endpoint(request: Request) -> Response:
        await run_in_threadpool(security.require_scope, request, "read")
        return Stream(request, pulse.listen(), HEADERS)

    return endpoint
