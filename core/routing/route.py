"""A route: which collection answers which users.

Rule: the choice is a pure function of the route and the user, the same in every process and after
every restart. Ranges start at fixed places and only grow, so a larger share moves no user back
(experiments section 1).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from qdrant_rollouts.core.answers import indexes as index_answers
from qdrant_rollouts.core.statistics.assignment import BASIS, Ranges, canary_ranges

LIVE = "live"
CONTROL = "control"
CANARY = "canary"
#: Served by the alias because the route could not be read: the database has not answered since this
#: process started.
UNROUTED = "unrouted"


_PLAIN_FIELDS = (
    "alias",
    "version",
    "stage",
    "salt",
    "blue",
    "green",
    "share",
    "shadow",
    "deployment_id",
    "experiment_id",
)


@dataclass(frozen=True, slots=True)
class Arm:
    """The collection that serves these buckets. Blue serves ``control`` like the rest, but as the
    group that is compared.

    With a ``document``, a field of the payload, its results are drafted with blue's into one list
    of documents.
    """

    variant: str
    collection: str
    ranges: Ranges
    document: str = ""

    def has(self, bucket: int) -> bool:
        return any(start <= bucket < end for start, end in self.ranges)

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        ranges = tuple((int(start), int(end)) for start, end in content["ranges"])
        return cls(content["variant"], content["collection"], ranges, content.get("document", ""))

    def to_json(self) -> index_answers.Arm:
        ranges = [list(pair) for pair in self.ranges]
        arm: index_answers.Arm = {
            "variant": self.variant,
            "collection": self.collection,
            "ranges": ranges,
        }
        if self.document:
            return {**arm, "document": self.document}
        return arm


@dataclass(frozen=True, slots=True)
class Route:
    """``share`` and ``shadow`` in basis points; see ``core.database.models.RouteRow``. At rest, and
    without any route, the alias itself answers. An experiment has its own ``arms``; a canary's
    follow from its share."""

    alias: str
    version: int = 0
    stage: str = ""
    salt: str = ""
    blue: str | None = None
    green: str | None = None
    share: int = 0
    shadow: int = 0
    deployment_id: str | None = None
    experiment_id: str | None = None
    arms: tuple[Arm, ...] = ()
    _split: tuple[Arm, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_split", self.arms or self._canary_arms())

    def _canary_arms(self) -> tuple[Arm, ...]:
        if self.green is None:
            return ()
        control, canary = canary_ranges(self.share)
        return Arm(CONTROL, self.blue or self.alias, control), Arm(CANARY, self.green, canary)

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        """Reads a route as ``to_json`` wrote it, perhaps in a newer release."""
        return cls(
            **{name: content[name] for name in _PLAIN_FIELDS},
            arms=tuple(Arm.of(arm) for arm in content["arms"]),
        )

    def to_json(self) -> index_answers.RouteState:
        return {
            "alias": self.alias,
            "version": self.version,
            "stage": self.stage,
            "salt": self.salt,
            "blue": self.blue,
            "green": self.green,
            "share": self.share,
            "shadow": self.shadow,
            "deployment_id": self.deployment_id,
            "experiment_id": self.experiment_id,
            "arms": [arm.to_json() for arm in self.arms],
            "at_rest": self.at_rest,
        }

    @property
    def at_rest(self) -> bool:
        return not self._split

    @property
    def tried(self) -> Sequence[Arm]:
        """The arms that are compared with the control."""
        return self._split[1:]

    @property
    def drafts(self) -> bool:
        """Whether the lists of two collections become one for some users."""
        return any(arm.document for arm in self.tried)

    def document(self, variant: str) -> str:
        """The field whose documents are drafted for this variant; empty: its collection answers
        alone."""
        return next((arm.document for arm in self.tried if arm.variant == variant), "")

    def variant(self, bucket: int) -> str:
        """Who serves the users of this bucket, 0 to 9 999."""
        assert 0 <= bucket < BASIS
        return next((arm.variant for arm in self._split if arm.has(bucket)), LIVE)

    def collection(self, variant: str) -> str:
        """Returns what is searched for this variant: a collection's name, or at rest the alias."""
        return next(
            (arm.collection for arm in self.tried if arm.variant == variant),
            self.blue or self.alias,
        )
