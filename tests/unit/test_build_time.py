"""How long a version took to build, from the times that its clock told."""

from datetime import UTC, datetime, timedelta

from qdrant_rollouts.core.operations.views.charts.build_time import Span, measure_work

_NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def span(begun: float, ended: float) -> Span:
    """The time between two numbers of seconds after noon."""
    return Span(_NOON + timedelta(seconds=begun), _NOON + timedelta(seconds=ended))


def test_pauses_are_left_out():
    assert measure_work(span(0, 100), [span(10, 30), span(90, 500)]) == 70


def test_nobody_knows_the_time_of_a_build_whose_clock_was_set_back():
    assert measure_work(span(100, 40), []) is None
    assert measure_work(span(0, 100), [span(90, 30)]) is None, "during a pause"
