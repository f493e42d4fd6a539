"""A side that has lost much may be broken, so a person looks before it is deleted elsewhere."""

import pytest

from qdrant_rollouts.core.deployments.steps.losses import are_many_gone


@pytest.mark.parametrize(
    ("gone", "points", "many"),
    [
        (100, 100, False),  # a small index may lose everything
        (101, 500, True),
        (101, 1010, False),
        (1_000, 10_000, False),
        (1_001, 10_000, True),
        (-5, 10_000, False),
    ],
)
def test_much_is_gone_if_it_is_many_points_and_a_large_share(gone, points, many):
    assert are_many_gone(gone, points) is many
