"""The worst queries of a gate: what became of each answer."""

from qdrant_rollouts.interfaces.http.pages.worst_queries import compare_worst


def answers(*ids):
    return [{"id": id, "record": f"r{id}", "text": "text", "score": 0.5} for id in ids]


def compared(live, green, relevant=()):
    worst = {"query": "q", "vector": "", "loss": 0.5, "live": live, "green": green}
    (found,) = compare_worst({"worst": [{**worst, "relevant": list(relevant)}]})
    return found


def marks(side):
    return [(answer.record, answer.change.mark) for answer in side.answers]


def test_each_answer_says_whether_it_moved_was_lost_or_is_new():
    found = compared(answers(1, 2, 3, 4), answers(3, 2, 9, 1))
    live, new = found.sides
    assert marks(live) == [("r1", "↓3"), ("r2", "="), ("r3", "↑2"), ("r4", "lost")]
    assert marks(new) == [("r3", "↑2"), ("r2", "="), ("r9", "new"), ("r1", "↓3")]
    assert found.summary == "1 lost, 1 new, 2 moved"
    assert [answer.change.words for answer in new.answers] == [
        "2 places up",
        "at the same place",
        "not among live's answers",
        "3 places down",
    ]


def test_a_judged_answer_is_marked_on_both_sides():
    found = compared(answers(1, 2), answers(2), relevant=["2"])
    assert [[answer.judged for answer in side.answers] for side in found.sides] == [
        [False, True],
        [True],
    ]
    assert found.sides[1].answers[0].change.words == "1 place up"


def test_without_a_live_collection_nothing_is_new():
    found = compared(None, answers(1, 2))
    assert found.sides[0].answers is None
    assert marks(found.sides[1]) == [("r1", ""), ("r2", "")]
    assert found.summary == "2 answers"


def test_the_same_answers_are_told_so():
    assert compared(answers(1, 2), answers(1, 2)).summary == "the same answers"


def test_a_report_of_an_older_release_has_none():
    assert compare_worst({"verdict": "pass"}) == []
