"""What a search process knows about an alias: its route, and each collection behind it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from qdrant_rollouts.core.errors import AppError, Misconfigured, Refused, Unavailable
from qdrant_rollouts.core.routing.control_plane import RouterServices
from qdrant_rollouts.core.routing.route import CANARY, LIVE, Route
from qdrant_rollouts.core.routing.target import Target, read_target

#: How many vector names a view caches results for.
_KEPT_NAMES = 64


@dataclass(frozen=True, slots=True)
class RouteView:
    """``live`` is what the alias points to, or blue while the route also uses others; None if it
    could not be read. ``tried``: the collections compared with it, by variant."""

    route: Route
    live: Target | None = None
    tried: Mapping[str, Target] = field(default_factory=dict)
    #: Why the route may be older than the control plane's; empty if it is not.
    stale: str = ""
    #: Was the route ever read?
    routed: bool = True
    #: The existing aliases, if this one was looked up and does not exist.
    others: tuple[str, ...] = ()
    #: The kind of the error in ``stale``.
    fault: type[AppError] = Unavailable
    _taken: dict[str | None, bool] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    @property
    def green(self) -> Target | None:
        return self.tried.get(CANARY)

    @property
    def exists(self) -> bool:
        """Whether there is such an alias, or ever was a route of this name."""
        return self.live is not None or self.route.version > 0

    @property
    def targets(self) -> tuple[Target, ...]:
        return (*((self.live,) if self.live else ()), *self.tried.values())

    def takes_one_vector(self, using: str | None) -> bool:
        """Does a vector, of the name ``using`` or of each collection's own, mean the same to all of
        them? Every search by vector calls this, so the answer is cached."""
        if using not in self._taken:
            if len(self._taken) >= _KEPT_NAMES:
                self._taken.clear()  # callers may pass any name
            first, *others = self.targets or (None,)
            self._taken[using] = first is None or all(
                first.takes_one_vector(other, using) for other in others
            )
        return self._taken[using]


def read_route_view(
    services: RouterServices, alias: str, last: RouteView | None, route: Route | None, stale: str
) -> RouteView:
    """Returns the newest possible view. What cannot be read keeps its last value, and searches
    continue with that.

    ``route``: from the control plane now; None if it could not be read, and ``stale`` says why.
    """
    routed = route is not None or (last is not None and last.routed)
    if route is None or (last is not None and last.routed and last.route.version > route.version):
        route = last.route if last else Route(alias)
    known = _known_targets(last, route)
    try:
        live, others = _find_live(services, route)
        return RouteView(
            route,
            read_target(services, alias, live, known) if live else None,
            {
                arm.variant: read_target(services, alias, arm.collection, known)
                for arm in route.tried
            },
            stale,
            routed,
            others,
        )
    except AppError as error:
        return replace(
            last or RouteView(route), stale=str(error), routed=routed, fault=_kind_of_error(error)
        )


def _kind_of_error(error: AppError) -> type[AppError]:
    """An error that waiting does not correct stays Refused or Misconfigured."""
    return next((kind for kind in (Misconfigured, Refused) if isinstance(error, kind)), Unavailable)


def _known_targets(last: RouteView | None, route: Route) -> dict[str, Target]:
    """A stamp that knows all models never changes. Others may know more since, which matters when
    the collection is compared with another; so they are read again when the route changes."""
    if last is None:
        return {}
    same = last.route.version == route.version
    return {
        target.collection: target
        for target in last.targets
        if same or (target.stamp is not None and not target.stamp.unknown)
    }


def _find_live(services: RouterServices, route: Route) -> tuple[str | None, tuple[str, ...]]:
    if not route.at_rest:
        return route.collection(LIVE), ()
    aliases = services.store.aliases()
    return aliases.get(route.alias), () if route.alias in aliases else tuple(sorted(aliases))
