"""The vectors of a window of records: they are reused from the live collection, carried over from
it, or made."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from qdrant_rollouts.core.collections.makers import Maker
from qdrant_rollouts.core.collections.records import MARK_KEY, Record, content_hash, stored_hashes
from qdrant_rollouts.core.collections.schema import are_same_vectors, vector_names
from qdrant_rollouts.core.collections.stamps import MadeBy, read_stamp
from qdrant_rollouts.core.collections.vectors import VectorPlan
from qdrant_rollouts.core.config.index_file import render_text
from qdrant_rollouts.core.config.vector_kinds import vectors_by_name
from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.deployments.steps.data import FillState
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import CollectionStore, Point, PointId, PointStore, Schema
from qdrant_rollouts.core.sanitize.quoting import quote_value

Records = Mapping[PointId, Record]


@dataclass(slots=True)
class VectorCounts:
    """How many vectors were reused, how many were made, and how many texts were too long for their
    model. ``by_vector`` has the counts of each vector by its name."""

    reused: int = 0
    embedded: int = 0
    truncated: int = 0
    by_vector: dict[str, dict[str, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, state: FillState) -> "VectorCounts":
        by_vector = {name: dict(counts) for name, counts in (state.by_vector or {}).items()}
        return cls(state.reused or 0, state.embedded or 0, state.truncated or 0, by_vector)

    def add_to(self, state: FillState) -> FillState:
        """Returns the state with the present counts. Later counting does not change it."""
        by_vector = {name: dict(counts) for name, counts in self.by_vector.items()}
        return replace(
            state,
            reused=self.reused,
            embedded=self.embedded,
            truncated=self.truncated,
            by_vector=by_vector,
        )


@dataclass(frozen=True, slots=True)
class LiveVectors:
    """The collection behind the alias, as a place to take vectors from.

    ``made`` says what made each vector. ``fitting`` has the names of vectors that can be moved to
    the new collection without changes. If a point has only one content hash, it is the hash of the
    vector ``embedded``.
    """

    collection: str
    made: Mapping[str, MadeBy]
    fitting: frozenset[str]
    embedded: str


def open_live(context: StepContext, green: Schema) -> LiveVectors | None:
    blue = context.deployment.blue
    return find_live_vectors(context.services.store, blue, green) if blue is not None else None


def find_live_vectors(store: CollectionStore, collection: str, green: Schema) -> LiveVectors:
    """Returns ``collection`` as a place to take vectors for ``green`` from."""
    stamp = read_stamp(store, collection)
    theirs = store.schema(collection)
    fitting = frozenset(n for n in vector_names(green) if are_same_vectors(theirs, green, n))
    return LiveVectors(
        collection, stamp.made if stamp else {}, fitting, stamp.vector if stamp else ""
    )


class RecordVectors:
    """Completes records with their vectors. ``counts`` are the counts of this deployment."""

    def __init__(
        self,
        store: PointStore,
        plan: VectorPlan,
        makers: Mapping[str, Maker],
        live: LiveVectors | None,
        counts: VectorCounts,
    ) -> None:
        self._store = store
        self._plan = plan
        self._makers = makers
        self._live = live
        self.counts = counts
        self._reusable = {
            name for name, maker in makers.items() if self._is_same_maker(name, maker)
        }

    @property
    def reads_from(self) -> str | None:
        """Returns the live collection, if vectors are reused or carried over from it; else None."""
        needed = bool(self._reusable or self._plan.carried)
        if self._live is not None and needed:
            return self._live.collection
        return None

    def hashes(self, record: Record) -> dict[str, str]:
        """Returns the content hash of each made vector, by name."""
        return {
            name: content_hash(self._makers[name].identity, text)
            for name, text in record.texts.items()
        }

    def complete(self, records: Records) -> dict[PointId, dict[str, Any]]:
        """Returns every vector of each record, by name.

        Raises Refused for a record whose carried vector cannot be carried over.
        """
        vectors = {id: dict(record.vectors) for id, record in records.items()}
        self._take_over(records, vectors)
        self._make_missing(records, vectors)
        self._count_by_name("points", [name for one in vectors.values() for name in one])
        return vectors

    def count_kept(self, kept: Sequence[tuple[Record, Collection[str]]]) -> None:
        """Counts points that stay as they are: what each was made from, and the names of its
        vectors."""
        made = [name for record, _ in kept for name in record.texts]
        self.counts.reused += len(made)
        self._count_by_name("reused", made)
        self._count_by_name("points", [name for _, names in kept for name in names])
        self._count_by_name(
            "carried",
            [
                name
                for record, names in kept
                for name in names
                if name in self._plan.carried and name not in record.vectors
            ],
        )

    def find_missing_texts(self, records: Records) -> dict[str, dict[PointId, str]]:
        """Returns the texts that ``complete`` would give to each maker, by the vector's name and
        the record, and makes nothing. Raises Refused as ``complete`` does."""
        vectors = {id: dict(record.vectors) for id, record in records.items()}
        self._take_over(records, vectors)
        return {name: _list_missing_texts(name, records, vectors) for name in self._makers}

    # --- from the live collection ---------------------------------------------------------------

    def _take_over(self, records: Records, vectors: dict[PointId, dict[str, Any]]) -> None:
        live: dict[PointId, Point] = {}
        if self.reads_from is not None:
            found = self._store.fetch(self.reads_from, list(records), vectors=True)
            live = {point.id: point for point in found}
        taken: list[str] = []
        for id, record in records.items():
            point = live.get(id)
            if point is not None:
                reused = self._unchanged_vectors(record, point)
                vectors[id] |= {n: one for n, one in reused.items() if n not in vectors[id]}
                taken += reused
            self._carry_vectors(record, point, vectors[id])
        self.counts.reused += len(taken)
        self._count_by_name("reused", taken)

    def _unchanged_vectors(self, record: Record, point: Point) -> dict[str, Any]:
        """Returns the stored vectors that can be reused. Equal content hashes prove that maker and
        text are the same."""
        assert self._live is not None
        stored = vectors_by_name(point.vector)
        known = stored_hashes(point.payload, self._live.embedded)
        hashes = self.hashes(record)
        return {
            name: stored[name]
            for name in hashes
            if name in self._reusable and known.get(name) == hashes[name] and name in stored
        }

    def _carry_vectors(self, record: Record, point: Point | None, vectors: dict[str, Any]) -> None:
        carried = [name for name in self._plan.carried if name not in vectors]
        if not carried:
            return
        why = self._why_not_carried(record, point)
        if not why:
            assert point is not None
            stored = vectors_by_name(point.vector)
            there = [name for name in carried if name in stored]
            vectors |= {name: stored[name] for name in there}
            self._count_by_name("carried", there)
            return
        refusing = [name for name in carried if self._plan.carried[name] == "refuse"]
        if refusing:
            raise Refused(_describe_not_carried(record, refusing[0], why))
        self._count_by_name("not_carried", carried)

    def _why_not_carried(self, record: Record, point: Point | None) -> str:
        if self._live is None:
            return "there is no live collection to carry it from"
        if point is None:
            return "the live collection has no such point"
        if self._is_changed(record, point):
            return "its text has changed"
        return ""

    def _is_changed(self, record: Record, point: Point) -> bool:
        """Returns whether the live vector belongs to another text. Content hashes show this if the
        same maker made both.

        Otherwise the texts are compared; if no vector is made from a text, the whole payloads are
        compared.
        """
        assert self._live is not None
        known = stored_hashes(point.payload, self._live.embedded)
        hashes = self.hashes(record)
        told = [
            name
            for name in hashes
            if name in known and self._is_same_identity(name, self._makers[name])
        ]
        if told:
            return any(known[name] != hashes[name] for name in told)
        if record.texts:
            return any(
                render_text(self._makers[name].template, point.payload) != text
                for name, text in record.texts.items()
            )
        return {n: one for n, one in point.payload.items() if n != MARK_KEY} != record.fields

    def _is_same_maker(self, name: str, maker: Maker) -> bool:
        """Returns whether the live vector was made in the same way. Its size, distance and datatype
        must also be equal."""
        return (
            self._live is not None
            and name in self._live.fitting
            and self._is_same_identity(name, maker)
        )

    def _is_same_identity(self, name: str, maker: Maker) -> bool:
        made = None
        if self._live is not None:
            made = self._live.made.get(name)
        return made is not None and made.identity == maker.identity

    # --- made -----------------------------------------------------------------------------------

    def _make_missing(self, records: Records, vectors: dict[PointId, dict[str, Any]]) -> None:
        """Makes every vector that is still missing, one maker after the other."""
        for name, maker in self._makers.items():
            wanted = _list_missing_texts(name, records, vectors)
            if not wanted:
                continue
            texts = list(wanted.values())
            for id, vector in zip(wanted, maker.documents(texts), strict=True):
                vectors[id][name] = vector
            self.counts.embedded += len(wanted)
            self.counts.truncated += maker.count_truncated(texts)
            self._count_by_name("embedded", [name] * len(wanted))

    # --- counted --------------------------------------------------------------------------------

    def _count_by_name(self, key: str, names: Sequence[str]) -> None:
        """Counts the vectors by name. The gate compares these counts with green."""
        for name, number in Counter(names).items():
            counts = self.counts.by_vector.setdefault(name, {})
            counts[key] = counts.get(key, 0) + number


def _list_missing_texts(
    name: str, records: Records, vectors: Mapping[PointId, Mapping[str, Any]]
) -> dict[PointId, str]:
    """Returns the text of each record whose vector ``name`` must be made."""
    return {
        id: record.texts[name]
        for id, record in records.items()
        if name in record.texts and name not in vectors[id]
    }


def _describe_not_carried(record: Record, name: str, why: str) -> str:
    key = name or '""'
    return (
        f"{record.where}: vector {name or 'unnamed'} of {quote_value(record.id)} is carried over "
        "from the live "
        f"collection, but {why}. Say how the vector is made, or write "
        f"`{key}: {{carried: {{when_changed: drop}}}}` to let such a record go without it"
    )
