"""The route views of this process, by alias: read at the first search, and followed from then
on."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

from qdrant_rollouts.core.errors import AppError, Refused
from qdrant_rollouts.core.ports.naming import check_found_name
from qdrant_rollouts.core.routing.control_plane import RouterServices
from qdrant_rollouts.core.routing.link import Link
from qdrant_rollouts.core.routing.route import Route
from qdrant_rollouts.core.routing.route_view import RouteView, read_route_view
from qdrant_rollouts.core.routing.target import load_text_models

log = logging.getLogger(__name__)

#: Seconds between two looks at the routes: even without announcements a change arrives within a
#: second.
REFRESH_SECONDS = 0.5
_LEAST_WAIT = 0.1
#: Looks between two reports of the version that is served; ``table.SILENT_AFTER`` is several of
#: them.
_REPORT_EVERY = 4
#: Seconds between two log lines about reports that are refused.
_LOG_EVERY = 60.0


class RouteCache:
    """``looked`` is called after each look: the first one starts the background work."""

    def __init__(
        self, services: RouterServices, link: Link, process: str, looked: Callable[[], None]
    ) -> None:
        self._services = services
        self._control = services.control
        self._link = link
        self._process = process
        self._looked = looked
        self._views: dict[str, RouteView] = {}
        #: Aliases that are searched with text: a model that they will need is loaded before its
        #: collection is searched.
        self._searched_with_text: set[str] = set()
        self._served: dict[str, int] = {}
        self._refusal_logged_at = -_LOG_EVERY
        self._announced: set[str] = set()
        self._guard = threading.Lock()
        self._woken = threading.Event()

    def copy_views(self) -> dict[str, RouteView]:
        """Searches add aliases at the same time, so a loop over the views needs a copy."""
        return dict(self._views)

    def knows(self, alias: str) -> bool:
        return alias in self._views

    def find(self, alias: str) -> RouteView:
        return self._views.get(alias) or self.look(alias)

    def expect_text(self, alias: str) -> None:
        self._searched_with_text.add(alias)

    def look(self, alias: str) -> RouteView:
        """Looks now, for a search. Raises Malformed for a name that no alias can have."""
        check_found_name("alias", alias)
        return self._look(alias, self._link.ask)

    def announce(self, alias: str) -> None:
        """Says that a route has changed."""
        self._announced.add(alias)
        self._woken.set()

    def wake(self) -> None:
        self._woken.set()

    def follow(self, stopped: threading.Event) -> None:
        """Looks at all known routes until ``stopped`` is set. Routes that changed come first, also
        in the middle of a round, because a look at every alias takes time on a busy machine."""
        rounds = 0
        while not stopped.is_set():
            due = time.monotonic() + REFRESH_SECONDS
            followed = self._follow_changed_routes()
            for alias in sorted(self.copy_views().keys() - followed):
                if self._woken.is_set() or time.monotonic() >= due:
                    due = time.monotonic() + REFRESH_SECONDS
                    self._follow_changed_routes()
                if stopped.is_set():
                    return
                self._look(alias, self._link.read)
            self._report_served(at_any_rate=rounds % _REPORT_EVERY == 0)
            rounds += 1
            self._woken.wait(max(_LEAST_WAIT, due - time.monotonic()))

    def _follow_changed_routes(self) -> set[str]:
        """Looks at the routes that were announced, and at those that changed without that; returns
        their aliases."""
        self._woken.clear()
        changed = self._announced
        self._announced = set()
        known = self.copy_views()
        changed |= self._find_changed_routes(known)
        changed &= known.keys()
        for alias in sorted(changed):
            self._look(alias, self._link.read)
        return changed

    def _look(self, alias: str, ask: Callable[[Callable[[], Route]], Route]) -> RouteView:
        """Tries the control plane before anything else waits."""
        route, stale = self._read_route(alias, ask)
        with self._guard:
            view = read_route_view(self._services, alias, self._views.get(alias), route, stale)
            self._warm_models(alias, view)
            self._views[alias] = view
        self._looked()
        return view

    def _read_route(
        self, alias: str, ask: Callable[[Callable[[], Route]], Route]
    ) -> tuple[Route | None, str]:
        try:
            return ask(partial(self._control.read_route, alias)), ""
        except AppError as error:
            return None, str(error)

    def _warm_models(self, alias: str, view: RouteView) -> None:
        """Searches continue whatever happens to the background work."""
        if alias not in self._searched_with_text:
            return
        for target in view.targets:
            try:
                load_text_models(self._services, target)
            except AppError as error:
                log.warning(
                    "%s: the first search in words will load its model (%s)",
                    self._process,
                    type(error).__name__,
                )

    def _find_changed_routes(self, known: Mapping[str, RouteView]) -> set[str]:
        """Asks once for all aliases. If the control plane does not answer, nothing changes; this
        also notices that it is back."""
        versions = {alias: view.route.version for alias, view in known.items()}
        try:
            return self._link.read(partial(self._control.find_newer_routes, versions))
        except AppError:
            return set()

    def _report_served(self, *, at_any_rate: bool) -> None:
        """Reports which versions this process serves, if they have changed or ``at_any_rate``."""
        served = {
            alias: view.route.version
            for alias, view in self.copy_views().items()
            if not view.stale and view.exists
        }
        if not served or (served == self._served and not at_any_rate):
            return
        report = partial(self._control.report_served_routes, self._process, served)
        try:
            self._link.report(report)
        except Refused as error:
            self._log_refusal(error)
        except AppError:  # the link has logged it
            pass
        self._served = served

    def _log_refusal(self, error: Refused) -> None:
        now = time.monotonic()
        if now < self._refusal_logged_at + _LOG_EVERY:
            return
        self._refusal_logged_at = now
        log.warning(
            "%s: its report of the routes that it serves is refused, so it counts as gone: %s",
            self._process,
            error,
        )
