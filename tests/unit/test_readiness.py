"""One look at an index: ready, not yet, asleep, or broken."""

import pytest

from qdrant_rollouts.core.collections.readiness import Look, look, stored
from qdrant_rollouts.core.ports import Health

SCHEMA = {
    "params": {"vectors": {"size": 256, "distance": "Dot"}},
    "optimizer_config": {"indexing_threshold": 100},
    "hnsw_config": {"m": 16},
}


def health(**seen):
    finished = {"status": "green", "optimizer": "ok", "points": 5_000, "indexed_vectors": 4_900, "segments": 2}
    return Health(**(finished | seen))


def test_a_finished_collection_is_ready():
    assert look(SCHEMA, health(optimizing=0, queued=0, deferred=0), 5_000) == Look(ready=True)


def test_a_server_too_old_to_tell_of_its_queues_is_believed():
    assert look(SCHEMA, health(), 5_000).ready


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
    assert look(SCHEMA, health(**seen), 5_000) == Look(ready=False, reason=reason)


def test_a_collection_that_will_not_begin_by_itself_is_asleep():
    seen = look(SCHEMA, health(status="grey"), 5_000)

    assert (seen.ready, seen.broken, seen.asleep) == (False, False, True)
    assert "not begun" in seen.reason


@pytest.mark.parametrize("seen", [{"status": "red"}, {"optimizer": "disk full"}])
def test_a_failed_collection_is_broken_and_says_why(seen):
    found = look(SCHEMA, health(**seen), 5_000)

    assert (found.ready, found.broken) == (False, True)
    assert all(str(value) in found.reason for value in seen.values())


def test_green_with_nothing_indexed_is_ready_only_if_no_index_is_wanted():
    without = SCHEMA | {"optimizer_config": {"indexing_threshold": 0}}

    assert look(without, health(indexed_vectors=0), 5_000).ready
    assert not look(SCHEMA, health(indexed_vectors=0), 5_000).ready


def test_an_empty_collection_is_ready():
    assert look(SCHEMA, health(points=0, indexed_vectors=0), 0).ready


def test_sparse_vectors_do_not_pass_for_dense_ones():
    """The server counts both in one number, and sparse ones at once."""
    schema = SCHEMA | {"params": {**SCHEMA["params"], "sparse_vectors": {"words": {}}}}
    counts = {"": 5_000, "words": 5_000}

    vectors = stored(schema, counts.__getitem__)

    assert vectors == 10_000
    assert not look(schema, health(indexed_vectors=5_000), vectors).ready
    assert look(schema, health(indexed_vectors=9_900), vectors).ready
