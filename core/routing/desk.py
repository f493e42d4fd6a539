"""What the sync and the async router share: the route views of this process, the choice, and the
recording of results.

Two threads work for it: one follows route changes and reports which version is served, one writes
observations. A search waits for neither.
"""

import logging
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from qdrant_rollouts.core.database.experiment_rows import Experiment
from qdrant_rollouts.core.errors import AppError, Refused, Unknown
from qdrant_rollouts.core.routing import enrolment, table
from qdrant_rollouts.core.routing.choice import BLUE_VARIANTS, Choice
from qdrant_rollouts.core.routing.exposures import ServedList
from qdrant_rollouts.core.routing.feedback import Feedback, Unexposed, count_feedback
from qdrant_rollouts.core.routing.link import Link
from qdrant_rollouts.core.routing.pace import DeadlineEstimate
from qdrant_rollouts.core.routing.recorder import Recorder
from qdrant_rollouts.core.routing.route import CANARY, LIVE, UNROUTED, Route
from qdrant_rollouts.core.routing.shadow import Shadow
from qdrant_rollouts.core.routing.sight import RouteView, Target, load_text_models, read_route_view
from qdrant_rollouts.core.routing.traffic import TrafficKey
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.statistics.assignment import BASIS, bucket, group_of_unit
from qdrant_rollouts.core.statistics.groups import GROUPS

log = logging.getLogger(__name__)

#: Seconds between two looks at the routes: even without announcements a change arrives within a
#: second.
REFRESH_SECONDS = 0.5
_LEAST_WAIT = 0.1
#: Seconds between two writes; a killed process loses at most twice this.
FLUSH_SECONDS = 1.0
#: Looks between two reports of the version that is served; ``table.SILENT_AFTER`` is several of
#: them.
_REPORT_EVERY = 4


@dataclass(frozen=True, slots=True)
class Stats:
    """What a search process knows about itself. ``database``: why it cannot be used, empty if it
    can. ``unrouted``: searches by the alias alone, because no route was ever read. ``waiting``:
    searches that were observed but not recorded yet. ``dropped``: observations of users that were
    left out because too many waited."""

    database: str = ""
    away_seconds: float = 0.0
    unrouted_aliases: tuple[str, ...] = ()
    unrouted_searches: int = 0
    waiting: int = 0
    dropped: int = 0


