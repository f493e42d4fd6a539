"""The manifest of a backup: every change is noticed, and a point has one digest however it was
read."""

import numpy as np
import pytest

from qdrant_rollouts.core.collections import digests
from qdrant_rollouts.core.collections.manifests import Manifest
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Point
from tests.backups import manifest


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
    one = Point(
        1, np.array([0.1, 0.2], dtype=np.float32), {"n": 0.1 + 0.2, "list": [1, True, None]}
    )
    other = Point(
        1, [float(np.float32(0.1)), float(np.float32(0.2))], {"list": [1, True, None], "n": 0.3}
    )
    assert digests.digest_points([one]) == digests.digest_points([other])


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
    assert digests.digest_points([changed]) != digests.digest_points(
        [Point(1, [0.1, 0.2], {"n": 1})]
    )


def test_a_sparse_vector_has_one_digest_whatever_the_order_of_its_numbers():
    one = Point(1, {"words": {"indices": [5, 2], "values": [0.5, 0.25]}}, {})
    other = Point(1, {"words": {"indices": [2, 5], "values": [0.25, 0.5]}}, {})
    assert digests.digest_points([one]) == digests.digest_points([other])
