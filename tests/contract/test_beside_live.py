"""Records that did not change, vectors that many texts share, texts that became one: checked in two
collections side by side, and in deployments."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from qdrant_rollouts.adapters.embeddings import open_embedder
from qdrant_rollouts.adapters.qdrant_local import LocalStore
from qdrant_rollouts.core.collections.makers import Maker
from qdrant_rollouts.core.collections.records import content_hash
from qdrant_rollouts.core.collections.stamps import MadeBy, Stamp
from qdrant_rollouts.core.collections.vectors import VectorPlan
from qdrant_rollouts.core.config.index_file import ChunkSpec, EmbeddingSpec, IndexSpec
from qdrant_rollouts.core.gate import verdict
from qdrant_rollouts.core.gate.evidence.context import GateContext, LiveCollection
from qdrant_rollouts.core.gate.evidence.equals import Equals, group_equals
from qdrant_rollouts.core.ports import FloatArray, Point
from tests.acceptance import corpora
from tests.world import World

MODEL, OTHER = (
    EmbeddingSpec(model=f"hashing:{size}", text="{title}\n{text}") for size in (256, 64)
)
WORN = MODEL.model_copy(update={"text": "{text}"})
SPEC = IndexSpec.model_validate({"validation": {"live_searches_per_second": 1e6}})
COUNT = 120
Change = Callable[[list[Point]], list[Point]]


@cache
def records(count: int = COUNT) -> list[dict[str, Any]]:
    """Real texts, of which none is nearly that of another."""
    return [
        {"id": n, "title": one["title"], "text": one["text"]}
        for n, one in enumerate(corpora.records(count))
    ]


def text(record: dict[str, Any]) -> str:
    return MODEL.text.format_map(record)


def vectors(chosen: Sequence[dict[str, Any]], model: EmbeddingSpec = MODEL) -> FloatArray:
    return open_embedder(model).documents([model.text.format_map(one) for one in chosen])


def points(
    chosen: Sequence[dict[str, Any]], model: EmbeddingSpec = MODEL, *, marked: bool = True
) -> list[Point]:
    """As a deployment writes them; without a mark as somebody else does."""
    identity = open_embedder(model).identity
    return [
        Point(
            one["id"],
            vector,
            {
                **one,
                **(
                    {"_rollouts": {"n": n, "hash": {"": content_hash(identity, text(one))}}}
                    if marked
                    else {}
                ),
            },
        )
        for n, (one, vector) in enumerate(zip(chosen, vectors(chosen, model), strict=True))
    ]


@pytest.fixture
def store() -> Iterator[LocalStore]:
    made = LocalStore(":memory:")
    yield made
    made.close()


def stand(
    store: LocalStore,
    name: str,
    filling: Sequence[Point],
    stamped: EmbeddingSpec | None = MODEL,
    distance: str = "Cosine",
) -> None:
    metadata = {}
    if stamped is not None:
        identity = open_embedder(stamped).identity
        metadata = Stamp(
            name, "docs", 1, embedding=stamped.model_dump(mode="json"), identity=identity
        ).as_metadata()
    size = len(filling[0].vector)
    store.create(
        name,
        {"params": {"vectors": {"size": size, "distance": distance}}, "payload_schema": {}},
        metadata,
    )
    store.upsert(name, list(filling))


def judge(
    store: LocalStore, declared: EmbeddingSpec | None = MODEL, *, live: bool = True, **settings: Any
) -> dict[str, dict[str, Any]]:
    """The rows of green's gate beside blue, as if no source were known."""
    made = {"": declared} if declared is not None else {}
    makers = {}
    for name, spec in made.items():
        embedder = open_embedder(spec)
        makers[name] = Maker(MadeBy(embedder.identity, embedding=spec), embedder)
    plan = VectorPlan(made=made, given=frozenset() if made else frozenset({""}))
    judged = GateContext(
        store,
        "green",
        SPEC,
        live=LiveCollection("blue", "", None, same_model=True, same_texts=True) if live else None,
        embedder=makers[""].embedder if makers else None,
        plan=plan,
        makers=makers,
        alone=not live,
        **settings,
    )
    while verdict.collect_evidence(judged, lambda: False) is not None:
        pass
    return {row["name"]: row for row in verdict.build_report(judged)["checks"]}


