"""The gate's settings in an index file, and the messages for invalid ones."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.gate.checks import CHECKS
from qdrant_rollouts.core.gate.checks.asked import check_validation


def spec(**validation: Any) -> IndexSpec:
    return IndexSpec.model_validate({"validation": validation})


@pytest.mark.parametrize(
    ("checks", "words"),
    [
        ({"cuont": True}, "'cuont' is not a check; known: ready, count"),
        ({"slices": 0.1}, "slices needs payload fields: name them in validation.slices"),
        ({"filtered_recall@10": True}, "filtered_recall@10 needs payload fields"),
        ({"ready": 3}, "checks.ready: found 3; this check has a rule of its own and no bound"),
        ({"count": {"bound": 0}}, "checks.count: found 0; this check has a rule of its own"),
        ({"ann_recall@10": 95}, "checks.ann_recall@10: found 95; expected a bound from 0 to 1"),
        ({"judged_quality": -2}, "checks.judged_quality: found -2; expected a bound from -1 to 1"),
        ({"latency_p95": -0.1}, "checks.latency_p95: found -0.1; expected a bound from 0 to inf"),
        ({"min_results": 0}, "checks.min_results: found 0; expected a bound from 1 to inf"),
    ],
)
def test_what_cannot_be_asked_of_a_check_is_refused_in_words(
    checks: dict[str, Any], words: str
) -> None:
    with pytest.raises(Refused, match=re.escape(words)):
        check_validation(spec(checks=checks), None)


def test_every_own_bound_of_a_check_is_within_its_reach() -> None:
    for name, one in CHECKS.items():
        if one.bound is not None and not callable(one.bound):
            check_validation(
                spec(checks={name: one.bound}, slices=["lang"]),
                {"payload_schema": {"lang": {"data_type": "keyword"}}},
            )


def test_a_slice_needs_an_index_that_counts_its_values() -> None:
    live = {"payload_schema": {"lang": {"data_type": "keyword"}, "price": {"data_type": "float"}}}
    check_validation(spec(slices=["lang"]), live)
    declared = IndexSpec.model_validate(
        {
            "collection": {"payload_indexes": {"tenant": {"type": "keyword"}}},
            "validation": {"slices": ["tenant"]},
        }
    )
    check_validation(declared, None)
    for field, words in (("price", "'price' has float"), ("langs", "'langs' has no payload index")):
        with pytest.raises(Refused, match=words):
            check_validation(spec(slices=[field]), live)


def test_a_query_without_text_is_refused() -> None:
    with pytest.raises(ValidationError, match="expected text to search for"):
        spec(queries=["asyncio", " "])
