"""The detection matrix: every damage is blocked and every healthy change passes, on a real server
with real text."""

import json
from collections import Counter
from dataclasses import replace
from itertools import count, islice

import pytest

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.adapters.sources import open_source
from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.collections.vectors import VectorPlan
from qdrant_rollouts.core.gate import verdict
from qdrant_rollouts.core.gate.evidence.opening import open_gate
from qdrant_rollouts.core.gate.reasons import describe_reasons
from qdrant_rollouts.core.services import Services, Times
from tests.acceptance.corpora import judged, records
from tests.acceptance.damages import (
    AS_SEARCHED,
    DAMAGES,
    DOUBTFUL,
    HEALTHY,
    HELD,
    LIVING,
    MEANINGLESS,
    UNSEEN,
    digest_live,
    identical,
    lay,
)
from tests.acceptance.days import days
from tests.acceptance.vectors import embedder

JUDGED = 400
#: Rebuilds on the server; the tests of one change lie close together.
KEPT = 4
#: At most this many queries of an index of 50 records can be judged.
FEWEST = {"a small index": 10}
#: No one else searches here, and the results do not depend on the rate.
UNHURRIED = {"live_searches_per_second": 10_000}
#: These checks decide nothing unless the index file gives a bound, and they take three quarters of
#: a small gate's time.
SHOWN = {"checks": {"latency_p50": False, "latency_p95": False}}


@pytest.fixture(scope="module")
def store(qdrant_server):
    """Lasts for the whole file, because collections are kept from one test to the next."""
    store = ServerStore(qdrant_server.url, grpc_port=qdrant_server.grpc_port)
    before = set(store.collections())
    yield store
    for name in set(store.collections()) - before:
        store.drop(name)
    store.close()


@pytest.fixture(scope="module")
def size(effort):
    """Returns the number of records in live. Each seed draws them from a corpus that is an eighth
    larger."""
    return effort(400, 800)


