"""When the payload of a point is that of its record."""

from datetime import date
from typing import Any

import pytest

from qdrant_rollouts.core.collections.origins import are_same_values


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"x": 0.1 + 0.2}, {"x": 0.3}),
        ({"x": [1, {"y": None}]}, {"x": (1, {"y": None})}),
        ({"x": 10**19}, {"x": 10**19}),
        ({"day": "2026-11-30"}, {"day": date(2026, 11, 30)}),
    ],
)
def test_the_same_json_is_the_same(one: Any, other: Any) -> None:
    assert are_same_values(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"x": 1234567890123.0}, {"x": 1234567890124.0}),
        ({"x": 123456789012.34}, {"x": 123456789012.12}),
        ({"x": 1}, {"x": True}),
        ({"x": 1}, {"x": 1.0}),
        ({"x": 1}, {"x": "1"}),
        ({"x": None}, {}),
        ({"x": [1, 2]}, {"x": [2, 1]}),
        ({"x": {"y": 1}}, {"x": {"y": 2}}),
    ],
)
def test_another_value_or_another_type_is_another(one: Any, other: Any) -> None:
    assert not are_same_values(one, other)
    assert not are_same_values(other, one)
