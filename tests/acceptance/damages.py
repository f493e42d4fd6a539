"""Rebuilds that went wrong and rebuilds that did not: what the gate must stop, and what it must
accept.

A rebuild is first described and then built: ``DAMAGES`` and ``HEALTHY`` change the description of
an identical rebuild, ``lay`` creates its two collections on a server. Another seed means another
sample of records, other edits, another order.
"""

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from qdrant_client import QdrantClient, models

from qdrant_rollouts.adapters.sources import open_source
from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.collections.records import (
    RecordRules,
    build_payload,
    content_hash,
    parse_row,
)
from qdrant_rollouts.core.collections.schema import NewVectors, build_schema
from qdrant_rollouts.core.collections.stamps import Stamp
from qdrant_rollouts.core.config.index_file import CollectionSpec, EmbeddingSpec, IndexSpec
from qdrant_rollouts.core.ports import FloatArray, Point, Row, Schema, VectorStore
from qdrant_rollouts.core.ports.naming import point_id
from tests.acceptance.corpora import Record
from tests.acceptance.vectors import HASHING, MINILM, embedder
from tests.qdrants import seen, wait_until

#: So low that even the small corpus of a test is indexed and searched by its index; the server
#: takes no less of the second (measured on 1.16.3). One segment, however many cores there are: a
#: bad graph of few points is not bad enough.
LOW = {
    "optimizer_config": {"indexing_threshold": 50, "default_segment_number": 1},
    "hnsw_config": {"full_scan_threshold": 10},
}
SPEC = IndexSpec(embedding=MINILM, collection=CollectionSpec(payload_indexes={"lang": "keyword"}))

#: Searches that say nothing find as much as those that ask for rescoring (measured on 1.16.3).
INT8 = {"scalar": {"type": "int8", "quantile": 0.99, "always_ram": True}}

#: One bit of each number. What people ask for ten results of is asked without the numbers
#: themselves.
BINARY = {"binary": {"always_ram": True}}

Change = Callable[[Schema], Schema]
Vectors = Callable[[list[Record]], FloatArray]


def by_model(spec: IndexSpec) -> Vectors:
    """As ``populate`` makes them: the template filled in, embedded."""
    assert spec.embedding is not None
    template = spec.embedding.text
    model = embedder(spec.embedding)
    return lambda records: model.documents([template.format_map(record) for record in records])


_AS_DECLARED = by_model(SPEC)


@dataclass(frozen=True)
class Rebuild:
    """``source`` is what can be read now, ``written`` what green was made of, and ``vectors`` how;
    ``tampered`` changes the points made so, ``made`` the schema that was wanted. ``expected`` is
    how many points ``populate`` says it wrote; None means all of the source. ``before`` is what
    stood in the source when ``populate`` read it, where that was something else. ``given``: the
    source brings the vectors itself."""

    seed: int
    live: list[Record]
    source: list[Record]
    written: list[Record]
    live_spec: IndexSpec = SPEC
    spec: IndexSpec = SPEC
    vectors: Vectors = _AS_DECLARED
    tampered: Callable[[list[Point]], list[Point]] = list
    made: Change = deepcopy
    expected: int | None = None
    before: list[Record] | None = None
    #: Somebody else made green: no stamp, no source, no counts of its filling.
    elsewhere: bool = False
    #: Live carries no stamp.
    unknown: bool = False
    #: The source brings the vectors.
    given: bool = False

    def as_read(self, records: list[Record]) -> list[Record]:
        """What the source says of them."""
        if not self.given:
            return records
        return [
            {**one, "vector": vector.tolist()}
            for one, vector in zip(records, self.vectors(records), strict=True)
        ]

    @property
    def rng(self) -> np.random.Generator:
        """Anew each time, so that a rebuild is the same whenever it is looked at."""
        return np.random.default_rng(self.seed)

    @property
    def points(self) -> list[Point]:
        return self.tampered(points(self.written, self.spec, self.vectors))


