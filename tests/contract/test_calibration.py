"""The floor of scores, on real text: healthy models pass it by default, and models that distinguish
nothing do not."""

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from qdrant_rollouts.adapters.embeddings import open_embedder
from qdrant_rollouts.adapters.qdrant_local import LocalStore
from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.collections.makers import Maker
from qdrant_rollouts.core.collections.stamps import MadeBy
from qdrant_rollouts.core.config.index_file import EmbeddingSpec, IndexSpec
from qdrant_rollouts.core.gate import verdict
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.ports import FloatArray, Point
from tests.acceptance.corpora import records

TEMPLATE = "{title}\n{text}"
QUERIES = ("read a csv file", "parse command line arguments")
#: Only what the floor needs.
PLAN = {"min_top_score": True, "score_floor": True, "min_results": True}


class Model:
    """A real one, whose vectors may be changed before anybody sees them."""

    def __init__(self, dimension: int, changed: Any = None) -> None:
        self._model = open_embedder(EmbeddingSpec(model=f"hashing:{dimension}", text=TEMPLATE))
        self._changed = changed
        self.identity = self._model.identity
        self.dimension = dimension
        self.reads = None

    def documents(self, texts: Sequence[str]) -> FloatArray:
        made = np.asarray(self._model.documents(texts), dtype=np.float32)
        return made if self._changed is None else self._changed(made)

    def query(self, text: str) -> FloatArray:
        return np.asarray(self.documents([text])[0])


def collapsed(made: FloatArray) -> FloatArray:
    """Nearly one direction for all; what differs is noise, the same for the same text."""
    seeds = [np.random.default_rng(zlib.crc32(row.tobytes())) for row in made]
    noise = np.stack([rng.standard_normal(made.shape[1]) for rng in seeds])
    return np.asarray(1 + 0.2 * noise, dtype=np.float32)


def meaningless(made: FloatArray) -> FloatArray:
    """Any direction for any text, as of a model whose weights were never loaded."""
    seeds = [np.random.default_rng(zlib.crc32(row.tobytes())) for row in made]
    return np.stack([rng.standard_normal(made.shape[1]).astype(np.float32) for rng in seeds])


@pytest.fixture(scope="module")
def corpus() -> list[dict[str, Any]]:
    return records(400)


def judged(
    corpus: list[dict[str, Any]], model: Model, seed: int = 7, **validation: Any
) -> dict[str, Any]:
    """The report's rows by name."""
    store = LocalStore(":memory:")
    embedding = EmbeddingSpec(model=model.identity, text=TEMPLATE)
    given = {
        "queries": list(QUERIES),
        "checks": PLAN,
        "seed": seed,
        "samples": {"queries": 30},
        **validation,
    }
    schema = {
        "params": {"vectors": {"size": model.dimension, "distance": "Cosine"}},
        "payload_schema": {},
    }
    store.create("green", schema, {})
    vectors = model.documents([TEMPLATE.format_map(one) for one in corpus])
    store.upsert("green", [Point(at, vectors[at], dict(one)) for at, one in enumerate(corpus)])
    spec = IndexSpec.model_validate({"validation": given})
    makers = {"": Maker(MadeBy(model.identity, embedding=embedding), model)}  # type: ignore[arg-type]  # a double
    gate = GateContext(
        store,
        "green",
        spec,
        wanted=store.schema("green"),
        embedder=model,
        makers=makers,
        filled=Filling(expected=len(corpus)),  # type: ignore[arg-type]  # a double
    )
    while verdict.collect_evidence(gate, lambda: False) is not None:
        pass
    rows = {row["name"]: row for row in verdict.build_report(gate)["checks"]}
    store.close()
    return rows


@pytest.mark.parametrize("dimension", [64, 128, 384])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_healthy_index_passes_the_default_floor(
    corpus: list[dict[str, Any]], dimension: int, seed: int
) -> None:
    size = {1: 400, 2: 150, 3: 60}[seed]
    chosen = [corpus[at] for at in np.random.default_rng(seed).permutation(len(corpus))[:size]]
    row = judged(chosen, Model(dimension), seed)["min_top_score"]
    assert (row["verdict"], row["level"]) == ("pass", "hard"), row
    own = row["facts"]["own"]
    assert own["n"] == 50
    assert own["under"] < 25


@pytest.mark.parametrize("changed", [collapsed, meaningless])
@pytest.mark.parametrize("dimension", [64, 384])
@pytest.mark.parametrize("size", [60, 400])
def test_a_model_that_tells_nothing_apart_is_blocked_by_default(
    corpus: list[dict[str, Any]], changed: Any, dimension: int, size: int
) -> None:
    row = judged(corpus[:size], Model(dimension, changed))["min_top_score"]
    assert row["verdict"] == "block", row
    assert "records that were searched by their own beginning" in row["found"]


def test_texts_that_are_all_alike_are_no_proof_of_anything(corpus: list[dict[str, Any]]) -> None:
    """Every record answers every query: nothing is unrelated, so there is no chance to compare
    with."""
    same = [
        {"id": n, "title": "about asyncio", "text": f"python and asyncio, number {n}"}
        for n in range(60)
    ]
    row = judged(same, Model(64), queries=["python asyncio"])["min_top_score"]
    assert (row["verdict"], row["level"], row["value"]) == ("pass", "shown", None)


@pytest.mark.parametrize(
    ("queries", "expected"),
    [
        (["zebra crossing"], "block"),
        (["zebra crossing", "asyncio"], "pass"),  # not every query is without an answer
        (["number"], "pass"),  # one word of many scores low, and is an answer all the same
    ],
)
def test_queries_that_have_nothing_to_do_with_records_of_one_kind_are_blocked_however_few(
    corpus: list[dict[str, Any]], queries: list[str], expected: str
) -> None:
    same = [
        {"id": n, "title": "about asyncio", "text": f"python and asyncio, number {n}"}
        for n in range(60)
    ]
    row = judged(same, Model(64), queries=queries)["min_top_score"]
    assert row["verdict"] == expected, row


def test_a_handful_of_records_is_too_few_to_tell_chance_by(corpus: list[dict[str, Any]]) -> None:
    row = judged(corpus[:6], Model(384), queries=["read a csv file"])["min_top_score"]
    assert (row["verdict"], row["level"]) == ("pass", "shown")


def test_a_number_is_meant_as_it_stands(corpus: list[dict[str, Any]]) -> None:
    rows = judged(corpus, Model(384), min_top_score=0.7)
    assert (rows["min_top_score"]["verdict"], rows["min_top_score"]["bound"]) == ("block", 0.7)
    assert "queries have no answer that scores 0.7" in rows["min_top_score"]["found"]


@pytest.mark.parametrize("said", ["titles", {"titles": "title"}])
def test_titles_serve_as_queries_where_none_are_declared(
    corpus: list[dict[str, Any]], said: Any
) -> None:
    rows = judged(corpus, Model(384), queries=said)
    assert (rows["min_results"]["verdict"], rows["min_results"]["n"]) == ("pass", 50)
    assert rows["min_top_score"]["verdict"] == "pass"
    other = judged(corpus, Model(384), 8, queries=said)
    assert rows["min_top_score"]["value"] is not None
    assert rows["score_floor"]["detail"] != other["score_floor"]["detail"], (
        "another seed, other titles"
    )


def test_titles_that_no_record_has_hold_up_and_say_so(corpus: list[dict[str, Any]]) -> None:
    rows = judged(corpus, Model(64), queries={"titles": "headline"})
    assert rows["min_results"]["verdict"] == "inconclusive"
    assert "in a field headline" in rows["min_results"]["found"]
