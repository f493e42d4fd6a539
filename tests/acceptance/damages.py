"""Rebuilds that went wrong, which the gate must stop, and rebuilds that did not, which it must
accept.

A rebuild is first described and then built: ``DAMAGES`` and ``HEALTHY`` change the description of
an identical rebuild, and ``lay`` creates its two collections on a server. Another seed takes
another sample of records, other edits and another order.
"""

import hashlib
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
from qdrant_rollouts.core.collections.record_rules import RecordRules
from qdrant_rollouts.core.collections.records import build_payload, content_hash, parse_row
from qdrant_rollouts.core.collections.schema import NewVectors, build_schema
from qdrant_rollouts.core.collections.stamps import Stamp
from qdrant_rollouts.core.config.index_file import CollectionSpec, EmbeddingSpec, IndexSpec
from qdrant_rollouts.core.ports import FloatArray, Point, Row, Schema, VectorStore
from qdrant_rollouts.core.ports.naming import point_id
from tests.acceptance.corpora import Record
from tests.acceptance.vectors import HASHING, MINILM, embedder
from tests.qdrants import seen, wait_until

#: These limits are so low that even the small corpus of a test is indexed and searched by its
#: index; the second one is the lowest that the server accepts (measured on 1.16.3). There is one
#: segment, however many cores the machine has, because a bad graph of few points is not bad enough.
LOW = {
    "optimizer_config": {"indexing_threshold": 50, "default_segment_number": 1},
    "hnsw_config": {"full_scan_threshold": 10},
}
SPEC = IndexSpec(embedding=MINILM, collection=CollectionSpec(payload_indexes={"lang": "keyword"}))

#: By default, searches find as much as searches that ask for rescoring (measured on 1.16.3).
INT8 = {"scalar": {"type": "int8", "quantile": 0.99, "always_ram": True}}

#: Quantization to one bit per number. A search for ten results does not read the original numbers.
BINARY = {"binary": {"always_ram": True}}

Change = Callable[[Schema], Schema]
Vectors = Callable[[list[Record]], FloatArray]


def by_model(spec: IndexSpec) -> Vectors:
    """Returns what makes the vectors as ``populate`` does: it fills in the template and embeds the
    text."""
    assert spec.embedding is not None
    template = spec.embedding.text
    model = embedder(spec.embedding)
    return lambda records: model.documents([template.format_map(record) for record in records])


_AS_DECLARED = by_model(SPEC)


@dataclass(frozen=True)
class Rebuild:
    """``source`` is what can be read now, ``written`` is what green was made from, and ``vectors``
    makes its vectors. ``tampered`` changes these points, ``made`` changes the wanted schema.
    ``expected`` is how many points ``populate`` reports; None means all records of the source.
    ``before`` is what the source had when ``populate`` read it, if that was different. ``given``:
    the source brings the vectors itself."""

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
    #: Green was made elsewhere: it has no stamp, no source and no counts.
    elsewhere: bool = False
    #: Live has no stamp.
    unknown: bool = False
    #: The source brings the vectors.
    given: bool = False

    def as_read(self, records: list[Record]) -> list[Record]:
        """Returns the records as the source has them."""
        if not self.given:
            return records
        return [
            {**one, "vector": vector.tolist()}
            for one, vector in zip(records, self.vectors(records), strict=True)
        ]

    @property
    def rng(self) -> np.random.Generator:
        """Returns a new generator each time, so that a rebuild is the same whenever it is
        described."""
        return np.random.default_rng(self.seed)

    @property
    def points(self) -> list[Point]:
        return self.tampered(points(self.written, self.spec, self.vectors))


@dataclass(frozen=True, slots=True)
class Laid:
    """A rebuild on a server. ``wanted`` is the schema that green should have; ``filled`` is the
    output of ``populate``."""

    live: str
    green: str
    wanted: Schema
    source: str
    filled: Filling
    rebuild: Rebuild
    #: Where the source is.
    folder: Path


def identical(corpus: Sequence[Record], size: int, seed: int) -> Rebuild:
    """Returns a rebuild in which live and green have the same ``size`` records. The seed chooses
    them from the corpus."""
    chosen = [
        corpus[at] for at in sorted(np.random.default_rng(seed).permutation(len(corpus))[:size])
    ]
    return Rebuild(seed, chosen, chosen, chosen)


# --- on a server ----------------------------------------------------------------------------------


def digest_live(rebuild: Rebuild) -> str:
    """Returns a digest of what the live collection is made from: rebuilds with the same digest can
    share one."""
    spec = rebuild.live_spec.model_dump(mode="json")
    made_from = json.dumps([rebuild.live, spec, rebuild.unknown], sort_keys=True)
    return hashlib.blake2b(made_from.encode(), digest_size=8).hexdigest()


def lay(
    store: VectorStore, grpc_port: int, name: str, number: int, rebuild: Rebuild, folder: Path
) -> Laid:
    """Creates ``<name>__v1`` (live), unless it is there, and ``<name>__v<number>`` (green), each
    with a finished index unless it is damaged."""
    live = f"{name}__v1"
    green = f"{name}__v{number}"
    source = folder / f"{green}.jsonl"
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
    if live not in store.collections():
        made = points(rebuild.live, first, by_model(first))
        build(store, grpc_port, live, stamps[0], schema, made)
    size = NewVectors({"": _size(rebuild.spec)})
    wanted = build_schema(store.schema(live), rebuild.spec.collection, size)
    build(store, grpc_port, green, stamps[1], rebuild.made(wanted), rebuild.points)
    expected = len(rebuild.source) if rebuild.expected is None else rebuild.expected
    filled = Filling(way="records", expected=expected, fingerprint=seen)
    return Laid(live, green, wanted, f"jsonl:{source}", filled, rebuild, folder)


