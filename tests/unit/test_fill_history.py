"""Rates between the samples of a filling."""

from datetime import UTC, datetime, timedelta

from qdrant_rollouts.core.database.history_rows import FillHistoryRow
from qdrant_rollouts.core.deployments.fill_history import measure_rates

BEGUN = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)


def sample(seconds: float, records: int, attempt: int = 1, rate: float | None = 50.0):
    at = BEGUN + timedelta(seconds=seconds)
    return FillHistoryRow(
        deployment_id="a",
        at=at,
        alias="docs",
        collection="docs_2",
        attempt=attempt,
        seen_at=at,
        records=records,
        rate=rate,
    )


def figures(*samples):
    return [(rate.records, rate.rate) for rate in measure_rates(samples)]


def test_the_first_sample_has_the_rate_that_the_step_measured():
    assert figures(sample(10, 500), sample(20, 1500)) == [(0, 50.0), (1000, None)]


def test_a_filling_that_begins_anew_has_no_negative_rate():
    again = figures(sample(10, 500), sample(20, 1500), sample(30, 200, attempt=2))
    assert again[-1] == (0, 50.0)
    in_one_pass = figures(sample(10, 1500), sample(20, 200, rate=None), sample(30, 300))
    assert in_one_pass == [(0, 50.0), (0, None), (100, None)]


def test_the_wait_for_the_index_after_the_last_record_is_no_part_of_it():
    assert len(figures(sample(10, 500), sample(20, 900), sample(30, 900), sample(40, 900))) == 2
    assert figures(sample(10, 500), sample(20, 500), sample(30, 900))[1] == (0, None)
    assert figures() == []
