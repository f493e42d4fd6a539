"""Collections with several vectors, or with only a sparse one: rebuilds that went wrong, and
rebuilds that did not.

As in ``damages``, a rebuild is first described and then laid on a server. A damage affects only the
vector of one name, so a check of another name cannot see it.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.collections.makers import Maker, server_identity
from qdrant_rollouts.core.collections.record_rules import RecordRules
from qdrant_rollouts.core.collections.records import Record, build_payload, content_hash, parse_row
from qdrant_rollouts.core.collections.stamps import MadeBy, Stamp
from qdrant_rollouts.core.collections.vectors import VectorPlan
from qdrant_rollouts.core.config.index_file import EmbeddingSpec, IndexSpec, ServerVectorSpec
from qdrant_rollouts.core.ports import Point, Row, Schema, ServerText, VectorStore
from tests.acceptance import damages
from tests.acceptance.corpora import Record as Written
from tests.acceptance.vectors import HASHING, MINILM, TEMPLATE, embedder
from tests.qdrants import seen, wait_until

_ROWS = 32
_WORDS = 80
#: Vectors that the server makes from a text.
BM25 = ServerVectorSpec(server="qdrant/bm25", text=TEMPLATE)
DENSE = {"size": 384, "distance": "Cosine"}
COLBERT = {"size": _ROWS, "distance": "Cosine", "multivector_config": {"comparator": "max_sim"}}
IDF = {"modifier": "idf"}
#: A graph so bad that a search by it finds too little. The other vectors have good graphs.
BAD = {"m": 2, "ef_construct": 4}


@dataclass(frozen=True, slots=True)
class Shape:
    """The vectors of a collection, and what makes each. Vectors that nothing makes come with the
    records."""

    vectors: dict[str, dict[str, Any]]
    sparse: dict[str, dict[str, Any]]
    plan: VectorPlan

    @property
    def schema(self) -> Schema:
        params: dict[str, Any] = {
            "vectors": {name: deepcopy(one) for name, one in self.vectors.items()}
        }
        if self.sparse:
            params["sparse_vectors"] = deepcopy(self.sparse)
        return {
            "params": params,
            "payload_schema": {"lang": {"data_type": "keyword"}},
            **deepcopy(damages.LOW),
        }

    @property
    def main(self) -> str:
        return next(iter(self.plan.templates or self.vectors))


def _made(name: str, spec: EmbeddingSpec) -> EmbeddingSpec:
    return spec.model_copy(update={"vector": name})


_ONE = _made("dense", MINILM)
_OTHER = _made("words", HASHING)
SHAPES = {
    "hybrid": Shape(
        {"dense": DENSE},
        {"bm25": IDF},
        VectorPlan(made={"dense": _ONE}, server_made={"bm25": BM25}),
    ),
    "multivector": Shape(
        {"dense": DENSE, "colbert": COLBERT},
        {},
        VectorPlan(made={"dense": _ONE}, given=frozenset({"colbert"})),
    ),
    "two dense": Shape(
        {"dense": DENSE, "words": DENSE}, {}, VectorPlan(made={"dense": _ONE, "words": _OTHER})
    ),
    "sparse only": Shape({}, {"bm25": IDF}, VectorPlan(server_made={"bm25": BM25})),
}

Vectors = dict[str, Any]


@dataclass(frozen=True)
class Rebuild:
    """``written`` is what green was made from. ``tampered`` changes its points, ``made`` its
    schema, and ``live_made`` live's schema. ``live_shape`` is live's shape if it differs from
    green's."""

    shape: Shape
    seed: int
    live: list[Written]
    written: list[Written]
    tampered: Callable[[list[Point]], list[Point]] = list
    made: Callable[[Schema], Schema] = deepcopy
    live_made: Callable[[Schema], Schema] = deepcopy
    live_shape: Shape | None = None

    @property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)


@dataclass(frozen=True, slots=True)
class Laid:
    live: str
    green: str
    wanted: Schema
    source: str
    filled: Filling
    rebuild: Rebuild


def identical(shape: Shape, corpus: Sequence[Written], size: int, seed: int) -> Rebuild:
    chosen = [
        corpus[at] for at in sorted(np.random.default_rng(seed).permutation(len(corpus))[:size])
    ]
    return Rebuild(shape, seed, chosen, chosen)


# --- on a server ----------------------------------------------------------------------------------


