"""The benchmarks' own arithmetic: ratios that are medians of pairs, bounds that can be missed, a
page that says so."""

from datetime import UTC, datetime, timedelta

import pytest

from benchmarks.gaps import between
from benchmarks.report import Report, page
from benchmarks.results import Result, median_ratio, rates, ratio_of_at_least
from qdrant_rollouts.core.database.models import StepRow

START = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)


def step(name: str, started: float | None, finished: float | None) -> StepRow:
    def at(seconds: float | None) -> datetime | None:
        return None if seconds is None else START + timedelta(seconds=seconds)

    return StepRow(name=name, started_at=at(started), finished_at=at(finished))


def test_a_ratio_is_the_median_of_the_pairs_so_one_busy_moment_moves_nothing():
    assert median_ratio([10, 10, 90], [5, 5, 1]) == 2


def test_what_was_not_measured_in_pairs_has_no_ratio():
    with pytest.raises(ValueError, match="shorter"):
        median_ratio([1, 2], [1])


def test_a_rate_is_shown_with_its_spread():
    assert rates(100, [1, 2, 4], "texts") == "50 texts/s (25 to 100)"


@pytest.mark.parametrize(("ratio", "ok"), [(0.9, True), (0.89, False)])
def test_a_ratio_below_its_bound_misses_it(ratio, ok):
    assert ratio_of_at_least("name", "", "", ratio, 0.9).ok is ok


def test_a_report_has_missed_when_one_of_its_bounds_was_missed():
    results = [
        Result("good", "1", ok=True),
        Result("bad", "2", bound="under 1", ok=False),
        Result("known", "3"),
    ]
    assert Report("name", "about", 0.5, results).missed
    assert not Report("name", "about", 0.5, [results[0], results[2]]).missed


def test_the_page_holds_the_command_the_machine_and_the_verdicts():
    report = Report(
        "memory",
        "What is measured.",
        0.5,
        [Result("most", "500 MB", bound="under 400 MB", ok=False)],
    )
    text = page("python -m benchmarks", "2026-11-02", {"processor": "some, 2 cores"}, [report])
    for expected in (
        "`python -m benchmarks` on 2026-11-02",
        "some, 2 cores",
        "What is measured.",
        "Load before: 0.5",
    ):
        assert expected in text
    assert "| most | 500 MB |  |  | under 400 MB | MISSED |" in text


def test_gaps_lie_between_the_end_of_a_step_and_the_start_of_the_next():
    steps = [
        step("create", 0, 1),
        step("populate", 1.25, 9),
        step("validate", 9.5, 10),
        step("switch", None, None),
    ]
    assert between(steps) == [0.25, 0.5]
