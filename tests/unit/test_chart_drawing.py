"""Charts as pictures: gaps stay gaps, lines are told apart without colour, and no text touches
another."""

import itertools
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as some

from qdrant_rollouts.core.times import as_iso
from qdrant_rollouts.interfaces.pictures.charts import plot
from qdrant_rollouts.interfaces.pictures.charts.ticks import (
    choose_apart,
    choose_close_levels,
    choose_levels,
    choose_times,
    format_amount,
    spread_out,
)
from qdrant_rollouts.interfaces.pictures.charts.time_chart import NAMES, draw_time_chart
from qdrant_rollouts.interfaces.pictures.charts.version_chart import draw_version_chart

BEGUN = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>" + "y" * 230


def parse(svg):
    return ET.fromstring(svg)  # noqa: S314 - our own


def chart(*courses, names=None):
    count = len(courses[0])
    named = names or [(number, f"docs_{number}") for number in range(len(courses), 0, -1)]
    return {
        "name": "searches",
        "title": "Searches",
        "unit": "per minute",
        "seconds": 60.0,
        "times": [as_iso(BEGUN + timedelta(minutes=number)) for number in range(count)],
        "until": as_iso(BEGUN + timedelta(minutes=count)),
        "series": [
            {"version": version, "collection": collection, "values": list(values)}
            for (version, collection), values in zip(named, courses, strict=True)
        ],
    }


def draw(found, moves=()):
    styles = {one["collection"]: number for number, one in enumerate(found["series"])}
    return draw_time_chart(found, list(moves), styles)


def count_parts(drawn, kind):
    """How many paths of a class the plot has, and how many separate lines they are."""
    paths = [one for one in parse(drawn.plot).iter("path") if kind in one.get("class", "")]
    return len(paths), sum(one.get("d", "").count("M") for one in paths)


def test_a_gap_stays_a_gap():
    assert count_parts(draw(chart([1, 2, None, None, 3, 4])), "course") == (1, 2)
    assert count_parts(draw(chart([1, 2, 3, 4])), "course") == (1, 1)


def test_a_point_alone_is_a_mark_and_no_line():
    drawn = draw(chart([None, 5, None]))
    assert count_parts(drawn, "course") == (0, 0)
    assert count_parts(drawn, "mark")[0] == 1
    assert "v1 last 5" in drawn.summary


def test_without_any_point_there_are_axes_and_a_sentence():
    drawn = draw(chart([None, None, None]))
    assert count_parts(drawn, "mark") == (0, 0)
    assert drawn.summary == "Searches per minute: nothing known."
    assert "02:0" in drawn.plot
    assert parse(drawn.names).findall("text") == []


def test_lines_are_told_apart_without_colour():
    """By their dashes, of which the style sheet has four, and by their marks."""
    drawn = draw(chart(*[[number, number + 1] for number in range(8)]))
    found = set()
    for path in parse(drawn.plot).iter("path"):
        if "mark" in path.get("class", ""):
            found.add((path.get("class"), path.get("d")))
    assert len(found) == 8


def test_the_picture_says_for_a_screen_reader_what_it_shows():
    moves = [{"at": as_iso(BEGUN), "version": 2, "collection": "docs_2", "kind": "rollback"}]
    root = parse(draw(chart([1, 2], [3, 1234.5]), moves).plot)
    assert root.get("role") == "img"
    label = root.get("aria-label")
    assert label == "Searches per minute: v2 last 2, 1 to 2; v1 last 1,234, 3 to 1,234."
    assert root.findtext("title") == "Searches"
    assert root.findtext("desc") == "v2 back by a rollback 2026-11-02 02:00 UTC"


def test_a_name_of_somebody_else_is_words_and_stays_in_its_place():
    moves = [{"at": as_iso(BEGUN), "version": None, "collection": HOSTILE, "kind": "by_hand"}]
    drawn = draw(chart([1, 2], names=[(None, HOSTILE)]), moves)
    assert "<script" not in drawn.plot + drawn.names
    shown = parse(drawn.names).find("text")
    assert (shown.findtext("title"), shown[0].tail[-1]) == (HOSTILE, "…")
    assert float(parse(drawn.names).get("width")) == NAMES


def versions(*values, unit="points", served=True):
    points = [
        {
            "version": number,
            "collection": f"docs_{number}",
            "at": as_iso(BEGUN),
            "served": served,
            "value": value,
        }
        for number, value in enumerate(values, 1)
    ]
    return {"name": "points", "title": "Points", "unit": unit, "note": "", "points": points}


def test_each_version_has_one_mark_and_a_hollow_one_if_it_was_never_live():
    drawn = draw_version_chart(versions(10, None, 30))
    assert count_parts(drawn, "mark") == (2, 2)
    assert "mark hollow" not in drawn.plot
    assert "mark hollow" in draw_version_chart(versions(10, served=False)).plot
    assert drawn.summary == "Points of 2 versions; the last: v1 10, v3 30."
    assert "min" in draw_version_chart(versions(600, unit="s")).scale


@given(some.lists(some.floats(plot.TOP, plot.BOTTOM), max_size=8))
def test_names_beside_a_plot_never_touch(wanted):
    placed = sorted(spread_out(wanted, 13.0, plot.TOP, plot.BOTTOM))
    assert all(plot.TOP - 1e-6 <= place <= plot.BOTTOM + 1e-6 for place in placed)
    assert all(later - earlier > 12.9 for earlier, later in itertools.pairwise(placed))


@given(some.lists(some.floats(0, 1), min_size=1, max_size=40).map(sorted))
def test_texts_along_a_plot_never_touch_and_the_last_one_is_there(shares):
    texts = [f"v{number}" for number in range(len(shares))]
    chosen = sorted(choose_apart(shares, texts, 200.0))
    assert chosen[-1] == len(shares) - 1
    places = [shares[number] * 200 for number in chosen]
    assert all(later - earlier > 12 for earlier, later in itertools.pairwise(places))


@given(some.floats(1e-4, 1e9))
def test_levels_are_few_round_and_reach_above_the_highest_value(high):
    levels = choose_levels([high, high / 2])
    assert levels[0] == 0
    assert levels[-1] >= high * (1 - 1e-9)
    assert 2 <= len(levels) <= 6


@given(some.lists(some.floats(0, 1), min_size=1, max_size=20))
def test_levels_of_shares_are_around_them_and_none_is_above_one(shares):
    levels = choose_close_levels(shares)
    assert levels[0] <= min(shares) + 1e-9
    assert levels[-1] >= max(shares) - 1e-9
    assert levels[-1] <= 1 + 1e-9
    assert len(levels) >= 2


@given(some.floats(20, 90 * 86400))
def test_times_are_few_and_round(seconds):
    times = choose_times(BEGUN, BEGUN + timedelta(seconds=seconds))
    assert len(times) <= 5
    assert all(BEGUN <= time <= BEGUN + timedelta(seconds=seconds) for time, _ in times)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "", "0"),
        (4.128, "", "4.13"),
        (412.8, "", "413"),
        (1204, "", "1,204"),
        (15300, "", "15.3k"),
        (2.5e6, "", "2.5M"),
        (12.34, "ms", "12.3\N{NO-BREAK SPACE}ms"),
        (1500, "ms", "1.5\N{NO-BREAK SPACE}s"),
        (0.00012, "", "1.2e-4"),
    ],
)
def test_amounts_are_short(value, unit, text):
    assert format_amount(value, unit) == text
