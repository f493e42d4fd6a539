"""The detection matrix for collections with several vectors: a fault in one vector is blocked
whatever the other vectors are, and every healthy counterpart passes."""

import json

import pytest

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.adapters.sources import open_source
from qdrant_rollouts.core.gate import verdict
from qdrant_rollouts.core.gate.evidence.opening import open_gate
from qdrant_rollouts.core.gate.reasons import describe_reasons
from qdrant_rollouts.core.services import Services, Times
from tests.acceptance import several
from tests.acceptance.corpora import records
from tests.acceptance.vectors import embedder

SIZE = 300
#: Live collections on the server: one for each shape.
KEPT = len(several.SHAPES)
QUICK = {
    "live_searches_per_second": 10_000,
    "checks": {"latency_p50": False, "latency_p95": False},
    "samples": {"records": 200, "queries": 200},
}


@pytest.fixture(scope="module")
def store(qdrant_server):
    """Lasts for the whole file, because live collections are kept from one test to the next."""
    store = ServerStore(qdrant_server.url, grpc_port=qdrant_server.grpc_port)
    before = set(store.collections())
    yield store
    for name in set(store.collections()) - before:
        store.drop(name)
    store.close()


@pytest.fixture(scope="module")
def corpus(effort):
    return records(effort(SIZE, 2 * SIZE) * 9 // 8)


@pytest.fixture(scope="module")
def lives():
    """The live collections on the server, the latest last."""
    return []


@pytest.fixture
def judge(store, lives, tmp_path, corpus, effort):
    """Returns ``judge(shape, change, seed, …)``: the gate's report on a rebuild of that shape with
    that change. A gate changes nothing in live, so later rebuilds over the same one share it."""

    def judge(shape, change, seed, search=None, validation=None):
        rebuild = change(
            several.identical(several.SHAPES[shape], corpus, effort(SIZE, 2 * SIZE), seed)
        )
        laid = several.lay(store, rebuild, tmp_path)
        lives[:] = [*(live for live in lives if live != laid.live), laid.live]
        try:
            return gate(store, laid, tmp_path, search, validation or {})
        finally:
            store.drop(laid.green)
            for oldest in lives[:-KEPT]:
                store.drop(oldest)
            del lives[:-KEPT]

    return judge


def gate(store, laid, folder, search, validation):
    nobody = dict.fromkeys(("sessions", "clock", "indexes", "knock", "alerts", "channel", "shelf"))
    services = Services(
        **nobody,
        store=store,
        embedder=embedder,
        source=lambda text: open_source(text, roots=(folder,), store=store),
        times=Times(ready_look=0.1),
    )
    shape = laid.rebuild.shape
    memory = {}
    declared = {"validation": {**QUICK, **validation}} | ({"search": search} if search else {})
    opened = open_gate(
        services,
        laid.green,
        laid.live,
        several.spec_of(shape).with_options(declared),
        source=services.source(laid.source),
        wanted=laid.wanted,
        vector=shape.main,
        plan=shape.plan,
        filled=laid.filled,
        memory=memory,
    )
    while verdict.collect_evidence(opened, lambda: False) is not None:
        json.dumps(memory)
    return verdict.build_report(opened)


def rows(report):
    return {row["name"]: row for row in report["checks"]}


@pytest.mark.proof
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("what", several.DAMAGES)
def test_what_is_wrong_with_one_vector_is_blocked(what, judge, effort, figure):
    shape, name, damage = several.DAMAGES[what]
    for seed in range(effort(1, 8)):
        report = judge(shape, lambda rebuild: damage(rebuild, name), seed)
        blocked = [
            row["name"]
            for row in report["checks"]
            if row["verdict"] == "block" and row["level"] == "hard"
        ]
        assert report["verdict"] == "block", (seed, describe_reasons(report))
    figure(f"{what}: {', '.join(blocked)}")


@pytest.mark.proof
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("shape", several.SHAPES)
@pytest.mark.parametrize("what", several.HEALTHY)
def test_no_healthy_rebuild_of_several_vectors_is_stopped(what, shape, judge, effort):
    for seed in range(effort(1, 12)):
        report = judge(shape, several.HEALTHY[what], seed)
        assert report["verdict"] == "pass", (seed, describe_reasons(report))


@pytest.mark.proof
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("what", several.OF_ONE_SHAPE)
def test_no_healthy_change_of_one_vector_is_stopped(what, judge, effort):
    shape, change, validation = several.OF_ONE_SHAPE[what]
    for seed in range(effort(2, 12)):
        report = judge(shape, change, seed, validation=validation)
        assert report["verdict"] == "pass", (seed, describe_reasons(report))


def test_the_row_names_the_vector_whose_index_is_bad_and_has_the_others_in_its_facts(judge):
    shape, name, damage = several.DAMAGES["two dense: words with m=2, ef_construct=4"]
    row = rows(judge(shape, lambda rebuild: damage(rebuild, name), 0))["ann_recall@10"]
    assert row["verdict"] == "block"
    assert row["detail"].startswith("vector words: ")
    assert row["facts"]["vector"] == "words"
    assert row["facts"]["by_vector"]["dense"]["verdict"] == "pass"
    assert row["value"] == row["facts"]["by_vector"]["words"]["value"]


def test_queries_are_asked_as_people_ask_them_by_both_vectors(judge, corpus):
    queries = [record["title"] for record in corpus[:20]]
    report = judge(
        "hybrid",
        several.HEALTHY["identical rebuild"],
        0,
        validation={"queries": queries, "min_top_score": -1},
    )
    row = rows(report)["fusion_overlap"]
    assert (row["level"], row["verdict"], row["n"]) == ("shown", "pass", 20)
    assert row["value"] > 0.9
    assert report["verdict"] == "pass", describe_reasons(report)
