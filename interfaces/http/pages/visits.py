"""A person's request: the caller, the token of the person's forms, and the answer.

Rule: a form's token is a digest of a secret that only this browser has, in a cookie that requests
of other sites do not carry. Nobody who cannot read both can create it, so a valid token proves that
the change was requested on our own page.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from sqlalchemy.exc import DBAPIError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from qdrant_rollouts.adapters import database
from qdrant_rollouts.core.errors import AppError, Malformed
from qdrant_rollouts.core.operations.views.overview import home
from qdrant_rollouts.core.operations.views.overview.store_snapshot import StoreSnapshot
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso
from qdrant_rollouts.interfaces.access.tokens import Caller
from qdrant_rollouts.interfaces.http import problems
from qdrant_rollouts.interfaces.http.app_context import AppContext, context_of
from qdrant_rollouts.interfaces.http.pages.rendering import HEADERS, render_html
from qdrant_rollouts.interfaces.http.problems import Forbidden
from qdrant_rollouts.interfaces.http.security import SESSION_COOKIE

#: For a person without a session: before signing in, and the local operator.
VISITOR_COOKIE = "rollouts_visitor"
NAV = (
    ("/", "Indexes"),
    ("/deployments", "Deployments"),
    ("/experiments", "Experiments"),
    ("/schedules", "Schedules"),
    ("/backups", "Backups"),
    ("/alerts", "Alerts"),
    ("/events", "Audit events"),
    ("/workers", "Workers"),
)
#: The message after an action, by its verb; no text of an address gets onto a page.
DONE_MESSAGES = {
    "promote": "Promote was requested; it takes effect between two turns.",
    "promote_full": "Promote past all stages was requested; it takes effect between two turns.",
    "retry": "Retry was requested; it takes effect between two turns.",
    "pause": "Pause was requested.",
    "resume": "Resume was requested.",
    "abort_keep": "The watch ends; the new collection keeps serving.",
    "abort": "Abort was requested; it comes before all other requests.",
    "deploy": "The deployment has started.",
    "rollback": "The rollback has started.",
    "rollback_now": "The rollback has started.",
    "rollback_to": "The rollback has started.",
    "rollback_to_bad": "The rollback has started.",
    "mark_bad": "The version is marked bad; no rollback chooses it.",
    "mark_good": "The mark was removed.",
    "keep": "The collection is kept.",
    "start": "The experiment has started.",
    "stop": "The experiment has ended.",
    "widen": "More users take part.",
    "run": "A run was requested; the next sweep starts it.",
    "create": "The backup has started.",
    "verify": "The verification has started.",
    "restore": "The restore has started.",
    "judge": "The query is in the proposal.",
    "take_out": "The query is no longer in the proposal.",
    "take_out_known": "What the judged file has is no longer in the proposal.",
}


@dataclass(frozen=True, slots=True)
class Visit:
    """``secret`` is this browser's; ``fresh``: the browser does not have it yet."""

    request: Request
    context: AppContext
    seen: StoreSnapshot
    caller: Caller | None
    secret: str
    fresh: bool

    @property
    def services(self) -> Services:
        return self.context.services

    @property
    def actor(self) -> str:
        assert self.caller is not None
        return self.caller.name

    @property
    def csrf(self) -> str:
        return hashlib.sha256(f"form:{self.secret}".encode()).hexdigest()

    def query_value(self, name: str) -> str:
        """Returns a query parameter; empty if it is missing."""
        return self.request.query_params.get(name, "")

    def check_address(self) -> None:
        """Raises Malformed for an address with a NUL, which PostgreSQL takes in no value."""
        given = (*self.request.path_params.values(), *self.request.query_params.values())
        if any("\0" in str(value) for value in given):
            raise Malformed("the address holds a NUL; leave it out")

    def check_form(self, form: Mapping[str, str]) -> None:
        """Raises Forbidden for a form that does not come from this browser's page."""
        if self.fresh or not hmac.compare_digest(form.get("csrf", "").encode(), self.csrf.encode()):
            raise Forbidden(
                "this form no longer belongs to your session: go back, load the page again, and "
                "repeat it"
            )

    def render_page(
        self, template: str, context: Mapping[str, Any], status: int = 200, live: bool = False
    ) -> Response:
        """``context`` has at least ``title`` and ``here``, the place in the navigation."""
        now = context.get("now") or str(as_iso(datetime.now(UTC)))
        frame = {
            "nav": NAV,
            "caller": self.caller,
            "may_act": self.caller is not None and self.caller.may("deploy"),
            "signed_in": SESSION_COOKIE in self.request.cookies,
            "csrf": self.csrf,
            "outages": home.describe_outages(self.seen),
            "did": DONE_MESSAGES.get(self.query_value("did"), ""),
            "live": live,
            "calling": self._count_calling(context),
        }
        return self._with_visitor_cookie(
            render_html(template, {**frame, **context, "now": now}, status)
        )

    def _count_calling(self, context: Mapping[str, Any]) -> int | None:
        """Returns how many indexes need attention, for the navigation: as the page itself has
        counted them, or as they were counted a moment ago. None if that is not known."""
        if self.caller is None:
            return None
        if "calling" not in context:
            return self.context.calling.read(self.seen)
        count: int | None = context["calling"]
        if count is not None:  # the page of an error has counted nothing
            self.context.calling.note(count)
        return count

    def redirect_to(self, path: str, did: str = "") -> Response:
        """Redirects with GET, so that reloading the page repeats nothing."""
        address = path + (f"?{urlencode({'did': did})}" if did else "")
        return self._with_visitor_cookie(RedirectResponse(address, 303, HEADERS))

    def render_error(self, error: AppError | DBAPIError) -> Response:
        """Shows the error's message; the driver's may contain the whole URL, ours has the
        address."""
        if isinstance(error, DBAPIError):
            error = database.unavailable_error(self.services.engine, error)
        answer = problems.error_response(error)
        title = {
            404: "Not found",
            409: "Refused",
            422: "Refused",
            403: "Not allowed",
            503: "Not reachable",
        }
        return self.render_words(
            title.get(answer.status_code, "Failed"), str(error), answer.status_code
        )

    def render_words(self, title: str, said: str, status: int) -> Response:
        """A page with a message and a link back."""
        back = "/"
        if self.request.method == "POST":
            back = own_address(self.request)
        # the database may be what has failed, so it is asked for nothing
        shown = {"title": title, "said": said, "status": status, "back": back, "calling": None}
        return self.render_page("error.html", {**shown, "here": ""}, status)

    def _with_visitor_cookie(self, response: Response) -> Response:
        if self.fresh:
            set_cookie(self.request, response, VISITOR_COOKIE, self.secret)
        return response


def own_address(request: Request) -> str:
    """The requested path, quoted; a name in it may contain anything."""
    return quote(request.scope["path"])


def open_visit(request: Request, seen: StoreSnapshot, caller: Caller | None) -> Visit:
    session = request.cookies.get(SESSION_COOKIE)
    visitor = request.cookies.get(VISITOR_COOKIE)
    secret = session or visitor
    return Visit(
        request,
        context_of(request),
        seen,
        caller,
        secret or secrets.token_urlsafe(32),
        secret is None,
    )


def set_cookie(
    request: Request, response: Response, name: str, value: str, seconds: int | None = None
) -> None:
    secure = request.url.scheme == "https"
    response.set_cookie(
        name, value, max_age=seconds, httponly=True, samesite="strict", secure=secure
    )


def image_data_url(svg: str) -> str:
    """An image inside the page's own answer."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
