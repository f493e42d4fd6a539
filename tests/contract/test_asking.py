"""One query on two versions, and the proposal of judged queries, on each database."""

import json
import threading

import pytest
from sqlalchemy import func, select
from starlette.testclient import TestClient

from qdrant_rollouts.adapters.qdrant_local import LocalStore
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.database.judgment_rows import JudgmentRow
from qdrant_rollouts.core.errors import AppError, Malformed, Refused, Unavailable, Unknown
from qdrant_rollouts.core.gate.evidence.judged import read_judged
from qdrant_rollouts.core.operations.asking import judgments
from qdrant_rollouts.core.operations.asking.bounds import MOST_LINES
from qdrant_rollouts.core.operations.asking.compare import compare_answers
from qdrant_rollouts.interfaces.http.app import make_app
from tests.two_versions import sides

QUERY = "text 7 about asyncio and python"


def ask(world, query=QUERY, **given):
    return compare_answers(world.services, "docs", query, **given)


def judge(world, query=QUERY, relevant=(7,), reason="it is the one", actor="anna"):
    return judgments.add_judgment(
        world.services, "docs", query, list(relevant), actor=actor, reason=reason
    )


def proposal(world):
    return judgments.read_proposal(world.services, "docs")


def judgment_events(world):
    rows = world.list_events("docs", 50)
    return [row["event"] for row in rows if row["event"].startswith("judgment.")]


class Watched:
    """A store that notes which threads ask what there is."""

    def __init__(self, store):
        self._store = store
        self.asked_by = set()

    def __getattr__(self, name):
        if name in ("aliases", "collections"):
            self.asked_by.add(threading.current_thread().name)
        return getattr(self._store, name)


def test_what_is_judged_is_shown_without_waiting_for_qdrant(versions):
    """Only the watcher in the background asks it."""
    judge(versions)
    watched = Watched(versions.store)
    versions.over(watched)
    app = make_app(versions.services, Settings(_env_file=None))
    web = TestClient(app, base_url="http://localhost:8600", client=("127.0.0.1", 50000))
    for path in ("judged", "judged.jsonl", "ask"):
        assert web.get(f"/indexes/docs/{path}").status_code == 200
    assert web.get("/api/v1/indexes/docs/judged").json()["lines"]
    assert watched.asked_by == {"store snapshot"}
    assert web.get("/indexes/nosuch/judged").status_code == 404


# --- asking ---------------------------------------------------------------------------------------


def test_each_version_is_asked_with_its_own_model_and_the_rest_is_compared(versions):
    live, other = sides(versions)
    found = ask(versions, limit=5)
    assert [(side["collection"], side["name"]) for side in (found["left"], found["right"])] == [
        (live, "live"),
        (other, "v2"),
    ]
    assert [side["model"] for side in (found["left"], found["right"])] == [
        "hashing:64",
        "hashing:48",
    ]
    for side in (found["left"], found["right"]):
        assert side["error"] == ""
        assert [one["rank"] for one in side["answers"]] == [1, 2, 3, 4, 5]
        assert side["answers"][0]["record"] == 7
        assert side["answers"][0]["text"] == QUERY
        assert side["search_seconds"] > 0
    assert found["left"]["answers"][0]["mark"] == "same"
    both = found["counts"]["both"]
    assert found["summary"].startswith(f"{both} of 5 in both")


def test_the_left_side_is_what_the_router_answers_and_nothing_is_written(versions):
    before = versions.store.collections(), versions.store.aliases()
    events = versions.list_events("docs", 50)
    found = ask(versions)
    with versions.open_router() as router:
        answer = router.search("docs", QUERY)
    assert [one["record"] for one in found["left"]["answers"]] == [
        hit.payload["id"] for hit in answer.results
    ]
    assert (versions.store.collections(), versions.store.aliases()) == before
    assert versions.list_events("docs", 50) == events


