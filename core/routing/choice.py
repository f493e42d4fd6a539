"""Which collection serves one request."""

from dataclasses import dataclass

from qdrant_rollouts.core.routing.route import CONTROL, LIVE, UNROUTED, Route
from qdrant_rollouts.core.routing.target import Target
from qdrant_rollouts.core.routing.traffic import TrafficKey

#: Variants that blue serves.
BLUE_VARIANTS = (LIVE, CONTROL, UNROUTED)


@dataclass(frozen=True, slots=True)
class Choice:
    """The collection for this request. ``fallback`` is searched if the chosen collection fails. A
    request without a ``user`` was drawn."""

    route: Route
    variant: str
    target: Target
    fallback: Target | None
    #: Green, if it gets a copy of this search.
    shadow: Target | None
    place: int
    group: int
    user: str | None

    @property
    def key(self) -> TrafficKey:
        return TrafficKey(
            self.route.alias, self.route.stage, self.variant, "real", self.target.collection
        )

    @property
    def tried(self) -> bool:
        """Whether a collection on trial serves, so that blue can answer if it fails."""
        return self.variant not in BLUE_VARIANTS