def _written(store: VectorStore, path: Path, records: list[Record]) -> str:
    """Writes the source and returns its fingerprint. An existing file is not written again."""
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
    """Creates a collection as a deployment does, and returns when its index is finished."""
    store.create(name, schema, metadata)
    finite = [point for point in filling if np.isfinite(point.vector).all()]
    store.upsert(name, finite)
    if broken := [point for point in filling if not np.isfinite(point.vector).all()]:
        _write_whatever(grpc_port, name, broken)
    wait_until(lambda: _settled(store, name), seconds=60)


def points(records: list[Record], spec: IndexSpec, vectors: Vectors) -> list[Point]:
    """Makes points as ``core.deployments.steps.loading`` writes them."""
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
    """Writes vectors with values that are no numbers. The server accepts them over gRPC; our own
    adapters and JSON do not."""
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
    """Returns whether the collection is ready. If its optimizer is switched off, it never will
    be."""
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
        # Each point gets the vector of the next one in a random order, so none keeps its own.
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
    """Changes the source itself, so that only a comparison with live can show it."""

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
    """Adds noise of a third of a vector's length in all directions; the cosine stays at about
    0.95."""

    def vectors(records: list[Record]) -> FloatArray:
        made = r.vectors(records)
        return made + r.rng.normal(0, 0.33 / np.sqrt(made.shape[1]), made.shape).astype(np.float32)

    return replace(r, vectors=vectors)


def _bad_graph(r: Rebuild) -> Rebuild:
    """Declares a bad graph in the index file. The schema is as wanted, and only recall can show
    it."""
    return replace(
        r, spec=r.spec.with_options({"collection": {"hnsw": {"m": 2, "ef_construct": 4}}})
    )


def _stale(r: Rebuild) -> Rebuild:
    """Makes green from the source of a month ago, as live was: a tenth did not exist yet, and a
    third of the rest was different."""
    kept = _drawn(r, r.source, len(r.source) * 9 // 10)
    aged = _edited(r, kept, len(kept) // 3)
    return replace(r, live=aged, written=aged, expected=len(aged), before=aged)


def _slice_empty(r: Rebuild) -> Rebuild:
    """Leaves out one of several languages (or modules, if there is only one language): ``populate``
    saw no record of it."""
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
    """Gives the optimizer no thread, so the index is never begun."""
    threads = {"max_optimization_threads": 0}
    return replace(
        r,
        made=lambda wanted: {
            **wanted,
            "optimizer_config": {**(wanted.get("optimizer_config") or {}), **threads},
        },
    )


def _ids_moved(r: Rebuild) -> Rebuild:
    """Renumbers the source: every record has the id of the record before it."""
    now = [{**one, "id": before["id"]} for before, one in pairwise(r.source)]
    return replace(r, source=now, written=now)


def _mixed_windows(r: Rebuild) -> Rebuild:
    """Makes one window in eight with another model of the same dimension."""
    other = by_model(IndexSpec(embedding=HASHING))

    def vectors(records: list[Record]) -> FloatArray:
        window = np.arange(len(records))[:, None] * 8 // len(records) == 3
        return np.where(window, other(records), r.vectors(records))

    return replace(r, vectors=vectors)


def _given(
    change: Callable[[Rebuild, FloatArray, list[Record]], FloatArray],
) -> Callable[[Rebuild], Rebuild]:
    """Lets the source bring vectors that are not, or not all, those of the declared model."""

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
    """Lets the source bring one vector for many texts, as from a failing endpoint that returns the
    same for every text."""

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
    """Puts a sign-in page at the half of the addresses that live lacks."""
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
    """Makes random vectors, like those of a model whose weights were never loaded."""
    return replace(
        r,
        vectors=lambda records: r.rng.standard_normal((len(records), _size(r.spec))).astype(
            np.float32
        ),
    )


def _one_direction(r: Rebuild) -> Rebuild:
    """Makes nearly equal vectors; they differ only by noise."""

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
    """Removes three of a hundred records, and adds as many new ones, as in one bad night."""
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
    """Gives live the same settings."""
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
    """Makes a third of the texts appear twice, like pages that have two addresses."""
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
    """Cuts the second half of the words of some records."""
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
#: A person decides about these, because nobody else knows whether the change is intended.
HELD: dict[str, Callable[[Rebuild], Rebuild]] = {
    "made elsewhere, with half of the points": lambda r: replace(
        r, elsewhere=True, tampered=lambda points: _drawn(r, points, len(points) // 2)
    ),
    "over a live collection of an unknown model": lambda r: replace(_better_model(r), unknown=True),
}
#: Built as the source has it. Only a person can judge these, so they wait for one.
DOUBTFUL: dict[str, Callable[[Rebuild], Rebuild]] = {
    "the sign-in page for every address": _sign_in_pages(1.0),
    "the sign-in page for 30 %": _sign_in_pages(0.3),
    "sign-in pages that name where to come back to": _sign_in_pages(1.0, with_title=True),
    "the sign-in page for new addresses only": _new_pages_sign_in,
    "texts cut in the source": _cut_in_the_source,
}
#: Damages that only judged queries can see, each with the cause that is then named.
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
#: Damages that the score floor must see on its own, whatever other checks see.
MEANINGLESS: dict[str, Callable[[Rebuild], Rebuild]] = {
    "vectors of any direction": _any_direction,
    "vectors nearly equal": _one_direction,
}
#: These are healthy also for an index with judged queries, although relevant records left and new
#: ones came.
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
#: What people find depends on how many results they ask for. Each case has the settings of the
#: searches, and the verdict.
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