def rolled(filling: list[Point], every: int = 1) -> list[Point]:
    """Of each ``every``th point, the vector of the one before."""
    return [
        replace(point, vector=filling[at - 1].vector) if at % every == 0 else point
        for at, point in enumerate(filling)
    ]


# --- unchanged means unchanged --------------------------------------------------------------------


def beside(store: LocalStore, change: Change, **settings: Any) -> dict[str, Any]:
    stand(store, "blue", points(records()))
    stand(store, "green", change(points(records())))
    return judge(store, **settings)["unchanged"]


def _mixed(filling: list[Point]) -> list[Point]:
    """One window of another model that has as many numbers."""
    other = vectors(records()[40:60], MODEL.model_copy(update={"text": "{title}"}))
    return [
        *filling[:40],
        *(replace(p, vector=v) for p, v in zip(filling[40:60], other, strict=True)),
        *filling[60:],
    ]


def _ids_moved(filling: list[Point]) -> list[Point]:
    """Numbered anew: the first record is gone, and each has the number of the one before."""
    moved = [{**record, "id": record["id"] - 1} for record in records()[1:]]
    return points(moved)


@pytest.mark.parametrize(
    "change",
    [
        rolled,
        lambda filling: rolled(filling, 4),
        _mixed,
        _ids_moved,
        lambda filling: rolled(filling, COUNT),
    ],
    ids=[
        "all moved on by one",
        "a quarter moved on",
        "a window of another text",
        "ids moved",
        "a single one",
    ],
)
def test_unchanged_records_that_are_not_what_they_were_block(
    store: LocalStore, change: Change
) -> None:
    row = beside(store, change)
    assert row["verdict"] == "block", row
    assert row["means"]
    assert row["act"]


def _edited(filling: list[Point]) -> list[Point]:
    edited = [
        {**one, "text": "entirely new words here"} if one["id"] % 20 == 0 else one
        for one in records()
    ]
    return points(edited)


