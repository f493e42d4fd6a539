"""What is sent to Qdrant as JSON."""

from typing import Any

import pytest

from qdrant_rollouts.adapters.qdrant_http import write_json
from qdrant_rollouts.core.errors import Refused


def nested(levels: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(levels):
        found = {"must": [found]}
    return found


@pytest.mark.parametrize("body", [nested(300), {"text": "half of a pair: \ud800"}])
def test_a_body_that_cannot_be_written_is_refused(body: Any) -> None:
    with pytest.raises(Refused, match="the request cannot be written as JSON"):
        write_json(body)


def test_a_number_that_json_does_not_know_is_left_to_the_server() -> None:
    assert write_json([1.5, float("nan")]) == b"[1.5,NaN]"
