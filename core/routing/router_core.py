"""What the sync and the async router share: the choice of the collection, and the background work.

Two threads work for it: one follows route changes and reports which version is served, one writes
observations. A search waits for neither.

Rule: a child that was forked begins anew with its first search: it has a name, threads and
connections of its own.
"""

import logging
import os
import random
import secrets
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from qdrant_rollouts.core.errors import AppError, Unknown
from qdrant_rollouts.core.routing.choice import BLUE_VARIANTS, Choice
from qdrant_rollouts.core.routing.control_plane import RouterServices
from qdrant_rollouts.core.routing.deadline import DeadlineEstimate
from qdrant_rollouts.core.routing.link import Link
from qdrant_rollouts.core.routing.recorder import Recorder
from qdrant_rollouts.core.routing.route import CANARY, LIVE, UNROUTED, Route
from qdrant_rollouts.core.routing.route_cache import RouteCache
from qdrant_rollouts.core.routing.route_view import RouteView
from qdrant_rollouts.core.routing.routed_arm import RoutedArm, WriteQuery
from qdrant_rollouts.core.routing.router_experiments import RouterExperiments
from qdrant_rollouts.core.routing.search_observer import SearchObserver
from qdrant_rollouts.core.routing.shadow import Shadow
from qdrant_rollouts.core.routing.target import Target
from qdrant_rollouts.core.statistics.assignment import BASIS, bucket, group_of_unit
from qdrant_rollouts.core.statistics.groups import GROUPS

log = logging.getLogger(__name__)

#: Seconds between two writes; a killed process loses at most twice this.
FLUSH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Stats:
    """What a search process knows about itself. ``database``: why the database, or the rollouts
    server, cannot be used; empty if it can. ``unrouted``: searches by the alias alone, because no
    route was ever read. ``waiting``: searches that were observed but not recorded yet. ``dropped``:
    observations of users that were left out because too many waited, or that were refused."""

    database: str = ""
    away_seconds: float = 0.0
    unrouted_aliases: tuple[str, ...] = ()
    unrouted_searches: int = 0
    waiting: int = 0
    dropped: int = 0