def _grown(filling: list[Point]) -> list[Point]:
    return points(records(COUNT * 3 // 2))


def _two_swapped(filling: list[Point]) -> list[Point]:
    first, second, *rest = records()
    return points([{**second, "id": first["id"]}, {**first, "id": second["id"]}, *rest])


@pytest.mark.parametrize(
    "change",
    [
        list,
        _edited,
        _grown,
        _two_swapped,
        lambda filling: filling[: COUNT // 2],
        lambda filling: filling[::-1],
    ],
    ids=[
        "identical",
        "5 % edits",
        "growth by half",
        "two that changed places",
        "half deleted",
        "another order",
    ],
)
def test_a_healthy_rebuild_leaves_what_did_not_change(store: LocalStore, change: Change) -> None:
    row = beside(store, change)
    assert (row["verdict"], row["n"] > COUNT // 3) == ("pass", True), row


def test_more_records_are_looked_at_where_most_have_changed(store: LocalStore) -> None:
    """Up to three times as many as are wanted; here 12 of 120 are unchanged, and all of them are
    found."""
    changed = [
        one if one["id"] % 10 == 0 else {**one, "text": f"new {one['title']}"} for one in records()
    ]
    row = beside(store, lambda filling: points(changed))
    assert (row["verdict"], row["n"]) == ("pass", 12)


def test_without_an_unchanged_record_nobody_is_stopped(store: LocalStore) -> None:
    row = beside(
        store, lambda filling: points([{**one, "text": f"new {one['title']}"} for one in records()])
    )
    assert (row["verdict"], row["n"]) == ("pass", 0)
    assert "nothing to compare" in row["found"]


def test_an_unrelated_live_collection_stops_nobody(store: LocalStore) -> None:
    stand(store, "blue", [replace(point, id=point.id + 10_000) for point in points(records())])  # type: ignore[operator]
    stand(store, "green", points(records()))
    assert judge(store)["unchanged"]["verdict"] == "pass"


def test_a_first_deployment_has_nothing_to_be_compared_with(store: LocalStore) -> None:
    stand(store, "green", points(records()))
    assert "unchanged" not in judge(store, live=False)


def test_evidence_that_was_not_taken_is_inconclusive(store: LocalStore) -> None:
    stand(store, "blue", points(records()))
    stand(store, "green", points(records()))
    row = judge(
        store, memory={"vectors": {"complete": True, "seen": COUNT, "having": {"": COUNT}}}
    )["unchanged"]
    assert (row["verdict"], "another release" in row["detail"]) == ("inconclusive", True)


@pytest.mark.parametrize(("before", "now"), [(OTHER, MODEL), (WORN, MODEL), (None, MODEL)])
def test_a_model_or_template_that_is_declared_anew_may_make_other_vectors(
    store: LocalStore, before: EmbeddingSpec | None, now: EmbeddingSpec
) -> None:
    """Also over a collection of which nobody knows who made it."""
    old = points(records(), before or WORN, marked=before is not None)
    stand(store, "blue", old, before)
    stand(store, "green", points(records(), now), now)
    row = judge(store, now)["unchanged"]
    assert (row["verdict"], row["n"]) == ("pass", COUNT), row
    assert "not compared" in row["detail"]


def test_vectors_that_come_with_the_records_must_stay_as_long_as_the_payload_does(
    store: LocalStore,
) -> None:
    plain = points(records(), marked=False)
    stand(store, "blue", plain, None)
    stand(store, "green", rolled(plain, 4), None)
    assert judge(store, None)["unchanged"]["verdict"] == "block"
    store.upsert("green", plain)
    assert judge(store, None)["unchanged"]["verdict"] == "pass"


def test_what_comes_with_the_records_may_differ_from_what_somebody_else_has_made(
    store: LocalStore,
) -> None:
    """Over a collection that is not ours, declared for the first time."""
    stand(store, "blue", points(records(), marked=False), None)
    stand(store, "green", rolled(points(records(), marked=False)))
    row = judge(store, None)["unchanged"]
    assert (row["verdict"], "only one of the collections" in row["detail"]) == ("pass", True), row


def test_a_point_that_an_application_wrote_into_live_proves_nothing(store: LocalStore) -> None:
    own = [
        replace(p, payload={k: v for k, v in p.payload.items() if k != "_rollouts"})
        for p in points(records())[:20]
    ]
    stand(store, "blue", [*rolled(own), *points(records())[20:]])
    stand(store, "green", points(records()))
    row = judge(store)["unchanged"]
    assert (row["verdict"], row["facts"]["vectors"]) == ("pass", COUNT - 20), row


@pytest.mark.parametrize(("share", "expected"), [(1, "inconclusive"), (20, "pass")])
def test_a_payload_that_no_source_explains_is_for_a_person_to_look_at(
    store: LocalStore, share: int, expected: str
) -> None:
    def changed(filling: list[Point]) -> list[Point]:
        return [
            replace(p, payload={**p.payload, "price": 7}) if int(p.id) % share == 0 else p
            for p in filling
        ]

    row = beside(store, changed)
    assert (row["verdict"], row["facts"]["fields"]["price"]) == (expected, COUNT // share), row


def test_a_small_difference_can_be_allowed(store: LocalStore) -> None:
    stand(store, "blue", points(records()))
    stand(store, "green", rolled(points(records()), 40))
    assert judge(store)["unchanged"]["verdict"] == "block"
    allowed = SPEC.with_options({"validation": {"checks": {"unchanged": 0.05}}})
    judged = GateContext(
        store,
        "green",
        allowed,
        live=LiveCollection("blue", "", None, same_model=True, same_texts=True),
        plan=VectorPlan(),
    )
    while verdict.collect_evidence(judged, lambda: False) is not None:
        pass
    rows = {row["name"]: row for row in verdict.build_report(judged)["checks"]}
    assert (rows["unchanged"]["verdict"], rows["unchanged"]["bound"]) == ("pass", 0.05)


def test_a_carried_vector_that_was_lost_blocks(store: LocalStore) -> None:
    both = {
        "params": {
            "vectors": {
                "": {"size": 4, "distance": "Cosine"},
                "image": {"size": 4, "distance": "Cosine"},
            }
        }
    }
    rng = np.random.default_rng(3)
    for name in ("blue", "green"):
        store.create(name, {**both, "payload_schema": {}}, Stamp(name, "docs", 1).as_metadata())
    filling = [
        Point(n, {"": rng.random(4), "image": rng.random(4)}, {"text": f"about {n}"})
        for n in range(40)
    ]
    store.upsert("blue", filling)
    store.upsert(
        "green", [*filling[:30], *(replace(p, vector={"": p.vector[""]}) for p in filling[30:])]
    )  # type: ignore[call-overload]
    plan = VectorPlan(given=frozenset({""}), carried={"image": "drop"})
    judged = GateContext(
        store,
        "green",
        SPEC,
        live=LiveCollection("blue", "", None, same_model=True, same_texts=True),
        plan=plan,
    )
    while verdict.collect_evidence(judged, lambda: False) is not None:
        pass
    row = next(row for row in verdict.build_report(judged)["checks"] if row["name"] == "unchanged")
    assert (row["verdict"], row["facts"]["faults"]) == ("block", {"image": {"no vector": 10}})


def test_chunks_of_one_document_may_move(store: LocalStore) -> None:
    """A paragraph is added before all others."""
    chunked = MODEL.model_copy(update={"chunk": ChunkSpec()})

    def chunks(start: int) -> list[Point]:
        cut = [
            {**one, "id": one["id"] + start, "chunk": {"document": "book", "number": one["id"]}}
            for one in records()
        ]
        return points(cut, chunked)

    stand(store, "blue", chunks(0), chunked)
    stand(store, "green", chunks(1), chunked)
    assert judge(store, chunked)["unchanged"]["verdict"] == "pass"


# --- one vector for many --------------------------------------------------------------------------


def _one_for(share: float, filling: list[Point]) -> list[Point]:
    several = int(len(filling) * share)
    return [replace(point, vector=filling[0].vector) for point in filling[:several]] + filling[
        several:
    ]


@pytest.mark.parametrize("declared", [MODEL, None], ids=["model", "no model"])
@pytest.mark.parametrize("share", [0.03, 0.1, 0.3, 0.6, 0.97, 1.0])
def test_one_vector_for_many_texts_blocks_whatever_its_share(
    store: LocalStore, share: float, declared: EmbeddingSpec | None
) -> None:
    stand(store, "green", _one_for(share, points(records())), declared)
    row = judge(store, declared, live=False)["twins"]
    assert (row["verdict"], row["value"]) == ("block", pytest.approx(share, abs=0.02)), row
    assert "have one vector" in row["found"]
    assert row["facts"]["pairs"]


def test_pairs_of_texts_that_share_a_vector_block_too(store: LocalStore) -> None:
    filling = points(records())
    stand(
        store,
        "green",
        [replace(p, vector=filling[at - at % 2].vector) for at, p in enumerate(filling[:8])]
        + filling[8:],
    )
    row = judge(store, live=False)["twins"]
    assert (row["verdict"], row["value"]) == ("block", pytest.approx(8 / COUNT)), row


def _again(filling: list[Point]) -> list[Point]:
    """Half of the texts stand twice, as on pages that are found under two addresses."""
    return points([*records()[:80], *({**one, "id": one["id"] + 1000} for one in records()[:40])])


def _with_other_marks(filling: list[Point]) -> list[Point]:
    loud = [
        {**one, "id": one["id"] + 1000, "text": f"{one['text'].upper()}!"} for one in records()[:40]
    ]
    return [*filling, *(replace(p, vector=filling[at].vector) for at, p in enumerate(points(loud)))]


def _a_pair(filling: list[Point]) -> list[Point]:
    return [replace(filling[1], vector=filling[0].vector), filling[0], *filling[2:40]]


@pytest.mark.parametrize(
    "change",
    [list, _again, _with_other_marks, _a_pair],
    ids=["distinct", "equal texts", "marks and case", "one pair"],
)
def test_equal_texts_rightly_share_a_vector(store: LocalStore, change: Change) -> None:
    stand(store, "green", change(points(records())))
    row = judge(store, live=False)["twins"]
    assert row["verdict"] == "pass", row


@pytest.mark.parametrize(("count", "expected"), [(200, "pass"), (4000, "block")])
def test_texts_of_nearly_the_same_words_may_share_a_vector_in_small_groups(
    store: LocalStore, count: int, expected: str
) -> None:
    """Numbered sentences, in the first case with a vector for every three of them, in the other one
    for all."""
    groups = np.random.default_rng(2).random((count, 8)).astype(np.float32)
    one = 3 if expected == "pass" else count
    stand(
        store,
        "green",
        [
            Point(n, groups[n // one], {"text": f"article number {n} about the same old thing"})
            for n in range(200)
        ],
        None,
    )
    assert judge(store, None, live=False)["twins"]["verdict"] == expected


def test_numbered_sentences_of_which_nine_share_a_vector_block_where_nobody_can_make_it_again(
    store: LocalStore,
) -> None:
    made = np.random.default_rng(2).random((300, 8)).astype(np.float32)
    made[:9] = made[0]
    stand(
        store,
        "green",
        [Point(n, made[n], {"text": f"text {n} about asyncio and python"}) for n in range(300)],
        None,
    )
    row = judge(store, None, live=False)["twins"]
    assert (row["verdict"], row["value"]) == ("block", pytest.approx(0.03))


@pytest.mark.parametrize(("size", "expected"), [(40, "inconclusive"), (5, "pass")])
def test_equal_vectors_that_no_text_explains_are_no_health(
    store: LocalStore, size: int, expected: str
) -> None:
    stand(store, "green", [Point(n, [1.0, 2.0, 3.0], {"key": str(n)}) for n in range(size)], None)
    assert judge(store, None, live=False)["twins"]["verdict"] == expected


def test_another_share_can_be_allowed(store: LocalStore) -> None:
    stand(store, "green", _one_for(0.1, points(records())))
    allowed = SPEC.with_options({"validation": {"checks": {"twins": 0.2}}})
    judged = GateContext(store, "green", allowed, plan=VectorPlan(), alone=True)
    while verdict.collect_evidence(judged, lambda: False) is not None:
        pass
    assert {row["name"]: row["verdict"] for row in verdict.build_report(judged)["checks"]}[
        "twins"
    ] == "pass"


@pytest.mark.parametrize("group", [2, 5, 300])
def test_three_of_a_hundred_are_found_and_one_is_not_taken_for_more_in_a_large_collection(
    group: int,
) -> None:
    """Of 30,000 points, in any order, by draws of many seeds; the sample is a fifteenth."""

    def share(wanted: float, seed: int) -> float:
        number = int(30_000 * wanted) // group * group
        digests = [f"shared {at // group}" if at < number else f"own {at}" for at in range(30_000)]
        np.random.default_rng(seed).shuffle(digests)
        sample: list[list[Any]] = []
        equals = Equals(sample, seed)
        for id, digest in enumerate(digests):
            equals.see(id, {"": digest})
        one = group_equals(sample)[""]
        return float(one["equal"] / one["of"])

    seeds = range(4)
    assert min(share(0.035, seed) for seed in seeds) > 0.02
    assert max(share(0.01, seed) for seed in seeds) < 0.02


def test_a_reading_that_goes_on_in_another_turn_finds_the_same() -> None:
    def seen(pages: int) -> Any:
        sample: list[list[Any]] = []
        for page in np.array_split(np.arange(900), pages):
            equals = Equals(sample, 7)
            for id in page.tolist():
                equals.see(id, {"": str(id % 450)})
        return group_equals(sample)

    assert seen(1) == seen(30)
    assert (seen(1)[""]["equal"], seen(1)[""]["of"]) == (900, 900)


# --- collapse -------------------------------------------------------------------------------------

SIGN_IN = (
    "Sign in to go on. Enter the address and the password of your account, or ask for a new one."
)


def pages(count: int = 60, start: int = 0) -> list[dict[str, Any]]:
    """Real texts, as a crawl reads them."""
    return [{**one, "id": n} for n, one in enumerate(records()[start : start + count], start)]


def collapsed(
    store: LocalStore,
    now: list[dict[str, Any]],
    before: list[dict[str, Any]] | None = None,
    **settings: Any,
) -> Any:
    if before is not None:
        stand(store, "blue", points(before))
    stand(store, "green", points(now))
    return judge(store, live=before is not None, **settings)["collapse"]


def _signed_in(share: float, **more: str) -> list[dict[str, Any]]:
    several = int(60 * share)
    return [
        {**one, "title": "Sign in", "text": SIGN_IN, **more} for one in pages()[:several]
    ] + pages()[several:]


def _with_its_address(one: dict[str, Any]) -> dict[str, Any]:
    return {**one, "title": "Sign in", "text": f"{SIGN_IN} Then you come back to {one['title']}."}


@pytest.mark.parametrize(
    "now",
    [
        _signed_in(1.0),
        _signed_in(0.6),
        _signed_in(0.4),
        [_with_its_address(one) for one in pages()],
        [
            *pages(),
            *(
                {**one, "id": one["id"] + 500, "title": "Sign in", "text": SIGN_IN}
                for one in pages(40)
            ),
        ],
        [{**one, "text": f"We use cookies. {one['text']}"} for one in pages()],
    ],
    ids=[
        "all",
        "three in five",
        "two in five",
        "with its address",
        "new pages only",
        "a banner before each",
    ],
)
def test_a_crawl_that_brought_something_else_waits_for_a_person(
    store: LocalStore, now: list[dict[str, Any]]
) -> None:
    row = collapsed(store, now, pages())
    assert (row["verdict"], row["level"]) == ("inconclusive", "soft"), row


def test_the_two_texts_stand_side_by_side(store: LocalStore) -> None:
    row = collapsed(store, _signed_in(1.0), pages())
    assert "60 of 60 records say the same: 'Sign in" in row["found"]
    shown = row["facts"]["side_by_side"][0]
    assert shown["green"].startswith("Sign in")
    assert shown["live"].startswith(pages()[shown["id"]]["title"][:20])
    assert len(shown["live"]) <= 201


def test_a_first_deployment_is_judged_by_its_distinct_texts(store: LocalStore) -> None:
    assert collapsed(store, _signed_in(0.9))["verdict"] == "inconclusive"


def _few(count: int, same: int) -> list[dict[str, Any]]:
    return [
        {**one, "title": "Sign in", "text": SIGN_IN} if one["id"] < same else one
        for one in pages(count)
    ]


@pytest.mark.parametrize(
    ("count", "same", "live"), [(12, 7, False), (12, 7, True), (12, 4, True), (29, 9, True)]
)
def test_a_small_index_is_judged_by_all_of_its_texts(
    store: LocalStore, count: int, same: int, live: bool
) -> None:
    row = collapsed(store, _few(count, same), pages(count) if live else None)
    assert row["verdict"] == "inconclusive", row


@pytest.mark.parametrize(
    ("count", "same", "live"), [(1, 1, True), (2, 2, True), (12, 2, True), (12, 3, False)]
)
def test_two_equal_texts_of_a_few_are_nobody_s_fault(
    store: LocalStore, count: int, same: int, live: bool
) -> None:
    row = collapsed(store, _few(count, same), pages(count) if live else None)
    assert row["verdict"] == "pass", row


def _edited_pages(share: float) -> list[dict[str, Any]]:
    return [
        {**one, "text": f"edited {one['text']}"} if one["id"] < 60 * share else one
        for one in pages()
    ]


_TWICE = [{**pages()[at % 12], "id": at} for at in range(60)]


@pytest.mark.parametrize(
    ("now", "before"),
    [
        (pages(), pages()),
        (_edited_pages(0.05), pages()),
        (_edited_pages(0.4), pages()),
        (pages(90), pages()),
        (_TWICE, _TWICE),
        (pages(10), [{**one, "text": "old"} for one in pages(10)]),
        (pages(1), [{**one, "text": "old"} for one in pages(1)]),
        (pages(60, 60), pages()),
        (pages(), None),
        (pages(3), None),
    ],
    ids=[
        "identical", "5 % edits", "40 % edits", "growth by half", "many equal texts as on "
                                                                  "live", "ten written anew",
        "one written anew", "all others", "a first deployment", "a first one of three",
    ],
)  # fmt: skip
def test_healthy_texts_pass(
    store: LocalStore, now: list[dict[str, Any]], before: list[dict[str, Any]] | None
) -> None:
    row = collapsed(store, now, before)
    assert row["verdict"] == "pass", row


def test_chunks_that_are_declared_anew_may_change_every_text(store: LocalStore) -> None:
    halves = [{**one, "text": one["text"][: len(one["text"]) // 2]} for one in pages()]
    chunked = MODEL.model_copy(update={"chunk": ChunkSpec(max_tokens=64)})
    stand(store, "blue", points(pages()))
    stand(store, "green", points(halves, chunked), chunked)
    assert judge(store, chunked)["collapse"]["verdict"] == "pass"


def test_another_model_of_the_same_texts_is_no_collapse(store: LocalStore) -> None:
    stand(store, "blue", points(pages(), WORN), WORN)
    stand(store, "green", points(pages()))
    assert judge(store)["collapse"]["verdict"] == "pass"


def test_how_much_may_change_at_once_can_be_said(store: LocalStore) -> None:
    stand(store, "blue", points(pages()))
    stand(
        store,
        "green",
        points([{**one, "text": f"{one['text']} twice {one['text']}"} for one in pages()]),
    )
    assert judge(store)["collapse"]["verdict"] == "inconclusive"
    allowed = SPEC.with_options({"validation": {"checks": {"collapse": 1.0}}})
    plan = VectorPlan(made={"": MODEL})
    judged = GateContext(
        store,
        "green",
        allowed,
        live=LiveCollection("blue", "", None, same_model=True, same_texts=True),
        plan=plan,
    )
    while verdict.collect_evidence(judged, lambda: False) is not None:
        pass
    assert {row["name"]: row["verdict"] for row in verdict.build_report(judged)["checks"]}[
        "collapse"
    ] == "pass"


# --- in a deployment ------------------------------------------------------------------------------

FEW = {"samples": {"records": 40, "queries": 12}}


def deployed(world: World, given: Sequence[dict[str, Any]], **settings: Any) -> dict[str, Any]:
    source = world.write("docs.jsonl", list(given))
    world.declare(
        "docs", source=source, **{"embedding": MODEL.model_dump(), "validation": FEW, **settings}
    )
    deployment = world.deploy("docs")
    world.run(turns=400)
    return world.status(deployment)


def with_vectors(made: FloatArray) -> list[dict[str, Any]]:
    return [
        {**one, "vector": vector.tolist()} for one, vector in zip(records()[:40], made, strict=True)
    ]


def _random(made: FloatArray) -> FloatArray:
    return np.random.default_rng(5).standard_normal(made.shape).astype(np.float32)


def _another_model_in_part(made: FloatArray) -> FloatArray:
    other = vectors(records()[:40], MODEL.model_copy(update={"text": "{title}"}))
    return np.where(np.arange(40)[:, None] % 10 < 3, other, made)


def _off_by_one_in_a_quarter(made: FloatArray) -> FloatArray:
    return np.where(np.arange(40)[:, None] % 4 == 0, np.roll(made, 1, axis=0), made)


@pytest.mark.parametrize("change", [_random, _another_model_in_part, _off_by_one_in_a_quarter])
def test_given_vectors_that_the_declared_model_does_not_make_never_go_live(
    world: World, change: Callable[[FloatArray], FloatArray]
) -> None:
    status = deployed(world, with_vectors(change(vectors(records()[:40]))))
    assert status["status"] == "rolled_back"
    assert "not its model's vector" in status["message"]


def _in_eight_bits(made: FloatArray) -> FloatArray:
    step = np.abs(made).max(axis=1, keepdims=True) / 127
    return np.asarray(np.round(made / step) * step, dtype=np.float32)


def _in_bfloat16(made: FloatArray) -> FloatArray:
    return (made.view(np.uint32) & 0xFFFF0000).view(np.float32)


@pytest.mark.parametrize(
    "kept",
    [
        lambda made: made,
        lambda made: made.astype(np.float16).astype(np.float32),
        _in_bfloat16,
        _in_eight_bits,
        lambda made: made * 3,
    ],
    ids=["as made", "float16", "bfloat16", "eight bits", "another length"],
)
def test_given_vectors_of_the_declared_model_go_live_at_any_precision(
    world: World, kept: Callable[[FloatArray], FloatArray]
) -> None:
    status = deployed(world, with_vectors(kept(vectors(records()[:40]))))
    assert status["status"] == "live", status["message"]


def test_by_dot_product_a_given_vector_of_another_length_is_another_one(world: World) -> None:
    longer = with_vectors(vectors(records()[:40]) * 3)
    assert deployed(world, longer, collection={"distance": "Dot"})["status"] == "rolled_back"


def test_given_vectors_without_their_text_cannot_be_held_against_a_model(world: World) -> None:
    blind = [
        {name: one[name] for name in ("id", "title", "vector")}
        for one in with_vectors(_random(vectors(records()[:40])))
    ]
    status = deployed(world, blind)
    assert status["status"] == "live", status["message"]


def test_a_crawl_of_sign_in_pages_waits_and_the_live_index_stays(world: World) -> None:
    first = deployed(world, pages())
    assert first["status"] == "live", first["message"]
    status = deployed(world, _signed_in(1.0))
    assert (status["status"], world.store.aliases()["docs"]) == ("paused", first["green"])
    assert "collapse" in status["message"]