@dataclass(frozen=True, slots=True)
class Laid:
    """A rebuild on a server. ``wanted`` is the schema green was to have; ``filled`` what
    ``populate`` returned."""

    live: str
    green: str
    wanted: Schema
    source: str
    filled: Filling
    rebuild: Rebuild


def identical(corpus: Sequence[Record], size: int, seed: int) -> Rebuild:
    """``size`` records of the corpus, chosen by the seed, in live and in green."""
    chosen = [
        corpus[at] for at in sorted(np.random.default_rng(seed).permutation(len(corpus))[:size])
    ]
    return Rebuild(seed, chosen, chosen, chosen)


# --- on a server ----------------------------------------------------------------------------------


def lay(store: VectorStore, grpc_port: int, name: str, rebuild: Rebuild, folder: Path) -> Laid:
    """Makes ``<name>__v1``, live, and ``<name>__v2``, green, each with a finished index unless
    damaged otherwise."""
    live = f"{name}__v1"
    green = f"{name}__v2"
    source = folder / f"{name}.jsonl"
    seen = _written(
        store, source, rebuild.as_read(rebuild.source if rebuild.before is None else rebuild.before)
    )
    _written(store, source, rebuild.as_read(rebuild.source))
    first = rebuild.live_spec
    schema = _low(build_schema(None, first.collection, NewVectors({"": _size(first)})))
    stamps = [
        {} if bare else stamp_of(name, spec)
        for name, spec, bare in (
            (live, first, rebuild.unknown),
            (green, rebuild.spec, rebuild.elsewhere),
        )
    ]
    build(store, grpc_port, live, stamps[0], schema, points(rebuild.live, first, by_model(first)))
    size = NewVectors({"": _size(rebuild.spec)})
    wanted = build_schema(store.schema(live), rebuild.spec.collection, size)
    build(store, grpc_port, green, stamps[1], rebuild.made(wanted), rebuild.points)
    expected = len(rebuild.source) if rebuild.expected is None else rebuild.expected
    filled = Filling(way="records", expected=expected, fingerprint=seen)
    return Laid(live, green, wanted, f"jsonl:{source}", filled, rebuild)


def _written(store: VectorStore, path: Path, records: list[Record]) -> str:
    """The fingerprint of the source that was written; what stands there already is not written
    again."""
    content = "".join(json.dumps(record) + "\n" for record in records)
    if not path.exists() or path.read_text(encoding="utf-8") != content:
        path.write_text(content, encoding="utf-8")
    return open_source(f"jsonl:{path}", roots=(path.parent,), store=store).fingerprint()


def build(
    store: VectorStore,
    grpc_port: int,
    name: str,
    metadata: dict[str, object],
    schema: Schema,
    filling: list[Point],
) -> None:
    """A collection made as a deployment does it; returns when its index is finished."""
    store.create(name, schema, metadata)
    finite = [point for point in filling if np.isfinite(point.vector).all()]
    store.upsert(name, finite)
    if broken := [point for point in filling if not np.isfinite(point.vector).all()]:
        _write_whatever(grpc_port, name, broken)
    wait_until(lambda: _settled(store, name), seconds=60)


def points(records: list[Record], spec: IndexSpec, vectors: Vectors) -> list[Point]:
    """As ``core.deployments.steps.loading`` writes them."""
    assert spec.embedding is not None
    identity = embedder(spec.embedding).identity
    rules = RecordRules({}, templates={"": spec.embedding.text})
    made = [parse_row(Row("", dict(record), {}), rules) for record in records]
    return [
        Point(
            one.point_id,
            vector,
            build_payload(one, {"": content_hash(identity, one.texts[""])}, ordinal),
        )
        for ordinal, (one, vector) in enumerate(zip(made, vectors(records), strict=True))
    ]


def _write_whatever(grpc_port: int, name: str, broken: list[Point]) -> None:
    """Over gRPC the server takes numbers that are none; our own adapters and JSON do not."""
    client = QdrantClient(
        "127.0.0.1", grpc_port=grpc_port, prefer_grpc=True, check_compatibility=False
    )
    structs = [
        models.PointStruct(id=p.id, vector=np.asarray(p.vector).tolist(), payload=p.payload)
        for p in broken
    ]
    client.upsert(name, structs, wait=True)
    client.close()