@pytest.fixture(scope="module")
def corpus(size):
    return records(size * 9 // 8)


@pytest.fixture(scope="module")
def lay_change(store, qdrant_server, tmp_path_factory, corpus, size):
    """Returns ``lay_change(change, seed)``: the two collections of a rebuild with that change. A
    gate changes nothing in them, so the latest rebuilds are kept for the next tests of the same
    changes, and rebuilds over the same live collection share it."""
    folder = tmp_path_factory.mktemp("sources")
    numbers = count(2)
    kept = {}

    def lay_change(change, seed):
        if (change, seed) not in kept:
            rebuild = change(identical(corpus, size, seed))
            name = f"matrix_{digest_live(rebuild)}"
            kept[change, seed] = lay(
                store, qdrant_server.grpc_port, name, next(numbers), rebuild, folder
            )
        laid = kept[change, seed] = kept.pop((change, seed))
        if len(kept) > KEPT:
            oldest = kept.pop(next(iter(kept)))
            store.drop(oldest.green)
            if oldest.live not in {other.live for other in kept.values()}:
                store.drop(oldest.live)
        return laid

    return lay_change


@pytest.fixture
def judge(store, lay_change, tmp_path, effort):
    """Returns ``judge(change, seed, validation)``: the gate's report on a rebuild with that
    change."""
    left_out = effort(SHOWN, {})

    def judge(change, seed, **validation):
        return gate(store, lay_change(change, seed), tmp_path, {**left_out, **validation})

    return judge


def gate(store, laid, folder, validation):
    nobody = dict.fromkeys(("sessions", "clock", "indexes", "knock", "alerts", "channel", "shelf"))
    services = Services(
        **nobody,
        store=store,
        embedder=embedder,
        source=lambda text: open_source(text, roots=(laid.folder, folder), store=store),
        times=Times(ready_look=0.1),
    )
    spec = laid.rebuild.spec.with_options({"validation": {**UNHURRIED, **validation}})
    memory = {}
    opened = open_gate(
        services,
        laid.green,
        laid.live,
        spec,
        source=None if laid.rebuild.elsewhere else services.source(laid.source),
        wanted=laid.wanted,
        vector="",
        plan=VectorPlan(made={"": laid.rebuild.spec.embedding}),
        filled=Filling() if laid.rebuild.elsewhere else laid.filled,
        memory=memory,
        elsewhere=laid.rebuild.elsewhere,
    )
    while verdict.collect_evidence(opened, lambda: False) is not None:
        pass
    return verdict.build_report(opened)


@pytest.fixture
def judged_file(tmp_path, corpus):
    """Writes known items as a file for ``validation.judged``."""
    path = tmp_path / "judged.jsonl"
    path.write_text(
        "".join(json.dumps(one) + "\n" for one in judged(corpus, JUDGED)), encoding="utf-8"
    )
    return str(path)


@pytest.mark.proof
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("what", DAMAGES)
def test_every_damage_is_blocked_without_any_configuration(what, judge, effort, figure):
    caught = Counter()
    for seed in range(effort(1, 12)):
        report = judge(DAMAGES[what], seed)
        assert report["verdict"] == "block", (seed, describe_reasons(report))
        caught.update(
            row["name"]
            for row in report["checks"]
            if row["verdict"] == "block" and row["level"] == "hard"
        )
    figure(f"{what}: " + ", ".join(f"{name} {times}" for name, times in caught.most_common()))


@pytest.mark.proof
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("what", HELD)
def test_what_nobody_can_tell_is_left_to_a_person(what, judge, effort):
    for seed in range(effort(1, 12)):
        report = judge(HELD[what], seed)
        assert report["verdict"] == "inconclusive", (seed, describe_reasons(report))


@pytest.mark.proof
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("what", HEALTHY, scope="module")
def test_no_healthy_change_is_stopped(what, judge, effort, figure):
    rebuilds = effort(1, 23)  # thirteen changes: about 300 rebuilds
    for seed in range(rebuilds):
        report = judge(HEALTHY[what], seed)
        assert report["verdict"] == "pass", (seed, describe_reasons(report))
    figure(f"{what}: {rebuilds} passed")


@pytest.mark.proof
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("what", HEALTHY, scope="module")
def test_judged_queries_stop_no_healthy_change(what, judge, judged_file, effort):
    for seed in range(effort(1, 3)):
        report = judge(
            HEALTHY[what], seed, judged=judged_file, samples={"judged": FEWEST.get(what, 50)}
        )
        assert report["verdict"] == "pass", (seed, describe_reasons(report))


@pytest.mark.proof
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("what", LIVING, scope="module")
@pytest.mark.parametrize("queries", [60, 200])
def test_judgments_that_grow_old_stop_no_night(what, queries, judge, corpus, tmp_path, effort):
    path = tmp_path / "some.jsonl"
    for seed in range(effort(1, 12)):
        # Queries for records that live has or will have; every tenth also has a mistyped id.
        known = judged(corpus, queries + 40)[-queries:]
        typed = [
            {**one, "relevant": [*one["relevant"], f"no such {n}"]} if n % 10 == 0 else one
            for n, one in enumerate(known)
        ]
        path.write_text("".join(json.dumps(one) + "\n" for one in typed), encoding="utf-8")
        report = judge(LIVING[what], seed, judged=str(path), samples={"judged": 40})
        assert report["verdict"] == "pass", (seed, describe_reasons(report))
        row = _row(report, "judged_quality")
        assert row["level"] == "hard", row
        assert any("unknown" in one for one in row["facts"]["left_out"])
        assert any("no record has these ids" in said for said in report["warnings"])


def test_relevant_records_that_were_lost_on_the_way_are_a_loss(judge, judged_file):
    report = judge(DAMAGES["a tenth of the points missing"], 0, judged=judged_file)
    row = _row(report, "judged_quality")
    assert row["verdict"] == "block", describe_reasons(report)
    assert any("lost" in one for one in row["facts"]["left_out"])


@pytest.mark.proof
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("what", MEANINGLESS)
def test_vectors_that_tell_nothing_apart_are_below_the_default_floor(what, judge, effort):
    for seed in range(effort(1, 12)):
        report = judge(MEANINGLESS[what], seed, queries="titles")
        assert _row(report, "min_top_score")["verdict"] == "block", (
            seed,
            describe_reasons(report),
        )


@pytest.mark.proof
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("what", HEALTHY, scope="module")
def test_the_default_floor_stops_no_healthy_change(what, judge, effort):
    for seed in range(effort(1, 12)):
        named = (
            "titles"
            if seed % 2 == 0
            else ["read a csv file", "parse command line arguments", "send a mail"]
        )
        report = judge(HEALTHY[what], seed, queries=named)
        assert report["verdict"] == "pass", (seed, describe_reasons(report))


@pytest.mark.proof
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("what", DOUBTFUL)
def test_what_nobody_can_have_meant_waits_for_a_person_with_the_texts_side_by_side(
    what, judge, effort
):
    """If very many vectors become one, the index also finds too few of them, which blocks."""
    for seed in range(effort(1, 12)):
        report = judge(DOUBTFUL[what], seed)
        assert report["verdict"] != "pass", seed
        row = _row(report, "collapse")
        assert (row["verdict"], row["facts"]["live_distinct"] > 0) == ("inconclusive", True), seed


@pytest.mark.proof
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("queries", [0, 60, 200])
def test_no_healthy_night_of_many_in_a_row_is_stopped(
    queries, judge, corpus, size, tmp_path, effort, figure
):
    """The judged queries are those of the first day. Their records are edited and leave, as in a
    real index."""
    path = tmp_path / "judged.jsonl"
    path.write_text(
        "".join(json.dumps(one) + "\n" for one in judged(corpus[:size], queries)), encoding="utf-8"
    )
    validation = {"judged": str(path)} if queries else {}
    nights = list(islice(days(corpus[:size], corpus[size:], seed=queries), effort(3, 30)))
    for number, (before, now) in enumerate(nights):
        report = judge(
            lambda r, live=before, new=now: replace(r, live=live, source=new, written=new),
            number,
            **validation,
        )
        assert report["verdict"] == "pass", (number, describe_reasons(report))
    figure(f"{len(nights)} healthy nights in a row with {queries} judged queries: none stopped")


@pytest.mark.parametrize("what", UNSEEN, scope="module")
def test_what_was_asked_for_and_is_worse_passes_without_judged_queries_and_the_report_says_so(
    what, judge
):
    report = judge(UNSEEN[what][0], 0)
    assert report["verdict"] == ("inconclusive" if what in DOUBTFUL else "pass"), describe_reasons(
        report
    )
    assert any(
        said.startswith("no judged queries: whether answers got worse")
        for said in report["warnings"]
    )


@pytest.mark.parametrize("what", UNSEEN, scope="module")
def test_judged_queries_block_it_and_the_report_names_the_cause(what, judge, judged_file):
    change, cause = UNSEEN[what]
    report = judge(change, 0, judged=judged_file)
    blocked = {row["name"] for row in report["checks"] if row["verdict"] == "block"}
    assert (report["verdict"], "judged_quality" in blocked) == ("block", True), describe_reasons(
        report
    )
    assert report["attribution"]["cause"] == cause
    assert len(report["worst"]) == 5
    assert all(worst["live"] and worst["green"] and worst["relevant"] for worst in report["worst"])


@pytest.mark.proof
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("queries", ["none", "judged"])
@pytest.mark.parametrize("what", AS_SEARCHED)
def test_an_index_is_judged_by_what_people_find_as_they_search(
    what, queries, judge, judged_file, effort, figure
):
    change, search, expected = AS_SEARCHED[what]
    asked = {"judged": judged_file} if queries == "judged" else {}
    for seed in range(effort(1, 6)):
        report = judge(change, seed, search=search, **asked)
        assert report["verdict"] == expected, (seed, describe_reasons(report))
    recall = next(row["value"] for row in report["checks"] if row["name"] == "ann_recall@10")
    figure(f"{what}, {queries}: recall {recall:.3f}")


def test_a_bad_index_is_named_as_the_cause(judge, judged_file):
    report = judge(DAMAGES["HNSW built with m=2, ef_construct=4"], 0, judged=judged_file)
    assert (report["verdict"], report["attribution"]["cause"]) == ("block", "index"), (
        describe_reasons(report)
    )


def test_the_same_seed_finds_the_same_and_another_takes_another_sample(store, lay_change, tmp_path):
    """Both judgments use one collection, because an index that is built again has another graph."""
    laid = lay_change(DAMAGES["noise added to vectors"], 0)
    one, same, other = (gate(store, laid, tmp_path, {"seed": seed}) for seed in (3, 3, 4))
    assert _without_times(one) == _without_times(same)
    assert one["verdict"] == other["verdict"] == "block"
    assert _row(one, "round_trip")["detail"] != _row(other, "round_trip")["detail"]


def _row(report, name):
    return next(row for row in report["checks"] if row["name"] == name)


def _without_times(report):
    """Removes times and the server's memory, which no seed repeats."""
    measured = {"latency_p50", "latency_p95", "capacity"}
    rows = [row for row in report["checks"] if row["name"] not in measured]
    return {**report, "checks": rows, "seconds": None}