def test_versions_are_named_by_number_and_collection_and_no_other_collection_is_asked(versions):
    live, other = sides(versions)
    found = ask(versions, left="v2", right=live)
    assert (found["left"]["number"], found["right"]["live"]) == (2, True)
    assert ask(versions, right="1")["left"]["collection"] == other
    assert ask(versions, left="live", right="v2")["left"]["collection"] == live
    versions.store.create("secrets", versions.store.schema(live), {})
    for named in ("secrets", "3", "_"):
        with pytest.raises(Unknown, match="docs has no version"):
            ask(versions, right=named)
    with pytest.raises(Malformed, match="the same version"):
        ask(versions, left="1", right=live)


def test_what_a_running_deployment_has_built_is_asked_first(versions):
    deployment = versions.deploy("docs")
    versions.run(until=versions.at(deployment, "validate"))
    assert ask(versions)["right"]["number"] == 3


def test_a_collection_that_is_gone_is_a_sentence_on_its_side(versions):
    _, other = sides(versions)
    versions.store.drop(other)
    found = ask(versions, right="2")
    assert "no longer exists" in found["right"]["error"]
    assert len(found["left"]["answers"]) == 10
    assert (found["summary"], found["counts"]) == ("Only live answered", None)
    assert ask(versions)["right"] is None


def test_a_model_that_does_not_answer_is_a_sentence_on_its_side(versions):
    opened = versions.services.embedder

    def refuse(spec):
        if spec.model == "hashing:48":
            raise Refused("hashing:48 cannot be opened: install it")
        return opened(spec)

    versions.change_services(embedder=refuse)
    found = ask(versions)
    assert found["right"]["error"] == "hashing:48 cannot be opened: install it"
    assert (found["right"]["answers"], len(found["left"]["answers"])) == ([], 10)


class Away(LocalStore):
    """A server that does not answer."""

    def __init__(self):
        """Nothing is opened."""

    def aliases(self):
        raise Unavailable("Qdrant did not answer")

    collections = aliases

    def close(self):
        """Nothing was opened."""


def test_without_qdrant_both_sides_say_so(versions):
    store = versions.store
    versions.over(Away())
    try:
        found = ask(versions)
    finally:
        versions.over(store)
    assert [found[side]["error"] for side in ("left", "right")] == ["Qdrant did not answer"] * 2
    assert found["left"]["live"]
    assert found["summary"] == "No version answered"


# --- the proposal ---------------------------------------------------------------------------------


def test_a_query_has_one_line_that_the_next_judgment_replaces(versions):
    assert judge(versions, relevant=[7, 8, 7]) == {"alias": "docs", "changed": 1, "lines": 1}
    assert judge(versions, relevant=[7, 8])["changed"] == 0, "the same once more"
    judge(versions, f" {QUERY} ", relevant=["seven"], reason="better", actor="bert")
    (line,) = proposal(versions)["lines"]
    assert (line["query"], line["relevant"], line["reason"], line["by"]) == (
        QUERY,
        ["seven"],
        "better",
        "bert",
    )
    assert judgment_events(versions) == ["judgment.replaced", "judgment.added"]


def test_a_line_is_taken_out_once(versions):
    judge(versions)
    out = judgments.take_out_judgment(versions.services, "docs", QUERY, actor="anna")
    assert out == {"alias": "docs", "changed": 1, "lines": 0}
    assert proposal(versions)["lines"] == []
    assert judgment_events(versions)[0] == "judgment.taken_out"
    with pytest.raises(Unknown, match="has no line"):
        judgments.take_out_judgment(versions.services, "docs", QUERY, actor="anna")