def _settled(store: VectorStore, name: str) -> bool:
    """Ready, or with an optimizer that was switched off and will never be."""
    off = store.schema(name)["optimizer_config"].get("max_optimization_threads") == 0
    return off or seen(store, name).ready


def stamp_of(name: str, spec: IndexSpec) -> dict[str, object]:
    assert spec.embedding is not None
    alias, _, number = name.partition("__v")
    dumped = spec.embedding.model_dump(mode="json")
    identity = embedder(spec.embedding).identity
    return Stamp(
        deployment=name, alias=alias, number=int(number), embedding=dumped, identity=identity
    ).as_metadata()


def _size(spec: IndexSpec) -> int:
    assert spec.embedding is not None
    return embedder(spec.embedding).dimension


def _low(schema: Schema) -> Schema:
    return {
        **schema,
        **{section: {**(schema.get(section) or {}), **low} for section, low in LOW.items()},
    }


# --- damages --------------------------------------------------------------------------------------


def _missing(r: Rebuild) -> Rebuild:
    return replace(r, tampered=lambda points: _drawn(r, points, len(points) * 9 // 10))


def _shuffled(r: Rebuild) -> Rebuild:
    def tampered(points: list[Point]) -> list[Point]:
        # Moved on by one within a random order: no point keeps its own.
        order = r.rng.permutation(len(points))
        taken = dict(zip(order, np.roll(order, 1), strict=True))
        return [replace(point, vector=points[taken[at]].vector) for at, point in enumerate(points)]

    return replace(r, tampered=tampered)


def _other_model(r: Rebuild) -> Rebuild:
    return replace(r, vectors=by_model(IndexSpec(embedding=HASHING)))


def _wrong_distance(r: Rebuild) -> Rebuild:
    def made(wanted: Schema) -> Schema:
        changed = deepcopy(wanted)
        changed["params"]["vectors"]["distance"] = "Euclid"
        return changed

    return replace(r, made=made)


def _not_normalised(r: Rebuild) -> Rebuild:
    dot = r.spec.with_options({"collection": {"distance": "Dot"}})
    lengths = r.rng.lognormal(0, 0.5, len(r.written)).astype(np.float32)[:, None]
    return replace(r, live_spec=dot, spec=dot, vectors=lambda records: r.vectors(records) * lengths)


def _payloads_lost(r: Rebuild) -> Rebuild:
    return replace(r, tampered=lambda points: [replace(point, payload={}) for point in points])


def _index_missing(r: Rebuild) -> Rebuild:
    return replace(r, made=lambda wanted: {**wanted, "payload_schema": {}})


def _each(change: Callable[[Record], Record], share: float = 1.0) -> Callable[[Rebuild], Rebuild]:
    """The source itself has changed, so that only live can tell."""

    def changed(r: Rebuild) -> Rebuild:
        some = set(r.rng.permutation(len(r.source))[: round(share * len(r.source))].tolist())
        now = [change(dict(record)) if at in some else record for at, record in enumerate(r.source)]
        return replace(r, source=now, written=now)

    return changed


def _without_lang(record: Record) -> Record:
    return {name: value for name, value in record.items() if name != "lang"}


def _with_indexes(
    change: Callable[[Rebuild], Rebuild], **indexes: str
) -> Callable[[Rebuild], Rebuild]:
    return lambda r: replace(
        change(r), spec=r.spec.with_options({"collection": {"payload_indexes": indexes}})
    )


def _duplicated(r: Rebuild) -> Rebuild:
    def tampered(points: list[Point]) -> list[Point]:
        half = _drawn(r, points, len(points) // 2)
        return points + [replace(point, id=point_id(f"again {point.id}")) for point in half]

    return replace(r, tampered=tampered)


def _truncated(r: Rebuild) -> Rebuild:
    return replace(
        r, vectors=lambda records: embedder(MINILM).documents([_text(one)[:20] for one in records])
    )


def _titles_only(r: Rebuild) -> Rebuild:
    return replace(
        r, vectors=lambda records: embedder(MINILM).documents([one["title"] for one in records])
    )


def _noise(r: Rebuild) -> Rebuild:
    """A third of a vector's own length, in all directions: a cosine of about 0.95 remains."""

    def vectors(records: list[Record]) -> FloatArray:
        made = r.vectors(records)
        return made + r.rng.normal(0, 0.33 / np.sqrt(made.shape[1]), made.shape).astype(np.float32)

    return replace(r, vectors=vectors)


def _bad_graph(r: Rebuild) -> Rebuild:
    """Asked for in the index file, so that the schema is as wanted and only recall can tell."""
    return replace(
        r, spec=r.spec.with_options({"collection": {"hnsw": {"m": 2, "ef_construct": 4}}})
    )


def _stale(r: Rebuild) -> Rebuild:
    """Green, as live, comes of the source of a month ago: a tenth not there yet, a third of the
    rest otherwise."""
    kept = _drawn(r, r.source, len(r.source) * 9 // 10)
    aged = _edited(r, kept, len(kept) // 3)
    return replace(r, live=aged, written=aged, expected=len(aged), before=aged)


def _slice_empty(r: Rebuild) -> Rebuild:
    """One of several languages (or modules, where there is one language only) was not read:
    ``populate`` saw none."""
    field = "lang" if len({record["lang"] for record in r.source}) > 1 else "module"
    lost = r.rng.choice(sorted({record[field] for record in r.source}))
    rest = [record for record in r.source if record[field] != lost]
    return replace(r, written=rest, expected=len(rest))


def _one_vector(r: Rebuild, number: float) -> Rebuild:
    def tampered(points: list[Point]) -> list[Point]:
        at = int(r.rng.integers(len(points)))
        points[at] = replace(points[at], vector=np.full_like(points[at].vector, number))
        return points

    return replace(r, tampered=tampered)


def _unfinished(r: Rebuild) -> Rebuild:
    """The optimizer has no thread to work with, so that the index is never begun."""
    threads = {"max_optimization_threads": 0}
    return replace(
        r,
        made=lambda wanted: {
            **wanted,
            "optimizer_config": {**(wanted.get("optimizer_config") or {}), **threads},
        },
    )


def _ids_moved(r: Rebuild) -> Rebuild:
    """Numbered anew by the source: every record has the id that the one before it had."""
    now = [{**one, "id": before["id"]} for before, one in pairwise(r.source)]
    return replace(r, source=now, written=now)


def _mixed_windows(r: Rebuild) -> Rebuild:
    """One window in eight was made by another model of the same dimension."""
    other = by_model(IndexSpec(embedding=HASHING))

    def vectors(records: list[Record]) -> FloatArray:
        window = np.arange(len(records))[:, None] * 8 // len(records) == 3
        return np.where(window, other(records), r.vectors(records))

    return replace(r, vectors=vectors)


def _given(
    change: Callable[[Rebuild, FloatArray, list[Record]], FloatArray],
) -> Callable[[Rebuild], Rebuild]:
    """The source brings vectors that are not, or not wholly, those of the declared model."""

    def changed(r: Rebuild) -> Rebuild:
        def vectors(records: list[Record]) -> FloatArray:
            return np.asarray(change(r, r.vectors(records), records), dtype=np.float32)

        return replace(r, vectors=vectors, given=True)

    return changed


def _random(r: Rebuild, made: FloatArray, records: list[Record]) -> FloatArray:
    return r.rng.normal(0, 1, made.shape)


def _another_model_in_part(r: Rebuild, made: FloatArray, records: list[Record]) -> FloatArray:
    chosen = r.rng.random(len(made))[:, None] < 0.3
    return np.where(chosen, by_model(IndexSpec(embedding=HASHING))(records), made)


def _off_by_one_in_a_quarter(r: Rebuild, made: FloatArray, records: list[Record]) -> FloatArray:
    return np.where(np.arange(len(made))[:, None] % 4 == 0, np.roll(made, 1, axis=0), made)


def _in_eight_bits(r: Rebuild, made: FloatArray, records: list[Record]) -> FloatArray:
    step = np.abs(made).max(axis=1, keepdims=True) / 127
    return np.round(made / step) * step


def _one_vector_for(share: float) -> Callable[[Rebuild], Rebuild]:
    """Brought by the source, as an endpoint that fails answers the same for every text."""

    def change(r: Rebuild, made: FloatArray, records: list[Record]) -> FloatArray:
        chosen = r.rng.permutation(len(made)) < share * len(made)
        return np.where(chosen[:, None], made[0], made)

    return _given(change)


# --- built as the source has it, which nobody can have meant --------------------------------------

_SIGN_IN = (
    "Please sign in to go on. Enter the address and the password of your account, or ask for a new "
    "password."
)


def _sign_in_pages(share: float, *, with_title: bool = False) -> Callable[[Rebuild], Rebuild]:
    def page(one: Record) -> Record:
        text = f"{_SIGN_IN} Then you come back to {one['title']}." if with_title else _SIGN_IN
        return {**one, "title": "Sign in", "text": text}

    def changed(r: Rebuild) -> Rebuild:
        some = set(r.rng.permutation(len(r.source))[: int(share * len(r.source))].tolist())
        now = [page(one) if at in some else one for at, one in enumerate(r.source)]
        return replace(r, source=now, written=now)

    return changed


def _new_pages_sign_in(r: Rebuild) -> Rebuild:
    """The half of the addresses that live lacks."""
    now = _sign_in_pages(0.5)(r).source
    known = [one for one, before in zip(now, r.source, strict=True) if one == before]
    return replace(r, live=known, source=now, written=now)


# --- built as asked for, and worse all the same ---------------------------------------------------


def _declared(embedding: EmbeddingSpec) -> Callable[[Rebuild], Rebuild]:
    spec = SPEC.model_copy(update={"embedding": embedding})
    return lambda r: replace(r, spec=spec, vectors=by_model(spec))


def _cut_in_the_source(r: Rebuild) -> Rebuild:
    now = [
        {**record, "title": record["title"][:8], "text": record["text"][:20]} for record in r.source
    ]
    return replace(r, source=now, written=now)


# --- vectors that tell nothing apart --------------------------------------------------------------


def _any_direction(r: Rebuild) -> Rebuild:
    """As of a model whose weights were never loaded."""
    return replace(
        r,
        vectors=lambda records: r.rng.standard_normal((len(records), _size(r.spec))).astype(
            np.float32
        ),
    )


def _one_direction(r: Rebuild) -> Rebuild:
    """All vectors nearly equal; what differs is noise."""

    def vectors(records: list[Record]) -> FloatArray:
        return (1 + 0.3 * r.rng.standard_normal((len(records), _size(r.spec)))).astype(np.float32)

    return replace(r, vectors=vectors)


# --- healthy changes ------------------------------------------------------------------------------


def _edits(r: Rebuild) -> Rebuild:
    now = _edited(r, r.source, max(1, len(r.source) // 100))
    return replace(r, source=now, written=now)


def _growth(r: Rebuild) -> Rebuild:
    return replace(r, live=_drawn(r, r.live, len(r.live) * 10 // 11))


def _deletions(r: Rebuild) -> Rebuild:
    """What left the source in one bad night: three in a hundred, and as many that are new."""
    few = max(1, len(r.source) * 3 // 100)
    now = _drawn(r, r.source, len(r.source) - few)
    there = {record["id"] for record in now[-few:]}
    return replace(
        r, live=[one for one in r.live if one["id"] not in there], source=now, written=now
    )


def _better_model(r: Rebuild) -> Rebuild:
    return replace(r, live_spec=r.live_spec.model_copy(update={"embedding": HASHING}))


def _collection(settings: dict[str, object]) -> Callable[[Rebuild], Rebuild]:
    return lambda r: replace(r, spec=r.spec.with_options({"collection": settings}))


def _both(settings: dict[str, object]) -> Callable[[Rebuild], Rebuild]:
    """Live is as it too."""
    options = {"collection": settings}
    return lambda r: replace(
        r, live_spec=r.live_spec.with_options(options), spec=r.spec.with_options(options)
    )


def _many_edits(r: Rebuild) -> Rebuild:
    now = _edited(r, r.source, len(r.source) // 20)
    return replace(r, source=now, written=now)


def _growth_by_half(r: Rebuild) -> Rebuild:
    return replace(r, live=_drawn(r, r.live, len(r.live) * 2 // 3))


def _equal_texts(r: Rebuild) -> Rebuild:
    """A third of the texts appear twice, as on pages that are found under two addresses."""
    twice = [
        {**one, "id": f"{one['id']}, again"} for one in _drawn(r, r.source, len(r.source) // 3)
    ]
    now = [*r.source, *twice]
    return replace(r, live=now, source=now, written=now)


def _reordered(r: Rebuild) -> Rebuild:
    now = [r.source[at] for at in r.rng.permutation(len(r.source))]
    return replace(r, source=now, written=now)


def _small(r: Rebuild) -> Rebuild:
    few = _drawn(r, r.source, 50)
    return replace(r, live=few, source=few, written=few)


# --- shared by both -------------------------------------------------------------------------------


def _drawn(r: Rebuild, things: list, size: int) -> list:
    return [things[at] for at in sorted(r.rng.permutation(len(things))[:size])]


def _edited(r: Rebuild, records: list[Record], size: int) -> list[Record]:
    """Some records without the second half of their words."""
    some = set(r.rng.permutation(len(records))[:size].tolist())
    return [_halved(record) if at in some else record for at, record in enumerate(records)]


def _halved(record: Record) -> Record:
    words = record["text"].split()
    return {**record, "text": " ".join(words[: max(1, len(words) // 2)])}


def _text(record: Record) -> str:
    return MINILM.text.format_map(record)


DAMAGES: dict[str, Callable[[Rebuild], Rebuild]] = {
    "a tenth of the points missing": _missing,
    "vectors shuffled among points": _shuffled,
    "vectors of another model of the same dimension": _other_model,
    "wrong distance": _wrong_distance,
    "un-normalised vectors with dot product": _not_normalised,
    "payloads lost": _payloads_lost,
    "payload index missing": _index_missing,
    "half the points duplicated under new ids": _duplicated,
    "texts truncated to 20 characters": _truncated,
    "one field embedded instead of both": _titles_only,
    "noise added to vectors": _noise,
    "HNSW built with m=2, ef_construct=4": _bad_graph,
    "a stale copy": _stale,
    "one slice empty": _slice_empty,
    "a NaN vector": lambda r: _one_vector(r, np.nan),
    "a zero vector": lambda r: _one_vector(r, 0.0),
    "optimizer unfinished": _unfinished,
    "a filtered field renamed in the source": _each(
        lambda record: {**_without_lang(record), "language": record["lang"]}
    ),
    "a keyword that became a list of objects": _each(
        lambda record: {**record, "lang": [{"code": record["lang"]}]}
    ),
    "made elsewhere, by another model of the same dimension": lambda r: replace(
        _other_model(r), elsewhere=True
    ),
    "made elsewhere, vectors shuffled among points": lambda r: replace(
        _shuffled(r), elsewhere=True
    ),
    "made elsewhere, with a zero vector": lambda r: replace(_one_vector(r, 0.0), elsewhere=True),
    "a keyword that became a number in a third of the records": _each(
        lambda record: {**record, "lang": 7}, 0.33
    ),
    "ids moved by one": _ids_moved,
    "a window of another model": _mixed_windows,
    "random vectors brought by the source": _given(_random),
    "vectors of another model in 30 %, brought by the source": _given(_another_model_in_part),
    "vectors off by one in a quarter, brought by the source": _given(_off_by_one_in_a_quarter),
    "one vector for 3 % of the texts": _one_vector_for(0.03),
    "one vector for 60 % of the texts": _one_vector_for(0.6),
}
#: Where a person decides, for nobody can tell whether it is meant.
HELD: dict[str, Callable[[Rebuild], Rebuild]] = {
    "made elsewhere, with half of the points": lambda r: replace(
        r, elsewhere=True, tampered=lambda points: _drawn(r, points, len(points) // 2)
    ),
    "over a live collection of an unknown model": lambda r: replace(_better_model(r), unknown=True),
}
#: Built as the source has it, which is the judgment of a person: these wait for one.
DOUBTFUL: dict[str, Callable[[Rebuild], Rebuild]] = {
    "the sign-in page for every address": _sign_in_pages(1.0),
    "the sign-in page for 30 %": _sign_in_pages(0.3),
    "sign-in pages that name where to come back to": _sign_in_pages(1.0, with_title=True),
    "the sign-in page for new addresses only": _new_pages_sign_in,
    "texts cut in the source": _cut_in_the_source,
}
#: What only judged queries can see, and what then is named as the cause.
UNSEEN: dict[str, tuple[Callable[[Rebuild], Rebuild], str]] = {
    "a worse model, as declared": (
        _declared(HASHING.model_copy(update={"model": "hashing:24"})),
        "model",
    ),
    "a template without the better field": (
        _declared(MINILM.model_copy(update={"text": "{text}"})),
        "model",
    ),
    "texts cut in the source": (_cut_in_the_source, "data"),
}
#: What the score floor alone has to see, whatever else does.
MEANINGLESS: dict[str, Callable[[Rebuild], Rebuild]] = {
    "vectors of any direction": _any_direction,
    "vectors nearly equal": _one_direction,
}
#: Healthy for whoever judges queries: relevant records left, and new ones came.
LIVING: dict[str, Callable[[Rebuild], Rebuild]] = {
    "records left and came": _deletions,
    "1 % edits": _edits,
    "10 % growth": _growth,
}
HEALTHY: dict[str, Callable[[Rebuild], Rebuild]] = {
    "identical rebuild": lambda r: r,
    "1 % edits": _edits,
    "10 % growth": _growth,
    "a better model": _better_model,
    "quantization with rescoring": _collection({"quantization": INT8}),
    "other HNSW parameters of good quality": _collection({"hnsw": {"m": 32, "ef_construct": 200}}),
    "points in another order": _reordered,
    "a small index": _small,
    "sharded differently": _collection({"shard_number": 2}),
    "made elsewhere": lambda r: replace(r, elsewhere=True),
    "made elsewhere, over a live collection made elsewhere": lambda r: replace(
        r, elsewhere=True, unknown=True
    ),
    "over a live collection made elsewhere, by the same model": lambda r: replace(r, unknown=True),
    "over a live collection of an unknown model, accepted": lambda r: replace(
        _better_model(r), unknown=True, spec=r.spec.with_options({"accept_new_model": True})
    ),
    "a filtered field missing from 5 % of the source": _each(_without_lang, 0.05),
    "a filtered field dropped by declaration": _with_indexes(_each(_without_lang), lang="dropped"),
    "a filtered field declared anew with another type": _with_indexes(
        _each(lambda record: {**record, "lang": len(record["lang"])}), lang="integer"
    ),
    "5 % edits": _many_edits,
    "50 % growth": _growth_by_half,
    "a third of the texts twice, as on live": _equal_texts,
    "vectors of the declared model in eight bits, brought by the source": _given(_in_eight_bits),
}
#: What people find depends on how many results they ask for: as they search, and whether that may
#: go live.
AS_SEARCHED: dict[str, tuple[Callable[[Rebuild], Rebuild], dict[str, object], str]] = {
    "binary quantization beside unquantized live": (
        _collection({"quantization": BINARY}),
        {"rescore": False},
        "block",
    ),
    "binary quantization, asked for with rescoring": (
        _collection({"quantization": BINARY}),
        {"rescore": True, "oversampling": 4.0},
        "pass",
    ),
    "an identical rebuild of binary quantized live": (
        _both({"quantization": BINARY}),
        {"rescore": False},
        "pass",
    ),
}
