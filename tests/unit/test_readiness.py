"""One look at an index: ready, not yet, asleep, or broken."""

import pytest

from qdrant_rollouts.core.collections.readiness import (
    Readiness,
    count_vectors,
    find_failure,
    judge_readiness,
    watch,
    why_unable_to_serve,
)
from qdrant_rollouts.core.ports import Health

SCHEMA = {
    "params": {"vectors": {"size": 256, "distance": "Dot"}},
    "optimizer_config": {"indexing_threshold": 100},
    "hnsw_config": {"m": 16},
}


def health(**seen):
    finished = {
        "status": "green",
        "optimizer": "ok",
        "points": 5_000,
        "indexed_vectors": 4_900,
        "segments": 2,
    }
    return Health(**(finished | seen))


def test_a_finished_collection_is_ready():
    assert judge_readiness(SCHEMA, health(optimizing=0, queued=0, deferred=0), 5_000) == Readiness(
        ready=True
    )


def test_a_server_too_old_to_tell_of_its_queues_is_believed():
    assert judge_readiness(SCHEMA, health(), 5_000).ready


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        ({"status": "yellow"}, "status yellow: the server is optimizing"),
        ({"optimizing": 3}, "3 optimizations running or queued"),
        ({"queued": 1_200}, "1,200 updates queued"),
        ({"deferred": 7}, "7 points deferred, hidden from search"),
        ({"indexed_vectors": 4_799}, "4,799 of 5,000 vectors indexed, at least 4,800 must be"),
        ({"indexed_vectors": 0}, "0 of 5,000 vectors indexed, at least 4,800 must be"),
    ],
)
def test_what_is_unfinished_is_said_in_words(seen, reason):
    assert judge_readiness(SCHEMA, health(**seen), 5_000) == Readiness(ready=False, reason=reason)


def test_a_collection_that_will_not_begin_by_itself_is_asleep():
    seen = judge_readiness(SCHEMA, health(status="grey"), 5_000)

    assert (seen.ready, seen.broken, seen.asleep) == (False, False, True)
    assert "not begun" in seen.reason


NO_ROOM = (
    "Service internal error: Not enough space available for optimization, needed: 134 MiB, "
    "available: 9 MiB"
)


@pytest.mark.parametrize(
    "seen", [{"status": "red"}, {"optimizer": NO_ROOM}, {"optimizer": "what nobody has met yet"}]
)
def test_a_collection_that_fails_may_mend_and_says_why(seen):
    found = judge_readiness(SCHEMA, health(**seen), 5_000)

    assert (found.ready, found.broken, found.failing) == (False, False, True)
    assert all(str(value) in found.reason for value in seen.values())


@pytest.mark.parametrize(
    "said",
    [
        "Optimization task panicked, collection may be in unstable state",
        "Service internal error: Inconsistent storage: segment 3",
        "CRC mismatch at offset 12",
        "Read-only file system (os error 30)",
    ],
)
def test_what_cannot_mend_by_itself_is_broken(said):
    found = judge_readiness(SCHEMA, health(status="red", optimizer=said), 5_000)

    assert (found.ready, found.broken, found.failing) == (False, True, False)


class Shows:
    """A server that shows these, one after another; ``woken`` counts."""

    def __init__(self, *healths):
        self.healths = list(healths)
        self.woken = 0

    def collections(self):
        return ["docs"]

    def health(self, collection):
        return self.healths.pop(0) if len(self.healths) > 1 else self.healths[0]

    def schema(self, collection):
        return SCHEMA

    def count(self, collection, having=None):
        return 5_000

    def wake(self, collection):
        self.woken += 1


def failing(failures, **seen):
    return health(
        **{"status": "red", "optimizer": NO_ROOM, "optimizing": 0, "failures": failures, **seen}
    )


def watched(server, failures=None):
    return watch(server, "docs", SCHEMA, server.health("docs"), failures)


def test_an_error_is_over_once_all_is_indexed_and_nothing_failed_anew():
    server = Shows(failing(3), failing(3))

    assert watched(server) == Readiness(ready=True)
    assert server.woken == 1
    assert find_failure(server, "docs") is None


@pytest.mark.parametrize(
    ("then", "before", "says"),
    [
        (failing(4), None, NO_ROOM),
        (failing(3), 2, NO_ROOM),
        (failing(3, indexed_vectors=0), None, "0 of 5,000 vectors indexed"),
        (failing(3, optimizing=None), None, NO_ROOM),
        (failing(3, whole=False), None, NO_ROOM),
        (health(status="red", optimizer="ok", optimizing=0, failures=3), None, "status red"),
    ],
)
def test_an_error_is_not_over_where_something_failed_anew_or_is_missing_or_nobody_tells(
    then, before, says
):
    found = watched(Shows(failing(3), then), before)

    assert (found.ready, found.broken, found.failing) == (False, False, True)
    assert says in found.reason


def test_a_server_that_is_at_work_is_not_woken_and_does_not_fail():
    server = Shows(failing(3, optimizing=1))

    assert watched(server) == Readiness(ready=False, reason="1 optimizations running or queued")
    assert find_failure(server, "docs") is None
    assert server.woken == 0


def test_a_server_that_forgets_its_error_when_it_is_woken_is_believed():
    assert watched(Shows(failing(None), health(optimizing=0))) == Readiness(ready=True)


def test_a_server_that_is_broken_is_not_woken():
    server = Shows(failing(1, optimizer="Optimization task panicked"))

    assert watched(server).broken
    assert server.woken == 0


def test_green_with_nothing_indexed_is_ready_only_if_no_index_is_wanted():
    without = SCHEMA | {"optimizer_config": {"indexing_threshold": 0}}

    assert judge_readiness(without, health(indexed_vectors=0), 5_000).ready
    assert not judge_readiness(SCHEMA, health(indexed_vectors=0), 5_000).ready


def test_an_empty_collection_is_ready():
    assert judge_readiness(SCHEMA, health(points=0, indexed_vectors=0), 0).ready


def test_sparse_vectors_do_not_pass_for_dense_ones():
    """The server counts both in one number, and sparse ones at once."""
    schema = SCHEMA | {"params": {**SCHEMA["params"], "sparse_vectors": {"words": {}}}}
    counts = {"": 5_000, "words": 5_000}

    vectors = count_vectors(schema, counts.__getitem__)

    assert vectors == 10_000
    assert not judge_readiness(schema, health(indexed_vectors=5_000), vectors).ready
    assert judge_readiness(schema, health(indexed_vectors=9_900), vectors).ready


def test_a_collection_that_is_gone_can_serve_no_search():
    gone = find_failure(Shows(failing(0)), "old")
    assert why_unable_to_serve("old", gone) == "old does not exist any more"


def test_an_index_that_only_fails_can_still_serve():
    assert not why_unable_to_serve("docs", Readiness(ready=False, failing=True, reason="no space"))
    assert not why_unable_to_serve("docs", None)
