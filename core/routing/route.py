"""A route: which collection answers whom.

Rule: the choice is a pure function of the route and the user, the same in every process and after every restart.
Green's range starts at a fixed place and only grows, so raising its share moves nobody back (experiments section 1).
"""

from dataclasses import dataclass, field

from core.experiments.assignment import BASIS, canary_ranges

LIVE, CONTROL, CANARY = "live", "control", "canary"


@dataclass(frozen=True, slots=True)
class Route:
    """``share`` and ``shadow`` in basis points; see ``core.models.RouteRow``. At rest, and for an alias nobody has ever
    routed, there is no green and the alias itself answers."""

    alias: str
    version: int = 0
    stage: str = ""
    salt: str = ""
    blue: str | None = None
    green: str | None = None
    share: int = 0
    shadow: int = 0
    deployment_id: str | None = None
    _control: tuple[tuple[int, int], ...] = field(init=False, repr=False, compare=False)
    _canary: tuple[tuple[int, int], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        control, canary = canary_ranges(self.share) if self.green else ((), ())
        object.__setattr__(self, "_control", control)
        object.__setattr__(self, "_canary", canary)

    @property
    def at_rest(self) -> bool:
        return self.green is None

    def variant(self, bucket: int) -> str:
        """Who serves the users of this bucket, 0 to 9 999. Control is served by blue like the rest, and compared with
        canary: as many users, drawn alike."""
        assert 0 <= bucket < BASIS
        if any(start <= bucket < end for start, end in self._canary):
            return CANARY
        return CONTROL if any(start <= bucket < end for start, end in self._control) else LIVE

    def collection(self, variant: str) -> str:
        """What is asked for this variant: a collection's name, or at rest the alias."""
        if self.green is None:
            return self.alias
        return self.green if variant == CANARY else self.blue or self.alias
