"""Backups in a directory: pieces that may come twice, a manifest that is there whole or not at all."""

import hashlib

import numpy as np
import pytest

from adapters.shelf import FolderShelf
from core import manifests
from core.errors import Refused
from core.manifests import Manifest
from core.ports import Point


@pytest.fixture
def shelf(tmp_path):
    return FolderShelf(tmp_path / "backups")


def manifest(backup="one", **settings):
    told = {
        "id": backup,
        "alias": "docs",
        "collection": "docs_1",
        "number": 1,
        "created_at": "2026-11-02T02:00:00Z",
        "actor": "anna",
        "reason": "",
        "server": "1.16.3",
        "metadata": {},
        "schema": {},
        "low": 3,
        "high": 3,
        "sample": [[1, "a"], [2**64 - 1, "b"], ["c0ffee", "c"]],
        "files": [{"name": "a.snapshot", "size": 4, "sha256": hashlib.sha256(b"abcd").hexdigest()}],
        "settings": {},
    }
    return Manifest(**{**told, **settings})


def test_pieces_in_any_order_and_twice_make_the_file(shelf):
    for start, piece in ((2, b"cd"), (0, b"ab"), (2, b"cd")):
        shelf.write("one", "a.snapshot", start, piece)

    assert b"".join(shelf.read("one", "a.snapshot")) == b"abcd"
    assert shelf.size("one", "a.snapshot") == 4
    assert manifests.damage(shelf, manifest()) == ""


def test_a_folder_without_a_manifest_is_no_backup(shelf):
    shelf.write("one", "a.snapshot", 0, b"abcd")

    assert shelf.backups() == []
    with pytest.raises(Refused, match="there is no backup one"):
        shelf.manifest("one")

    shelf.seal("one", manifest().text())
    assert shelf.backups() == ["one"]
    assert manifests.read(shelf, "one") == manifest()


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
    with pytest.raises(Refused, match="is no file's name"):
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

    assert said in manifests.damage(shelf, manifest())


def test_a_manifest_in_which_anything_was_changed_is_refused():
    text = manifest().text()
    for old, new in (
        ('"high": 3', '"high": 4'),
        ('"actor": "anna"', '"actor": "bert"'),
        ("}", ""),
        ('"seal"', '"sael"'),
    ):
        changed = text.replace(old, new, 1)
        assert changed != text
        with pytest.raises(Refused, match="backup one is damaged"):
            Manifest.of(changed, "one")


def test_a_manifest_in_the_folder_of_another_backup_is_refused():
    with pytest.raises(Refused, match="its manifest is that of two"):
        Manifest.of(manifest("two").text(), "one")


def test_digests_do_not_depend_on_the_way_a_point_came():
    one = Point(1, np.array([0.1, 0.2], dtype=np.float32), {"n": 0.1 + 0.2, "list": [1, True, None]})
    other = Point(1, [float(np.float32(0.1)), float(np.float32(0.2))], {"list": [1, True, None], "n": 0.3})
    assert manifests.digests([one]) == manifests.digests([other])


@pytest.mark.parametrize(
    "changed",
    [
        Point(1, [0.1, 0.3], {"n": 1}),
        Point(1, [0.1, 0.2], {"n": 2}),
        Point(1, [0.1, 0.2], {"n": "1"}),
        Point(1, {"text": [0.1, 0.2]}, {"n": 1}),
    ],
)
def test_a_digest_changes_with_the_vector_and_the_payload(changed):
    assert manifests.digests([changed]) != manifests.digests([Point(1, [0.1, 0.2], {"n": 1})])


def test_a_sparse_vector_has_one_digest_whatever_the_order_of_its_numbers():
    one = Point(1, {"words": {"indices": [5, 2], "values": [0.5, 0.25]}}, {})
    other = Point(1, {"words": {"indices": [2, 5], "values": [0.25, 0.5]}}, {})
    assert manifests.digests([one]) == manifests.digests([other])