def test_the_download_is_what_the_judged_file_takes(versions):
    judge(versions, relevant=[7, "8", "größer"])
    judge(versions, 'say "hi"\nthere', relevant=[1])
    judgments.add_judgment(
        versions.services, "docs", "graded", {"a": 2.0, "b": 0}, actor="anna", reason="by hand"
    )
    old = '{"query": "an old one", "relevant": [3]}\n'
    (versions.folder / "judged.jsonl").write_text(old + proposal(versions)["jsonl"])
    read = read_judged(versions.services.source("jsonl:judged.jsonl"))
    assert {one.query: sorted(one.names.values()) for one in read} == {
        "an old one": ["3"],
        QUERY: ["7", "8", "größer"],
        'say "hi"\nthere': ["1"],
        "graded": ["a", "b"],
    }
    embedding = versions.indexes["docs"].models[0].model_dump(exclude={"vector"})
    versions.declare(
        "docs", source="live", embedding=embedding, validation={"judged": "judged.jsonl"}
    )
    deployment = versions.deploy("docs")
    warned = [e["detail"] for e in versions.status(deployment)["events"] if e["event"] == "warning"]
    assert any("4 judged queries are fewer than" in text for text in warned)


def test_what_the_file_has_is_known_and_not_in_the_download(versions):
    judge(versions)
    judge(versions, "another")
    line = json.dumps({"query": QUERY, "relevant": [5]})
    (versions.folder / "judged.jsonl").write_text(f"{line}\n")
    versions.declare("docs", validation={"judged": "judged.jsonl"})
    found = proposal(versions)
    assert {one["query"]: one["known"] for one in found["lines"]} == {QUERY: True, "another": False}
    assert found["jsonl"] == '{"query": "another", "relevant": [7]}\n'
    with pytest.raises(Refused, match=r"already judged in judged\.jsonl"):
        judge(versions)
    out = judgments.take_out_known(versions.services, "docs", actor="anna", reason="appended")
    assert (out["changed"], out["lines"]) == (1, 1)


def test_a_file_that_cannot_be_read_hides_nothing(versions):
    versions.declare("docs", validation={"judged": "missing.jsonl"})
    judge(versions)
    found = proposal(versions)
    assert "missing.jsonl" in found["unread"]
    assert len(found["jsonl"].splitlines()) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"relevant": []}, "mark at least one"),
        ({"relevant": list(range(101))}, "at most 100"),
        ({"relevant": ["x" * 6000, "y" * 6000]}, "at most 10,000"),
        ({"relevant": [1.5]}, "not a record id"),
        ({"relevant": ["a\0"]}, "NUL"),
        ({"relevant": ["\ud800"]}, "half a character"),
        ({"relevant": {"\ud800": 1.0}}, "half a character"),
        ({"query": " "}, "query is empty"),
        ({"reason": ""}, "has a reason"),
    ],
)
def test_what_the_judged_file_would_not_take_is_refused_at_once(versions, given, said):
    with pytest.raises(Malformed, match=said):
        judge(versions, **given)
    assert proposal(versions)["lines"] == []


def test_only_a_known_index_has_a_proposal(versions):
    with pytest.raises(Unknown):
        judgments.add_judgment(versions.services, "nosuch", "q", [1], actor="a", reason="r")


def test_people_who_judge_at_once_lose_nothing_and_fill_no_more_than_may_be(versions):
    with versions.services.sessions.begin() as session:
        now = versions.services.clock.now(session)
        rest = {"relevant": [1], "reason": "r", "actor": "a", "at": now}
        session.add_all(
            JudgmentRow(alias="docs", digest=judgments.digest_query(f"q{n}"), query=f"q{n}", **rest)
            for n in range(MOST_LINES - 2)
        )
    refused = []

    def work(query):
        try:
            judge(versions, query)
        except AppError as error:
            refused.append(str(error))

    asked = ["one", "one", "one", "two", "three", "four"]
    threads = [threading.Thread(target=work, args=(query,)) for query in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with versions.services.sessions() as session:
        mine = select(func.count()).select_from(JudgmentRow).where(JudgmentRow.alias == "docs")
        assert session.scalar(mine) == MOST_LINES
    assert judgment_events(versions) == ["judgment.added"] * 2
    assert refused
    assert all("has 1,000 lines" in text for text in refused)
