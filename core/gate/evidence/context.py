"""What the gate judges, what it has found so far, and how it searches."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from threading import Event
from typing import Any

from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.collections.makers import Maker
from qdrant_rollouts.core.collections.same_model import Relation
from qdrant_rollouts.core.collections.schema import vector_names, vector_params
from qdrant_rollouts.core.collections.stamps import MadeBy
from qdrant_rollouts.core.collections.text_search import TextSearch, build_text_search
from qdrant_rollouts.core.collections.vectors import VectorPlan
from qdrant_rollouts.core.config.index_file import IndexSpec, RealSearchSpec
from qdrant_rollouts.core.config.vector_kinds import Kind, kind_of
from qdrant_rollouts.core.ports import Embedder, Limits, PointId, Schema, Source, State, VectorStore

#: The part of the time budget that one collector may spend on a live collection with a limited
#: rate.
_LIVE = 0.2


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """A query with human judgments: graded points, 0 for a point that was judged not useful.
    ``names`` are the records' ids as written. ``others`` are the points if those ids were text
    instead of numbers, or the reverse."""

    query: str
    grades: Mapping[PointId, float]
    names: Mapping[PointId, str] = field(default_factory=dict)
    others: Mapping[PointId, PointId] = field(default_factory=dict)

    @property
    def every(self) -> set[PointId]:
        """Every point that is meant, or may be."""
        return {*self.grades, *self.others.values()}


@dataclass(frozen=True, slots=True)
class LiveCollection:
    """The live collection. ``embedder`` is its own model, by its stamp. ``same_model``: the same
    vector may be searched in both collections. ``same_texts``: one template makes their texts too.
    ``kinship`` is the relation of its model to green's. ``known``: its origin is known.

    All these refer to the main vector. ``same`` are the other names whose vector may be searched in
    both, ``makers`` what makes each of live's vectors from text, and ``search`` what a text
    searches there now.
    """

    collection: str
    vector: str
    embedder: Embedder | None
    same_model: bool
    same_texts: bool
    kinship: Relation = "same"
    known: bool = True
    same: frozenset[str] = frozenset()
    makers: Mapping[str, Maker] = field(default_factory=dict)
    search: TextSearch | None = None

    @property
    def answers(self) -> bool:
        """Can it be searched with anything that green is searched with?"""
        return self.same_model or self.embedder is not None


class RateLimiter:
    """Allows at most ``per_second`` searches (1 or more) in any one second, even if each turn has
    its own limiter: it waits before a search is sent, not afterwards.

    The first search of a second may have been waited for earlier. So batches are small, ``most``
    searches at once, and the rate is lower by the rest of a batch.
    """

    def __init__(self, per_second: float) -> None:
        self.most = max(1, int(per_second) // 10)
        self._seconds_each = 1 / (int(per_second) - self.most + 1)
        self._free_at = time.monotonic()
        self._never = Event()

    def wait(self, searches: int) -> None:
        """Returns when ``searches`` more, at most ``most``, may be sent."""
        now = time.monotonic()
        self._free_at = max(now, self._free_at) + searches * self._seconds_each
        self._never.wait(self._free_at - now)


@dataclass(frozen=True)
class GateContext:
    """``green`` is addressed by its own name, never through an alias. ``filled`` is what
    filling it came to, ``wanted`` the schema it should have. ``memory`` holds what the
    collectors have found, as JSON; it is saved between turns, and everything else is created again
    in each turn. ``alone``: nothing serves besides green, as on a first deployment; a live
    collection that is gone is missing evidence instead."""

    store: VectorStore
    green: str
    spec: IndexSpec
    live: LiveCollection | None = None
    wanted: Schema | None = None
    vector: str = ""
    embedder: Embedder | None = None
    plan: VectorPlan = field(default_factory=VectorPlan)
    makers: Mapping[str, Maker] = field(default_factory=dict)
    source: Source | None = None
    filled: Filling = field(default_factory=Filling)
    judged: tuple[JudgedQuery, ...] = ()
    memory: State = field(default_factory=dict)
    ready_look: float = 2.5
    alone: bool = False
    #: Is green's strict mode switched on after the gate, before it serves?
    restricted_later: bool = False
    #: The names in the index file; those that green lacks are left out of its search.
    coming: frozenset[str] = frozenset()
    #: Did another program fill green? Then nothing says how many points it should have.
    elsewhere: bool = False
    #: Brings points that green has to what the collection has now that they were made from, if that
    #: may be written to while green is judged; else None. A point that green lacks may be new.
    bring_over: Callable[[Sequence[PointId]], None] | None = None
    #: Why it does no harm that nobody knows the live collection's model, where that is so.
    unknown_is_fine: str = ""
    #: Is the origin of green's vectors recorded, or is the record missing although we made them?
    stamped: bool = True

    @property
    def real(self) -> RealSearchSpec:
        """How applications search."""
        return self.spec.validation.search

    @property
    def unknown_green(self) -> bool:
        """Made elsewhere, with an unknown model."""
        return self.elsewhere and not self.stamped

    @property
    def counted(self) -> bool:
        """Does anything besides live say how many points there should be?"""
        return not self.elsewhere or self.source is not None or self.filled.expected is not None

    def agreement(self, collection: str, vector: str) -> Mapping[str, Any] | None:
        """The result of embedding a sample of a collection's texts again, if its model is not
        recorded."""
        found: Mapping[str, Any] | None = (
            self.memory.get("models", {}).get("found", {}).get(collection, {}).get(vector)
        )
        return found

    @property
    def blue(self) -> str | None:
        if not self.live:
            return None
        return self.live.collection

    @cached_property
    def schema(self) -> Schema:
        return self.store.schema(self.green)

    @cached_property
    def kinds(self) -> dict[str, tuple[Kind, dict[str, Any]]]:
        """Kind and settings of each vector of the new collection, by name."""
        every = {name: vector_params(self.schema, name) for name in vector_names(self.schema)}
        return {name: (kind_of(params), params) for name, params in every.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """Every vector name of green, the main one first."""
        return tuple(sorted(self.kinds, key=lambda name: (name != self.vector, name)))

    @cached_property
    def text_makers(self) -> Mapping[str, Maker]:
        """What makes a vector from a text, by its name."""
        if self.makers or self.embedder is None:
            return self.makers
        return {
            self.vector: Maker(
                MadeBy(self.embedder.identity, embedding=self.spec.embedding), self.embedder
            )
        }

    @cached_property
    def text_search(self) -> TextSearch:
        """What a text searches on green."""
        return build_text_search(
            self.spec.search, tuple(self.text_makers), tuple(self.kinds), self.coming
        )

    @property
    def asks_apart(self) -> bool:
        """Does a text search something else than one vector that both sides have?"""
        ours = self.text_search
        theirs = None
        if self.live:
            theirs = self.live.search
        if ours.fused or not ours.parts or theirs is None or not theirs.parts:
            return ours.fused
        return theirs.names != tuple(map(self.live_name, ours.names))

    @property
    def scored(self) -> str:
        """The vector whose scores are used for texts: the scores of fused lists say nothing about a
        match."""
        names = self.text_search.names
        if names and self.vector not in names:
            return names[0]
        return self.vector

    def same(self, name: str) -> bool:
        """May a vector of this name be searched in both collections?"""
        if self.live is None:
            return False
        if name == self.vector:
            return self.live.same_model
        return name in self.live.same

    def live_name(self, name: str) -> str:
        """The vector's name on live."""
        if self.live and name == self.vector:
            return self.live.vector
        return name

    def live_maker(self, name: str) -> Maker | None:
        if self.live is None:
            return None
        known = self.live.makers.get(self.live_name(name))
        if known is None and name == self.vector and self.live.embedder is not None:
            return Maker(MadeBy(self.live.embedder.identity), self.live.embedder)
        return known

    def params_of(self, name: str) -> dict[str, Any]:
        if name not in self.kinds:
            return {}
        return self.kinds[name][1]

    def rises(self, name: str | None) -> bool:
        """Is a higher score of this vector better? For fused lists it always is."""
        if name is None:
            return True
        return name in self.kinds and self.kinds[name][0].rising(self.kinds[name][1])

    @property
    def kind(self) -> Kind | None:
        """The kind of the searched vector; None if the collection has none of that name."""
        if self.vector not in self.kinds:
            return None
        return self.kinds[self.vector][0]

    @property
    def params(self) -> dict[str, Any]:
        """The settings of the searched vector."""
        if self.vector not in self.kinds:
            return {}
        return self.kinds[self.vector][1]

    @cached_property
    def judged_points(self) -> frozenset[PointId]:
        return frozenset(id for one in self.judged for id in one.every)

    @cached_property
    def limits(self) -> Limits:
        """The limits of green: none before its strict mode is switched on."""
        return self.store.limits(self.green)

    @cached_property
    def live_limits(self) -> Limits:
        if self.live:
            return self.store.limits(self.live.collection)
        return Limits()

    @cached_property
    def live_reads(self) -> int | None:
        """How many searches of the live collection one collector may make if its rate is limited;
        None for any number."""
        return self.live_limits.reads(self.spec.validation.budget_seconds * _LIVE)

    @property
    def rising(self) -> bool:
        """Is a higher score better?"""
        return self.kind is not None and self.kind.rising(self.params)

    @cached_property
    def pace(self) -> RateLimiter:
        return RateLimiter(self.spec.validation.live_searches_per_second)

    def breathe(self) -> None:
        """Called before each piece of work. Raises Limited if a rate limit does not allow the piece
        yet."""
        self.store.pace(self.green)
        if self.live:
            self.store.pace(self.live.collection)

    def part(self, name: str) -> State:
        """One collector's own memory."""
        found: State = self.memory.setdefault(name, {})
        return found


#: Called between pieces of work: is the turn's time over?
IsTurnOver = Callable[[], bool]
#: Collects evidence until it is complete (None) or the turn is over (seconds until it wants to
#: continue).
Collector = Callable[[GateContext, IsTurnOver], float | None]
