"""Where backups stand, a directory or a filesystem of fsspec: pieces may come twice, a manifest is
whole or not there.

The filesystems are the two that need no server; what stands behind the others is reached by the
same few calls.
"""

import random

import fsspec
import pytest

from qdrant_rollouts.adapters.shelf import open_shelf
from qdrant_rollouts.adapters.shelf_remote import RemoteShelf
from qdrant_rollouts.core.collections import manifests
from qdrant_rollouts.core.errors import Refused, Unavailable
from tests.backups import manifest

KINDS = {
    "directory": lambda folder: open_shelf(str(folder)),
    "file": lambda folder: RemoteShelf(f"file://{folder}"),
    "memory": lambda folder: RemoteShelf(f"memory://{folder}"),
}


@pytest.fixture(params=KINDS)
def shelf(request, tmp_path):
    folder = tmp_path / "backups"
    folder.mkdir()
    fsspec.filesystem("memory").mkdir(f"{folder}")
    return KINDS[request.param](folder)


def test_pieces_in_any_order_and_twice_make_the_file(shelf):
    for start, piece in ((2, b"cd"), (0, b"ab"), (2, b"cd")):
        shelf.write("one", "a.snapshot", start, piece)

    assert b"".join(shelf.read("one", "a.snapshot")) == b"abcd"
    assert shelf.size("one", "a.snapshot") == 4
    assert manifests.find_damage(shelf, manifest()) == ""


def test_a_folder_without_a_manifest_is_no_backup(shelf):
    shelf.write("one", "a.snapshot", 0, b"abcd")

    assert shelf.backups() == []
    with pytest.raises(Refused, match="there is no backup one"):
        shelf.manifest("one")

    shelf.seal("one", manifest().text())
    assert shelf.backups() == ["one"]
    assert manifests.read_manifest(shelf, "one") == manifest()


def test_what_is_dropped_is_gone_and_dropping_it_again_does_nothing(shelf):
    shelf.write("one", "a.snapshot", 0, b"abcd")
    shelf.seal("one", manifest().text())

    shelf.drop("one")
    shelf.drop("one")
    shelf.unseal("one")

    assert shelf.backups() == []
    assert shelf.size("one", "a.snapshot") == 0


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "", ".", "..", "manifest.json", "b/c"])
def test_no_manifest_leads_to_a_file_outside_its_folder(shelf, name):
    with pytest.raises(Refused, match="is not a file name"):
        shelf.size("one", name)


@pytest.mark.parametrize("backup", ["..", "a/b", ""])
def test_no_id_leads_to_another_folder(shelf, backup):
    with pytest.raises(Refused, match="is not allowed"):
        shelf.manifest(backup)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"abc", "3 bytes, 4 were written"),
        (b"abcde", "5 bytes, 4 were written"),
        (b"abcx", "another checksum"),
        (b"", "is missing"),
    ],
)
def test_what_is_not_as_it_was_written_is_told(shelf, content, said):
    if content:
        shelf.write("one", "a.snapshot", 0, content)

    assert said in manifests.find_damage(shelf, manifest())


def test_a_download_that_dies_and_goes_on_at_random_places_leaves_the_same_bytes(shelf):
    """The position is saved after the piece, so a piece may come again with another length."""
    draw = random.Random(5)
    whole = random.Random(6).randbytes(3000)
    for number in range(20):
        name = f"{number}.snapshot"
        saved = 0
        while saved < len(whole):
            at = min(saved, shelf.size("one", name))
            piece = whole[at : at + draw.randrange(1, 700)]
            shelf.write("one", name, at, piece)
            if draw.random() < 0.6:
                saved = at + len(piece)
        assert b"".join(shelf.read("one", name)) == whole
        assert shelf.size("one", name) == len(whole)


def test_a_manifest_can_be_sealed_again(shelf):
    for high in (3, 3, 4):
        shelf.seal("one", manifest(high=high, low=3).text())
        assert manifests.read_manifest(shelf, "one").high == high
    assert shelf.backups() == ["one"]


def test_nothing_on_a_shelf_that_is_not_there_yet_is_no_error(tmp_path):
    for open_ in KINDS.values():
        assert open_(tmp_path / "none").backups() == []


def test_a_filesystem_whose_package_is_missing_is_named_with_what_to_install():
    with pytest.raises(Refused, match="s3fs") as refused:
        RemoteShelf("s3://bucket/backups").backups()
    assert "qdrant-rollouts[remote]" in str(refused.value)


def test_a_filesystem_that_fails_did_not_answer_and_its_words_are_not_repeated(tmp_path):
    """They may hold an address with a signature in it."""
    (tmp_path / "backups").mkdir()
    shelf = RemoteShelf(f"file://{tmp_path}/backups")
    (tmp_path / "backups" / "one").write_text("a file, where a folder must be")
    with pytest.raises(Unavailable, match="could not be written: NotADirectoryError"):
        shelf.write("one", "a.snapshot", 0, b"abcd")