class RouterCore:
    def __init__(self, services: Services, join: Callable[[], object] = lambda: None) -> None:
        self.services = services
        self.process = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self.link = Link(self.process, join)
        self._unrouted = 0
        self.recorder = Recorder(services, self.process)
        self.shadow = Shadow(services, self.recorder)
        self.pace = DeadlineEstimate()
        self._sights: dict[str, RouteView] = {}
        #: The name of an experiment's route, and its control; neither ever changes.
        self._experiments: dict[str, tuple[str, str]] = {}
        #: Aliases that are searched with text: a model that they will need is loaded before its
        #: collection is searched.
        self._worded: set[str] = set()
        self._served: dict[str, int] = {}
        self._news: set[str] = set()
        self._looking = threading.Lock()
        self._guard = threading.Lock()
        self._heard = threading.Event()
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def knows(self, alias: str) -> bool:
        return alias in self._sights

    def choose(
        self, alias: str, user: str | None, *, words: bool, using: str | None = None
    ) -> Choice:
        """Returns the collection for ``user``, or draws one for a request without a user.
        ``using``: the searched vector, if the request names one."""
        sight = self._sights.get(alias) or self.look(alias)
        if words and alias not in self._worded:
            self._worded.add(alias)
        route = sight.route
        place, cluster = _place_user(route, user)
        fits = words or sight.takes_one_vector(using)
        self._unrouted += not sight.routed
        variant = self._choose_variant(sight, place, cluster, user, fits)
        fallback = sight.live if variant not in BLUE_VARIANTS else None
        shadow = (
            sight.green
            if route.shadow and variant != CANARY and _is_shadowed(sight, fits)
            else None
        )
        return Choice(
            route,
            variant,
            _find_target(sight, variant, words),
            fallback,
            shadow,
            place,
            cluster,
            user,
        )

    def _choose_variant(
        self, sight: RouteView, place: int, cluster: int, user: str | None, fits: bool
    ) -> str:
        """A vector made for blue is not sent to a collection of another model: blue answers, and
        the search is counted separately, also for users of the control, because both arms must lack
        the same searches. An experiment includes only known users."""
        if not sight.routed:
            return UNROUTED
        route = sight.route
        variant = sight.route.variant(place)
        if variant == LIVE or (route.experiment_id and user is None):
            return LIVE
        if fits:
            return variant
        self.recorder.add(
            TrafficKey(route.alias, route.stage, LIVE, "bypassed", str(route.blue)), cluster, 0.0
        )
        return LIVE

    def note_answer(self, choice: Choice, seconds: float, results: int) -> None:
        self.recorder.add(
            choice.key, choice.group, seconds, results=results, anonymous=choice.user is None
        )
        self._enroll_user(choice, seconds, zero_results=int(not results))

    def note_failure(self, choice: Choice, seconds: float, *, waited: float | None = None) -> None:
        """``waited``: the time until blue answered instead; None: no answer."""
        fallback = waited is not None
        anonymous = choice.user is None
        self.recorder.add(
            choice.key, choice.group, seconds, error=True, fallback=fallback, anonymous=anonymous
        )
        self._enroll_user(choice, waited or seconds, errors=1)

    def note_list(self, choice: Choice, query_id: str, served: ServedList) -> None:
        """Records what an interleaved list was made of."""
        assert choice.route.experiment_id is not None
        if choice.user is not None:
            self.recorder.add_list(
                enrolment.person_of_user(choice.route.experiment_id, choice.user), query_id, served
            )

    def _enroll_user(self, choice: Choice, seconds: float, **came_to: int) -> None:
        if choice.route.experiment_id and choice.variant != LIVE and choice.user is not None:
            self.recorder.add_person(*enrolment.observe_search(choice, seconds, **came_to))

    def again(self, choice: Choice, error: AppError) -> Choice | None:
        """Returns a choice to try instead, if the searched collection is gone because the alias has
        moved unnoticed."""
        if choice.tried or not isinstance(error, Refused):
            return None
        sight = self.look(choice.route.alias)
        if sight.live is None or sight.live == choice.target:
            return None
        variant = LIVE if sight.routed else UNROUTED
        return Choice(
            sight.route, variant, sight.live, None, None, choice.place, choice.group, choice.user
        )

    @property
    def stats(self) -> Stats:
        error = self.link.error
        return Stats(
            database=str(error) if error else "",
            away_seconds=self.link.away_for,
            unrouted_aliases=tuple(
                sorted(alias for alias, sight in dict(self._sights).items() if not sight.routed)
            ),
            unrouted_searches=self._unrouted,
            waiting=self.recorder.waiting,
            dropped=self.recorder.dropped,
        )

    def searched_by(self, experiment_id: str) -> str:
        """Returns what to search for this experiment: the alias or own name of its route; after
        that route has ended, its blue. Raises Refused if it does not exist or has not begun."""
        name, control = self._experiments.get(experiment_id) or self._load_experiment(experiment_id)
        sight = self._sights.get(name) or self.look(name)
        mine = sight.route.experiment_id == experiment_id
        return name if mine or sight.live is not None else control

    def track(self, given: Feedback) -> bool:
        """The exposure may still be in this process's memory. Raises Unavailable if nothing is
        counted yet as far as is known; with its key the feedback may be sent again."""
        return self.link.read(partial(self._track, given))

    def _track(self, given: Feedback) -> bool:
        try:
            return count_feedback(self.services, given, patient=True)
        except Unexposed:
            self.recorder.flush()
            return count_feedback(self.services, given)

    def _load_experiment(self, experiment_id: str) -> tuple[str, str]:
        def read() -> Experiment | None:
            with self.services.sessions() as session:
                return session.get(Experiment, experiment_id)

        row = self.link.ask(read)
        if row is None or row.started_at is None:
            begun = (
                f"has not begun; `rollouts experiment start {experiment_id}`"
                if row
                else "does not exist"
            )
            raise Refused(f"experiment {quote_value(experiment_id)} {begun}")
        found = self._experiments[experiment_id] = row.route, row.spec["arms"][0]["collection"]
        self.look(row.route)
        return found

    def look(self, alias: str) -> RouteView:
        """Looks now, for a search. The first look at an alias starts the threads."""
        return self._look(alias, self.link.ask)

    def _look(self, alias: str, ask: Callable[[Callable[[], Route]], Route]) -> RouteView:
        """Tries the database before anything else waits."""
        route, stale = self._route(alias, ask)
        with self._looking:
            sight = read_route_view(self.services, alias, self._sights.get(alias), route, stale)
            self._warm_models(alias, sight)
            self._sights[alias] = sight
        self._start_threads()
        return sight

    def _route(
        self, alias: str, ask: Callable[[Callable[[], Route]], Route]
    ) -> tuple[Route | None, str]:
        try:
            return ask(partial(table.current_route, self.services, alias)), ""
        except AppError as error:
            return None, str(error)

    def close(self) -> None:
        """Writes what is left and reports that this process serves no more, unless the database
        does not answer."""
        self._stopped.set()
        self._heard.set()
        for thread in self._threads:
            thread.join()
        self.link.close()
        self.shadow.close()
        waiting = self.recorder.waiting
        try:
            self.link.read(self.recorder.flush, at_once=True)
            self.link.read(partial(table.forget_process, self.services, self.process))
        except AppError as error:
            if waiting:
                log.warning(
                    "%s: its last %d observations are lost: %s", self.process, waiting, error
                )

    def _warm_models(self, alias: str, sight: RouteView) -> None:
        if alias not in self._worded:
            return
        for target in sight.targets:
            self._run_quietly(
                "the first search in words will load its model",
                partial(load_text_models, self.services, target),
            )

    def _start_threads(self) -> None:
        with self._guard:
            if self._threads or self._stopped.is_set():
                return
            self._threads = [
                threading.Thread(target=work, name=name, daemon=True)
                for name, work in (
                    ("routes", self._follow_routes),
                    ("observations", self._flush_observations),
                )
            ]
        for thread in self._threads:
            thread.start()
        self.services.channel.listen(self._note_change, self._stopped)

    def _note_change(self, alias: str) -> None:
        self._news.add(alias)
        self._heard.set()

    def _follow_routes(self) -> None:
        """Routes that changed come first, because a look at every alias takes time on a busy
        machine."""
        looks = 0
        while not self._stopped.is_set():
            due = time.monotonic() + REFRESH_SECONDS
            news = self._news
            self._news = set()
            known = dict(self._sights)  # searches add aliases at the same time
            news |= self._find_changed_routes(known)
            for alias in sorted(known, key=lambda alias: alias not in news):
                self._look(alias, self.link.read)
            served = {
                alias: sight.route.version
                for alias, sight in self._sights.items()
                if not sight.stale
            }
            if served and (served != self._served or looks % _REPORT_EVERY == 0):
                self._report_served(served)
            looks += 1
            self._heard.wait(max(_LEAST_WAIT, due - time.monotonic()))
            self._heard.clear()

    def _find_changed_routes(self, known: Mapping[str, RouteView]) -> set[str]:
        """Finds changes with one query for all aliases. If the database does not answer, nothing
        changes; this query also notices that it is back."""

        def read() -> set[str]:
            with self.services.sessions() as session:
                return table.find_newer_routes(
                    session, {alias: sight.route.version for alias, sight in known.items()}
                )

        try:
            return self.link.read(read)
        except AppError:
            return set()

    def _report_served(self, served: dict[str, int]) -> None:
        with suppress(AppError):
            self.link.read(partial(table.report_served_routes, self.services, self.process, served))
        self._served = served

    def _flush_observations(self) -> None:
        while not self._stopped.wait(FLUSH_SECONDS):
            with suppress(AppError):  # they wait
                self.link.read(self.recorder.flush)

    def _run_quietly(self, else_: str, act: Callable[[], object]) -> None:
        """Searches continue whatever happens to the background work."""
        try:
            act()
        except (AppError, SQLAlchemyError) as error:
            log.warning("%s: %s (%s)", self.process, else_, type(error).__name__)


def _place_user(route: Route, user: str | None) -> tuple[int, int]:
    """Returns the bucket and group of a user. A request without a user is drawn, to spread load;
    this is not a secret."""
    if user is None:
        return random.randrange(BASIS), random.randrange(GROUPS)  # noqa: S311
    return bucket(route.salt, user), group_of_unit(route.salt, user)


def _is_shadowed(sight: RouteView, fits: bool) -> bool:
    return fits and random.randrange(BASIS) < sight.route.shadow  # noqa: S311


def _find_target(sight: RouteView, variant: str, words: bool) -> Target:
    """Qdrant itself resolves an alias, but the model must be known here."""
    found = sight.live if variant in BLUE_VARIANTS else sight.tried[variant]
    if found is not None:
        return found
    if words and sight.stale:
        raise sight.fault(
            f"the collection behind {sight.route.alias} could not be looked up: {sight.stale}"
        )
    if words:
        raise Unknown(
            f"alias {sight.route.alias} does not exist; known: {', '.join(sight.others) or 'none'}"
        )
    return Target(sight.route.alias)