def lay(store: VectorStore, rebuild: Rebuild, folder: Path) -> Laid:
    """Creates ``<name>__v1`` (live), unless a rebuild over the same one has left it, and
    ``<name>__v2`` (green)."""
    name = f"several_{_digest_live(rebuild)}"
    live = f"{name}__v1"
    green = f"{name}__v2"
    source = folder / f"{name}.jsonl"
    fingerprint = damages._written(
        store, source, [_with_given(rebuild.shape, one) for one in rebuild.written]
    )
    if live not in store.collections():
        theirs = rebuild.live_shape or rebuild.shape
        _build(store, live, theirs, rebuild.live_made(theirs.schema), points(theirs, rebuild.live))
    wanted = rebuild.made(rebuild.shape.schema)
    made = points(rebuild.shape, rebuild.written)
    _build(store, green, rebuild.shape, wanted, rebuild.tampered(made))
    counted = {
        name: {"points": len(made)} for name in (*rebuild.shape.vectors, *rebuild.shape.sparse)
    }
    filled = Filling(way="records", expected=len(made), fingerprint=fingerprint, by_vector=counted)
    return Laid(live, green, store.schema(green), f"jsonl:{source}", filled, rebuild)


def _digest_live(rebuild: Rebuild) -> str:
    """Returns a digest of what the live collection is made from."""
    theirs = rebuild.live_shape or rebuild.shape
    made_from = [rebuild.live, rebuild.live_made(theirs.schema), sorted(theirs.plan.made)]
    written = json.dumps(made_from, sort_keys=True)
    return hashlib.blake2b(written.encode(), digest_size=8).hexdigest()


def points(shape: Shape, records: Sequence[Written]) -> list[Point]:
    """Makes points as ``populate`` writes them."""
    makers = makers_of(shape)
    rules = RecordRules.of(shape.plan, shape.schema)
    rows = [parse_row(Row("", _with_given(shape, record), {}), rules) for record in records]
    parsed = [row for row in rows if isinstance(row, Record)]
    assert len(parsed) == len(records), rows[0]
    vectors: list[Vectors] = [dict(one.vectors) for one in parsed]
    for name, maker in makers.items():
        for one, vector in zip(
            vectors, maker.documents([row.texts[name] for row in parsed]), strict=True
        ):
            one[name] = vector
    return [
        Point(row.point_id, vector, build_payload(row, _hashes(makers, row), ordinal))
        for ordinal, (row, vector) in enumerate(zip(parsed, vectors, strict=True))
    ]


def makers_of(shape: Shape) -> dict[str, Maker]:
    made = {
        name: Maker(MadeBy(embedder(spec).identity, embedding=spec), embedder(spec))
        for name, spec in shape.plan.made.items()
    }
    return made | {
        name: Maker(MadeBy(server_identity(spec), server=spec))
        for name, spec in shape.plan.server_made.items()
    }


def _hashes(makers: dict[str, Maker], row: Record) -> dict[str, str]:
    return {name: content_hash(makers[name].identity, text) for name, text in row.texts.items()}


def _with_given(shape: Shape, record: Written) -> Written:
    if "colbert" not in shape.vectors:
        return dict(record)
    return {**record, "vector": {"colbert": _rows(record["text"])}}


def _rows(text: str) -> list[list[float]]:
    """Gives each word a direction that is the same in every text."""
    return [_direction(word) for word in (text.lower().split() or ["nothing"])[:_WORDS]]


def _direction(word: str) -> list[float]:
    seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest(), "big")
    made = np.random.default_rng(seed).standard_normal(_ROWS).astype(np.float32)
    found: list[float] = (made / np.linalg.norm(made)).round(5).tolist()
    return found


def _build(
    store: VectorStore, name: str, shape: Shape, schema: Schema, filling: list[Point]
) -> None:
    alias, _, number = name.partition("__v")
    makers = makers_of(shape)
    main = makers.get(shape.main)
    stamp = Stamp(
        deployment=name,
        alias=alias,
        number=int(number),
        vector=shape.main,
        embedding=main.by.embedding.model_dump(mode="json") if main and main.by.embedding else None,
        identity=main.identity if main and main.by.embedding else None,
        vectors={made: maker.by.as_metadata() for made, maker in makers.items()},
    )
    store.create(name, schema, stamp.as_metadata())
    store.upsert(name, filling)
    wait_until(lambda: seen(store, name).ready, seconds=60)


def spec_of(shape: Shape) -> IndexSpec:
    vectors: dict[str, Any] = {
        name: {"model": spec.model, "text": spec.text} for name, spec in shape.plan.made.items()
    }
    vectors |= {name: spec.model_dump(mode="json") for name, spec in shape.plan.server_made.items()}
    vectors |= dict.fromkeys(shape.plan.given, "given")
    return IndexSpec.model_validate({"vectors": vectors})


# --- damages --------------------------------------------------------------------------------------

Damage = Callable[[Rebuild, str], Rebuild]


