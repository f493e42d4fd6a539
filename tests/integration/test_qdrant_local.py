"""The embedded store in a real folder: what it keeps, and which process may have it open."""

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rollouts.adapters.qdrant import open_store
from qdrant_rollouts.adapters.qdrant_local import LocalStore
from qdrant_rollouts.core.collections.schema import dense_names, list_differences
from qdrant_rollouts.core.errors import Busy, Refused, Unavailable
from qdrant_rollouts.core.ports import Capacity, Point, Snapshot

SCHEMA = {
    "params": {"vectors": {"size": 2, "distance": "Dot"}, "on_disk_payload": True},
    "hnsw_config": {"m": 32},
    "payload_schema": {"n": {"data_type": "integer"}},
}


def test_everything_is_there_again_when_the_folder_is_opened_again(tmp_path):
    first = LocalStore(tmp_path / "qdrant")
    first.create("docs", SCHEMA, {"deployment": "d1"})
    first.upsert("docs", [Point(1, [1, 2], {"n": 1})])
    first.point_alias("live", "docs")
    schema = first.schema("docs")
    first.close()

    again = LocalStore(tmp_path / "qdrant")

    assert again.aliases() == {"live": "docs"}
    assert again.schema("docs") == schema
    assert list_differences(SCHEMA, schema) == []
    assert again.metadata("docs") == {"deployment": "d1"}
    assert [
        (point.id, point.vector.tolist(), point.payload)
        for point in again.fetch("live", [1], vectors=True)
    ] == [(1, [1, 2], {"n": 1})]
    again.close()


def test_what_a_process_wrote_before_it_was_killed_is_there(tmp_path):
    killed = LocalStore(tmp_path / "qdrant")
    killed.create("docs", SCHEMA, {})
    killed.upsert("docs", [Point(i, [1, i], {}) for i in range(10)])
    files = {
        path.relative_to(tmp_path): path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    for name, content in files.items():
        (tmp_path / "left" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "left" / name).write_bytes(content)

    left = LocalStore(tmp_path / "left/qdrant")

    assert left.count("docs") == 10
    left.close()
    killed.close()


def test_a_folder_that_is_open_elsewhere_is_busy_and_the_message_says_what_to_do(tmp_path):
    one = LocalStore(tmp_path / "qdrant")
    other = LocalStore(tmp_path / "qdrant")
    one.aliases()

    with pytest.raises(
        Busy, match=r"qdrant is open in another process.*rollouts up.*ROLLOUTS_QDRANT_URL"
    ):
        other.aliases()

    one.close()
    assert other.aliases() == {}
    other.close()


# The client leaves its lock file to the garbage collector when it cannot have the lock.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_folder_that_another_client_has_open_is_busy(tmp_path):
    foreign = QdrantClient(path=str(tmp_path / "qdrant"))

    with pytest.raises(Busy):
        LocalStore(tmp_path / "qdrant").aliases()

    foreign.close()


def test_a_collection_that_another_client_made_can_be_read_and_cloned(tmp_path):
    foreign = QdrantClient(path=str(tmp_path / "qdrant"))
    foreign.create_collection(
        "theirs", {"text": models.VectorParams(size=2, distance=models.Distance.DOT)}
    )
    foreign.upsert(
        "theirs", [models.PointStruct(id=1, vector={"text": [1.0, 2.0]}, payload={"a": 1})]
    )
    foreign.close()
    store = LocalStore(tmp_path / "qdrant")

    schema = store.schema("theirs")
    store.create("ours", schema, {})
    store.copy("theirs", "ours", None, 5)

    assert dense_names(schema) == ["text"]
    assert list_differences(schema, store.schema("ours")) == []
    assert store.count("ours") == 1
    store.close()


def test_a_folder_that_cannot_be_one_is_unavailable_by_its_name(tmp_path):
    (tmp_path / "qdrant").write_text("a file")

    with pytest.raises(Unavailable, match="qdrant cannot be read or written"):
        LocalStore(tmp_path / "qdrant").aliases()


def test_what_needs_a_server_is_refused_with_the_setting_that_names_one():
    store = LocalStore(":memory:")
    store.create("docs", SCHEMA, {})

    for ask in (
        lambda: store.make_snapshot("docs", 1),
        lambda: store.check_recovery("docs", "docs"),
        lambda: store.recover("docs", "docs", Snapshot("a.snapshot", 0, ""), 1),
    ):
        with pytest.raises(Refused, match="needs a Qdrant server: set ROLLOUTS_QDRANT_URL"):
            ask()


def test_a_field_whose_values_cannot_be_sorted_is_refused_by_a_facet():
    """A server counts the values of the index's type; local mode would fail on a comparison."""
    store = LocalStore(":memory:")
    store.create("docs", SCHEMA, {})
    store.upsert("docs", [Point(1, [1, 2], {"n": 1}), Point(2, [1, 2], {"n": "one"})])

    with pytest.raises(Refused, match="n of docs: its values are of several types"):
        store.facet("docs", "n", 5)


def test_an_embedded_store_does_not_tell_a_capacity():
    assert LocalStore(":memory:").capacity() == Capacity()


def test_more_points_than_local_mode_likes_are_taken_without_a_warning(tmp_path):
    """Warnings are errors in this test run; local mode warns beyond 20,000 points, when written and
    when opened."""
    store = LocalStore(tmp_path / "qdrant")
    store.create("docs", {"params": {"vectors": {"size": 1, "distance": "Dot"}}}, {})
    store.upsert("docs", [Point(i, [1], {}) for i in range(20_001)])
    store.close()

    assert store.count("docs") == 20_001
    store.close()


def test_without_a_url_the_store_is_the_embedded_one_and_opening_it_touches_nothing(tmp_path):
    store = open_store("", "", 6334, tmp_path / "qdrant")

    assert store.embedded
    assert not (tmp_path / "qdrant").exists()