class RouterCore:
    def __init__(
        self,
        services: RouterServices,
        write_query: WriteQuery = lambda query: query,
    ) -> None:
        """``write_query`` brings what arms embed into the form of the application's client."""
        self.services = services
        self._write_query = write_query
        self._control = services.control
        self._stopped = threading.Event()
        self._entering = threading.Lock()
        self._begin_process()

    def _begin_process(self) -> None:
        """Everything that belongs to one process: its name, under which batches are numbered, what
        it has observed, its locks and its threads."""
        self.process = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self.link = Link(self.process, self._control.name)
        self.recorder = Recorder(self._control, self.process)
        self.observer = SearchObserver(self.recorder)
        self.shadow = Shadow(self.recorder)
        self.deadline = DeadlineEstimate()
        self._routes = RouteCache(self.services, self.link, self.process, self._start_threads)
        self._experiments = RouterExperiments(self._control, self.link, self.recorder, self._routes)
        self._unrouted = 0
        self._guard = threading.Lock()
        closed = self._stopped.is_set()
        self._stopped = threading.Event()
        if closed:
            self._stopped.set()
        self._threads: list[threading.Thread] = []
        self._pid = os.getpid()

    @property
    def routes(self) -> RouteCache:
        """Every search begins here, also the first one of a forked child."""
        if not self.of_this_process:
            self._enter_child()
        return self._routes

    @property
    def experiments(self) -> RouterExperiments:
        if not self.of_this_process:
            self._enter_child()
        return self._experiments

    @property
    def of_this_process(self) -> bool:
        """False in a forked child that has not used the router: threads, connections and
        observations are still the parent's."""
        return self._pid == os.getpid()

    def choose(
        self, alias: str, user: str | None, *, words: bool, using: str | None = None
    ) -> Choice:
        """Returns the collection for ``user``, or draws one for a request without a user.
        ``using``: the searched vector, if the request names one."""
        view = self.routes.find(alias)
        if words:
            self.routes.expect_text(alias)
        fits = words or view.takes_one_vector(using)
        return self._choose(view, user, fits=fits, words=words)

    def choose_arm(self, alias: str, user: str | None, *, merges: bool) -> Choice:
        """Returns the collection for a search that the application makes itself, with the model of
        that collection. ``merges``: two lists can become one, which an experiment may need; without
        that, blue answers such a search and it is counted separately."""
        view = self.routes.find(alias)
        if view.live is None and not view.stale:
            raise _unknown_alias(view)
        return self._choose(view, user, fits=merges or not view.route.drafts, words=False)

    def build_arm(self, target: Target, choice: Choice, *, fallback: bool = False) -> RoutedArm:
        """Returns what the application's function is called with."""
        return RoutedArm(
            self.services, target, choice.variant, self._write_query, fallback=fallback
        )

    def choose_again(self, choice: Choice) -> Choice | None:
        """Returns a choice to try instead, if the searched collection is gone because the alias has
        moved unnoticed."""
        if choice.tried:
            return None
        view = self.routes.look(choice.route.alias)
        if view.live is None or view.live == choice.target:
            return None
        return Choice(
            route=view.route,
            variant=LIVE if view.routed else UNROUTED,
            target=view.live,
            fallback=None,
            shadow=None,
            place=choice.place,
            group=choice.group,
            user=choice.user,
        )

    @property
    def stats(self) -> Stats:
        views = self._routes.copy_views()
        return Stats(
            database=str(self.link.error or ""),
            away_seconds=self.link.away_for,
            unrouted_aliases=tuple(sorted(one for one in views if not views[one].routed)),
            unrouted_searches=self._unrouted,
            waiting=self.recorder.waiting,
            dropped=self.recorder.dropped,
        )

    def close(self) -> None:
        """Writes what is left and reports that this process serves no more, unless the control
        plane does not answer."""
        self._stopped.set()
        self._routes.wake()
        for thread in self._threads:
            thread.join()
        self.link.close()
        self.shadow.close()
        waiting = self.recorder.waiting
        try:
            self.link.report(self.recorder.flush, at_once=True)
            self.link.report(partial(self._control.forget_router, self.process))
        except AppError as error:
            if waiting:
                log.warning(
                    "%s: its last %d observations are lost: %s", self.process, waiting, error
                )

    def _enter_child(self) -> None:
        with self._entering:
            if not self.of_this_process:
                self._control.leave_parent()
                self._begin_process()

    def _choose(self, view: RouteView, user: str | None, *, fits: bool, words: bool) -> Choice:
        place, group = _place_user(view.route, user)
        self._unrouted += not view.routed
        variant = self._choose_variant(view, place, group, user, fits)
        return Choice(
            route=view.route,
            variant=variant,
            target=_find_target(view, variant, words),
            fallback=None if variant in BLUE_VARIANTS else view.live,
            shadow=_draw_shadow(view, variant, fits),
            place=place,
            group=group,
            user=user,
        )

    def _choose_variant(
        self, view: RouteView, place: int, group: int, user: str | None, fits: bool
    ) -> str:
        """A vector made for blue is not sent to a collection of another model: blue answers, and
        the search is counted separately, also for users of the control, because both arms must lack
        the same searches. An experiment includes only known users."""
        if not view.routed:
            return UNROUTED
        route = view.route
        variant = route.variant(place)
        if variant == LIVE or (route.experiment_id and user is None):
            return LIVE
        if fits:
            return variant
        self.observer.note_bypass(route, group)
        return LIVE

    def _start_threads(self) -> None:
        with self._guard:
            if self._threads or self._stopped.is_set():
                return
            self._threads = [
                threading.Thread(target=work, name=name, daemon=True)
                for name, work in (
                    ("routes", partial(self._routes.follow, self._stopped)),
                    ("observations", self._flush_observations),
                )
            ]
        for thread in self._threads:
            thread.start()
        self._control.listen(self._routes.announce, self._stopped)

    def _flush_observations(self) -> None:
        while not self._stopped.wait(FLUSH_SECONDS):
            with suppress(AppError):  # they wait
                self.link.report(self.recorder.flush)


def _place_user(route: Route, user: str | None) -> tuple[int, int]:
    """Returns the bucket and group of a user. A request without a user is drawn, to spread load;
    this is not a secret."""
    if user is None:
        return random.randrange(BASIS), random.randrange(GROUPS)  # noqa: S311
    return bucket(route.salt, user), group_of_unit(route.salt, user)


def _draw_shadow(view: RouteView, variant: str, fits: bool) -> Target | None:
    """Returns green if it gets a copy of this search. The draw is not a secret."""
    share = view.route.shadow
    if not share or variant == CANARY or not fits:
        return None
    return view.green if random.randrange(BASIS) < share else None  # noqa: S311


def _find_target(view: RouteView, variant: str, words: bool) -> Target:
    """Qdrant itself resolves an alias, but the model must be known here."""
    found = view.live
    if variant not in BLUE_VARIANTS:
        found = view.tried[variant]
    if found is not None:
        return found
    alias = view.route.alias
    if words and view.stale:
        raise view.fault(f"the collection behind {alias} could not be looked up: {view.stale}")
    if words:
        raise _unknown_alias(view)
    return Target(alias)


def _unknown_alias(view: RouteView) -> Unknown:
    known = ", ".join(view.others) or "none"
    return Unknown(f"alias {view.route.alias} does not exist; known: {known}")