def _lost(r: Rebuild, name: str) -> Rebuild:
    """Removes the vector from a tenth of the points."""

    def tampered(points: list[Point]) -> list[Point]:
        gone = set(r.rng.permutation(len(points))[: len(points) // 10].tolist())
        return [_without(point, name) if at in gone else point for at, point in enumerate(points)]

    return replace(r, tampered=tampered)


def _lost_everywhere(r: Rebuild, name: str) -> Rebuild:
    """Leaves what an upsert with only the other vectors leaves: row 1 of the table."""
    return replace(r, tampered=lambda points: [_without(point, name) for point in points])


def _eroded(r: Rebuild, name: str) -> Rebuild:
    """Removes the vector from five points whose texts were changed: row 3 of the table."""
    return replace(
        r,
        tampered=lambda points: [_without(p, name) if at < 5 else p for at, p in enumerate(points)],
    )


def _shuffled(r: Rebuild, name: str) -> Rebuild:
    def tampered(points: list[Point]) -> list[Point]:
        order = r.rng.permutation(len(points))
        taken = dict(zip(order, np.roll(order, 1), strict=True))
        return [
            _with(point, name, points[taken[at]].vector[name]) for at, point in enumerate(points)
        ]

    return replace(r, tampered=tampered)


def _of_titles(r: Rebuild, name: str) -> Rebuild:
    """Makes the vector from less text than declared."""

    def tampered(points: list[Point]) -> list[Point]:
        titles = [str(point.payload["title"]) for point in points]
        if name == "colbert":
            made: Sequence[Any] = [_rows(title) for title in titles]
        elif name == "bm25":
            made = [ServerText(title, BM25.server, BM25.options) for title in titles]
        else:
            made = embedder(r.shape.plan.made[name]).documents(titles)
        return [_with(point, name, vector) for point, vector in zip(points, made, strict=True)]

    return replace(r, tampered=tampered)


def _bad_graph(r: Rebuild, name: str) -> Rebuild:
    """Wants and builds a bad graph. Only searches by this name can show it."""
    return replace(r, made=_of_vector(name, hnsw_config=BAD))


def _of_vector(name: str, **settings: Any) -> Callable[[Schema], Schema]:
    def made(schema: Schema) -> Schema:
        changed = deepcopy(schema)
        vectors = changed["params"]["vectors"]
        vectors[name] = {**vectors[name], **settings}  # two names may share one object
        return changed

    return made


def _without(point: Point, name: str) -> Point:
    return replace(
        point, vector={one: vector for one, vector in point.vector.items() if one != name}
    )


def _with(point: Point, name: str, vector: Any) -> Point:
    return replace(point, vector={**point.vector, name: vector})


EVERY: dict[str, Damage] = {
    "lost by a tenth of the points": _lost,
    "lost by all": _lost_everywhere,
    "lost by those that changed": _eroded,
    "shuffled among points": _shuffled,
    "made of the title alone": _of_titles,
}
#: By damage: the shape, the name of the vector, and the change.
DAMAGES: dict[str, tuple[str, str, Damage]] = {
    f"{shape}: {name} {what}": (shape, name, damage)
    for shape, names in {
        "hybrid": ("bm25", "dense"),
        "multivector": ("colbert",),
        "two dense": ("words",),
        "sparse only": ("bm25",),
    }.items()
    for name in names
    for what, damage in EVERY.items()
} | {
    "two dense: words with m=2, ef_construct=4": ("two dense", "words", _bad_graph),
    "multivector: colbert with m=2, ef_construct=4": ("multivector", "colbert", _bad_graph),
}


# --- healthy changes ------------------------------------------------------------------------------


def _edits(r: Rebuild) -> Rebuild:
    some = set(r.rng.permutation(len(r.written))[: max(1, len(r.written) // 50)].tolist())
    now = [damages._halved(record) if at in some else record for at, record in enumerate(r.written)]
    return replace(r, written=now)


def _growth(r: Rebuild) -> Rebuild:
    return replace(r, live=r.live[: len(r.live) * 10 // 11])


def _deletions(r: Rebuild) -> Rebuild:
    return replace(r, written=r.written[len(r.written) // 50 :])


HEALTHY: dict[str, Callable[[Rebuild], Rebuild]] = {
    "identical rebuild": lambda r: r,
    "2 % edits": _edits,
    "10 % growth": _growth,
    "2 % deletions": _deletions,
}


def _becomes_hybrid(r: Rebuild) -> Rebuild:
    only = Shape({"dense": DENSE}, {}, VectorPlan(made={"dense": _ONE}))
    return replace(r, live_shape=only)


def _both_quantized(r: Rebuild) -> Rebuild:
    """Makes live as bad as green: a rebuild that finds as much is not worse. Two graphs of m=2
    would not be enough, because their quality is random: of the same points, one finds all and the
    next one half."""
    bad = _of_vector("words", quantization_config=damages.BINARY)
    return replace(r, made=bad, live_made=bad)


#: By name of the change: the shape, the change, and ``validation`` of the index file.
OF_ONE_SHAPE: dict[str, tuple[str, Callable[[Rebuild], Rebuild], dict[str, Any]]] = {
    "dense becomes hybrid": ("hybrid", _becomes_hybrid, {}),
    "an index as bad as live's": ("two dense", _both_quantized, {"search": {"rescore": False}}),
}
