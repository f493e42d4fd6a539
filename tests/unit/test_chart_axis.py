"""Time, cut into few intervals."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from qdrant_rollouts.core.operations.views.charts.axis import (
    MOST_INTERVALS,
    PERIODS,
    choose_window,
    cut_period,
    cut_span,
)

NOW = datetime(2026, 11, 2, 2, 34, 56, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("period", list(PERIODS))
def test_a_period_ends_with_the_last_whole_minute_in_at_most_240_intervals(period):
    axis = cut_period(NOW, PERIODS[period])
    assert axis.until == NOW.replace(second=0)
    assert 40 <= axis.count <= MOST_INTERVALS
    last = axis.begun + (axis.count - 1) * axis.window
    assert last < axis.until <= last + axis.window
    assert axis.find_interval(axis.until - MINUTE) == axis.count - 1
    assert axis.find_interval(axis.until) is None
    assert axis.find_interval(axis.begun - MINUTE) is None


def test_the_last_interval_is_measured_as_far_as_it_is_over():
    axis = cut_period(NOW, PERIODS["24h"])
    assert axis.window == timedelta(minutes=10)
    assert axis.measure_minutes(axis.count - 1) == 4
    assert axis.measure_minutes(0) == 10


@given(some.timedeltas(MINUTE, timedelta(days=3000)))
def test_any_span_is_covered_by_few_intervals(span):
    axis = cut_span(NOW, NOW + span, MINUTE)
    assert axis.window >= MINUTE
    assert axis.count <= MOST_INTERVALS + 1
    assert axis.begun <= NOW
    assert axis.begun + axis.count * axis.window >= NOW + span
    assert choose_window(span, MINUTE) == axis.window
