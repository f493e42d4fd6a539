"""The picture of an experiment: what it says, where, and that no text leaves its place."""

import json
import math
import re
from dataclasses import asdict
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdrant_rollouts.core.statistics.comparison import Stratum, compare
from qdrant_rollouts.core.statistics.metric import Metric
from qdrant_rollouts.core.statistics.moments import Moments
from qdrant_rollouts.interfaces.pictures import canvas, experiment_svg, scales
from qdrant_rollouts.interfaces.pictures.panel import LEFT, RIGHT
from qdrant_rollouts.interfaces.pictures.style import DARK, LIGHT

SVG = "{http://www.w3.org/2000/svg}"
MINUS = "\N{MINUS SIGN}"
GAP = "\N{NO-BREAK SPACE}"


def comparison(**said) -> dict:
    return {
        "metric": "clicks per query",
        "variant": "docs_v8",
        "role": "primary",
        "direction": 1,
        "relative": True,
        "margin": 0.02,
        "control": 0.412,
        "treatment": 0.4332,
        "difference": 0.0516,
        "low": 0.012,
        "high": 0.091,
        "verdict": "better",
        "reason": "",
        "units": [10_512, 10_498],
        **said,
    }


def nothing(**said) -> dict:
    unknown = dict.fromkeys(("control", "treatment", "difference", "low", "high"))
    return comparison(
        **{**unknown, "verdict": "unclear", "reason": "too_few_units", "units": [40, 38], **said}
    )


def report(*looks: list[dict], days: float = 1.0, **said) -> dict:
    """A look every so many days."""
    taken = [
        {"at": "2026-11-25T06:00:12+00:00", "days": days * count, "comparisons": found}
        for count, found in enumerate(looks, 1)
    ]
    return {
        "name": "New model",
        "id": "7f3a",
        "alias": "documentation",
        "status": "running",
        "decision": {"action": "KEEP_RUNNING", "reason": "The interval is wide."},
        "looks": taken,
        **said,
    }


def parsed(written: str | bytes) -> ET.Element:
    return ET.fromstring(written)  # noqa: S314 - it was written a line ago, by us


def drawn(made: dict) -> ET.Element:
    """Through JSON, as it comes."""
    return parsed(experiment_svg(json.loads(json.dumps(made))))


def texts(root: ET.Element) -> list[str]:
    """What each text shows, tooltips left out."""
    shown = []
    for element in root.iter(f"{SVG}text"):
        parts = [
            element.text,
            *(part for child in element for part in (_visible(child), child.tail)),
        ]
        shown.append("".join(part or "" for part in parts))
    return shown


def _visible(child: ET.Element) -> str:
    return "" if child.tag == f"{SVG}title" else f" {child.text}"


def of_kind(root: ET.Element, kind: str) -> list[ET.Element]:
    return [element for element in root.iter() if kind in element.get("class", "").split()]


def level(root: ET.Element, kind: str) -> float:
    """Where the first line of this kind lies."""
    found = of_kind(root, kind)[0]
    assert found.get("y1") == found.get("y2")
    return float(found.get("y1"))


def corners(element: ET.Element) -> list[tuple[float, float]]:
    return [
        tuple(map(float, pair)) for pair in re.findall(r"(-?[\d.]+) (-?[\d.]+)", element.get("d"))
    ]


# --- where things are -----------------------------------------------------------------------------


@pytest.mark.parametrize(("direction", "side"), [(1, 1), (-1, -1)])
def test_bounds_difference_and_margin_stand_at_one_scale_and_the_margin_on_the_side_that_is_worse(
    direction, side
):
    root = drawn(report([comparison(direction=direction, low=-0.03)]))
    zero = level(root, "zero")
    margin = level(root, "margin")
    assert (margin - zero) * side > 0  # down on the page is larger
    per_point = abs(margin - zero) / 0.02
    whisker = of_kind(root, "whisker")[0]
    ends = sorted(float(whisker.get(name)) for name in ("y1", "y2"))
    assert ends == pytest.approx([zero - 0.091 * per_point, zero + 0.03 * per_point], abs=0.5)
    dot = of_kind(root, "better")[-1]
    assert float(dot.get("cy")) == pytest.approx(zero - 0.0516 * per_point, abs=0.3)


def test_looks_stand_at_their_days_and_the_band_is_as_wide_as_the_interval():
    root = drawn(report(*[[comparison()] for _ in range(4)]))
    course = corners(of_kind(root, "course")[0])
    places = [LEFT + (RIGHT - LEFT) * count / 4 for count in (1, 2, 3, 4)]
    assert [x for x, _ in course] == pytest.approx(places, abs=0.06)
    band = corners(of_kind(root, "band")[0])
    low = band[:4]
    high = band[:3:-1]
    assert [x for x, _ in low] == [x for x, _ in high] == [x for x, _ in course]
    height = level(root, "margin") - level(root, "zero")
    assert low[0][1] - high[0][1] == pytest.approx((0.091 - 0.012) / 0.02 * height, rel=0.02)


def test_treatments_of_one_metric_share_a_scale():
    pair = [
        comparison(),
        comparison(variant="docs_v9", difference=-0.3, low=-0.4, high=-0.2, verdict="worse"),
    ]
    root = drawn(report(pair))
    zeros = [float(line.get("y1")) for line in of_kind(root, "zero")]
    margins = [float(line.get("y1")) for line in of_kind(root, "margin")]
    assert margins[0] - zeros[0] == pytest.approx(margins[1] - zeros[1], abs=0.15)
    windows = [element for element in root.iter(f"{SVG}svg") if element is not root]
    offsets = [zero - float(window.get("y")) for zero, window in zip(zeros, windows, strict=True)]
    assert offsets[0] == pytest.approx(offsets[1], abs=0.15)


def test_wide_early_intervals_are_cut_off_so_that_the_latest_can_be_read():
    widths = [0.5 / math.sqrt(look) for look in range(1, 29)]
    looks = [[comparison(difference=0.05, low=0.05 - half, high=0.05 + half)] for half in widths]
    root = drawn(report(*looks))
    whisker = of_kind(root, "whisker")[0]
    window = root.find(f".//{SVG}svg")
    height = float(window.get("height"))
    assert abs(float(whisker.get("y1")) - float(whisker.get("y2"))) > 0.35 * height
    assert min(y for _, y in corners(of_kind(root, "band")[0])) < float(window.get("y"))
    assert window.get("overflow") == "hidden"


def test_a_band_does_not_bridge_looks_without_a_number():
    root = drawn(
        report([comparison()], [comparison()], [nothing()], [comparison()], [comparison()])
    )
    assert [len(corners(band)) for band in of_kind(root, "band")] == [4, 4]


def test_a_look_with_a_number_between_looks_without_is_seen():
    root = drawn(
        report(
            [nothing()], [comparison()], [nothing()], [comparison(low=None, high=None)], [nothing()]
        )
    )
    spots = of_kind(root, "spot")
    assert [float(spot.get("cx")) for spot in spots] == [
        LEFT + (RIGHT - LEFT) * part for part in (0.4, 0.8)
    ]
    assert len(of_kind(root, "edge")) == 1


def test_a_difference_without_an_interval_is_a_point_and_says_so():
    root = drawn(report([comparison(low=None, high=None)]))
    assert of_kind(root, "whisker") == of_kind(root, "band") == []
    assert any("no interval" in words for words in texts(root))


@pytest.mark.parametrize(
    ("days", "unit"), [(0.01, "minutes"), (0.5, "hours"), (1.5, "days"), (14, "days")]
)
def test_time_is_told_in_minutes_hours_or_days(days, unit):
    found = texts(drawn(report([comparison()], [comparison()], days=days)))
    assert unit in found
    assert not ({"minutes", "hours", "days"} - {unit}) & set(found)


# --- what is said ---------------------------------------------------------------------------------


def test_the_latest_look_is_told_in_numbers_and_words():
    found = texts(drawn(report([nothing()], [comparison()])))
    for words in (
        "New model",
        "running · alias documentation · 2 looks, the last 2026-11-25 06:00 UTC · id 7f3a",
        "Keep running",
        "The interval is wide.",
        "clicks per query",
        "primary · higher is better · difference in percent of control",
        "docs_v8",
        "better",
        f"+5.2{GAP}% +1.2{GAP}% to +9.1{GAP}%",
        "0.4120",
        "0.4332",
        "n 10,512",
        "n 10,498",
        "margin",
        f"{MINUS}2{GAP}%",
        "better ↑",
    ):
        assert words in found


@pytest.mark.parametrize(
    ("verdict", "sign", "word"),
    [
        ("better", "+", "better"),
        ("worse", MINUS, "worse"),
        ("not_worse", "≥", "not worse"),
        ("unclear", "?", "unclear"),
        (None, "?", "no verdict"),
    ],
)
def test_a_verdict_is_a_word_and_a_sign_and_not_a_colour_alone(verdict, sign, word):
    found = texts(drawn(report([comparison(verdict=verdict, direction=-1)])))
    assert word in found
    assert sign in found
    assert "better ↓" in found
    assert any("lower is better" in words for words in found)


@pytest.mark.parametrize(
    ("action", "word"),
    [
        ("SHIP", "Ship"),
        ("rollback", "Roll back"),
        ("STOP_INCONCLUSIVE", "Stop, inconclusive"),
        ("ask_them", "ask them"),
    ],
)
def test_a_decision_is_said_in_words(action, word):
    assert word in texts(drawn(report([comparison()], decision={"action": action, "reason": ""})))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("too_few_units", "too few users"),
        ("no_data", "no data yet"),
        ("quantile_unresolved", "too few events to tell this quantile"),
        ("a_new_code", "a new code"),
        ("", "no reason was given"),
    ],
)
def test_a_metric_without_a_number_says_why(code, words):
    root = drawn(report([nothing(reason=code)]))
    found = texts(root)
    assert words in found
    assert f"no number: {words}" in found
    assert of_kind(root, "course") == []
    assert "nan" not in ET.tostring(root, encoding="unicode").lower()


def test_a_number_lost_at_the_last_look_is_not_told_as_if_it_were_there():
    found = texts(drawn(report([comparison()], [nothing(reason="control_too_noisy")])))
    assert "control is too noisy to compare with" in found
    assert not any("to +9.1" in words for words in found)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e300, "0.3", True])
def test_what_is_no_number_is_drawn_as_none(value):
    root = parsed(experiment_svg(report([comparison(difference=value)])))
    assert of_kind(root, "course") == []


def test_primaries_come_first_then_guardrails():
    pair = [
        comparison(metric="latency", role="guardrail"),
        comparison(metric="visits", role="secondary"),
        comparison(),
    ]
    found = texts(drawn(report(pair)))
    assert found.index("clicks per query") < found.index("latency") < found.index("visits")


@pytest.mark.parametrize(
    ("made", "words"),
    [(report(), "No look has been taken yet."), (report([]), "No look compared anything.")],
)
def test_nothing_to_compare_is_said(made, words):
    assert words in texts(drawn({**made, "decision": None}))
    assert "No decision yet" in texts(drawn({**made, "decision": None}))


def test_who_cannot_see_it_hears_all_of_it():
    root = drawn(report([comparison(), nothing(metric="p95")]))
    said = root.find(f"{SVG}desc").text
    assert said.startswith("Keep running: The interval is wide.")
    assert f"clicks per query, docs_v8: better, +5.2{GAP}%, +1.2{GAP}% to +9.1{GAP}%." in said
    assert "p95, docs_v8: unclear, no number: too few users." in said
    assert root.get("role") == "img"


def test_a_number_without_an_interval_says_why_there_is_none():
    root = drawn(
        report([comparison(low=None, high=None, verdict="unclear", reason="too_few_units")])
    )
    assert f"+5.16{GAP}% no interval" in texts(root)
    assert "too few users" in texts(root)
    assert "no interval: too few users" in root.find(f"{SVG}desc").text


def test_a_decision_about_one_of_several_treatments_names_it():
    decision = {"action": "SHIP", "reason": "", "variant": "docs_v9"}
    assert "Ship: docs_v9" in texts(drawn(report([comparison()], decision=decision)))


@pytest.mark.parametrize(("direction", "words"), [("up", "better ↑"), ("down", "better ↓")])
def test_directions_are_words_or_signs(direction, words):
    assert words in texts(drawn(report([comparison(direction=direction)])))


def test_latency_is_told_in_milliseconds_and_percent_though_its_logarithm_is_compared():
    """ln(ms) of 10 and 10.5 ms; an earlier look may not say what its numbers are."""
    told = {"control": math.log(10), "treatment": math.log(10.5), "difference": math.log(1.05)}
    told |= {
        "low": math.log(1.02),
        "high": math.log(1.08),
        "margin": math.log(1.05),
        "direction": -1,
    }
    now = comparison(metric="latency", relative=False, unit="log_ms", **told)
    root = drawn(report([{**now, "unit": "plain"}], [now]))
    found = texts(root)
    assert f"10.0{GAP}ms" in found
    assert f"10.5{GAP}ms" in found
    assert any(line.startswith((f"+5.0{GAP}%", f"+5.00{GAP}%")) for line in found)
    assert f"+5{GAP}%" in found  # the margin
    assert any("difference in percent of control" in line for line in found)
    assert "2.303" not in " ".join(found)


def test_durations_are_told_in_milliseconds_and_shares_in_points():
    duration = comparison(
        metric="p95", relative=False, unit="seconds", control=0.012, difference=0.001
    )
    duration |= {"low": 0.0005, "high": 0.002, "treatment": 0.013, "margin": 0.01}
    failed = comparison(metric="errors", relative=False, unit="share", control=0.01, treatment=0.02)
    failed |= {"difference": 0.01, "low": 0.005, "high": 0.015, "margin": 0.001}
    found = texts(drawn(report([duration, failed])))
    assert f"12.0{GAP}ms" in found
    assert f"1.00{GAP}%" in found
    assert any("difference in milliseconds" in line for line in found)
    assert any("difference in percentage points" in line for line in found)


@pytest.mark.parametrize("error", [0.0005, 0.001, 0.0015, 0.002, 0.003])
def test_a_guardrail_that_is_not_worse_keeps_its_band_on_the_good_side_of_its_margin(error):
    metric = Metric("errors", "ratio", "guardrail", direction=-1, margin=0.005)
    arms = Moments(5000, 0.02, error**2 / 2), Moments(5000, 0.0205, error**2 / 2)
    found = compare(metric, [Stratum(5000, *arms)], units=(5000, 5000), n_star=10_000, alpha=0.05)
    told = {**asdict(found), "relative": False, "direction": "down"}
    root = drawn(report([told], [told]))
    crosses = min(y for _, y in corners(of_kind(root, "band")[0])) <= level(root, "margin")
    assert crosses == (found.verdict != "not_worse")


# --- other people's text --------------------------------------------------------------------------

HOSTILE = '</text><script>alert("1")</script>&amp;\x00\x1b[31m\u202e\ud800 name'


def test_names_are_text_whatever_is_written_in_them():
    made = report(
        [comparison(metric=HOSTILE, variant=HOSTILE, reason=HOSTILE)],
        name=HOSTILE,
        alias=HOSTILE,
        id=HOSTILE,
    )
    made["decision"] = {"action": HOSTILE, "reason": HOSTILE}
    written = experiment_svg(made)
    root = parsed(written.encode())
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        *("svg", "title", "desc", "style", "g", "rect", "line", "circle", "path", "text", "tspan")
    }
    assert not set("\x00\x1b\u202e") & set(written)
    assert root.find(f"{SVG}title").text.startswith('</text><script>alert("1")</script>&amp;')


@pytest.mark.parametrize("name", ["W" * 300, "word " * 90, "日本語" * 80, "i" * 500, "🙂" * 90])
def test_long_names_stay_in_the_picture_and_stand_whole_in_a_tooltip(name):
    made = report(
        [comparison(metric=name, variant=name)],
        name=name,
        alias=name,
        decision={"action": name, "reason": name},
    )
    root = drawn(made)
    height = float(root.get("height"))
    for element, words in zip(root.iter(f"{SVG}text"), texts(root), strict=True):
        x = float(element.get("x"))
        y = float(element.get("y"))
        kind = element.get("class")
        wide = canvas.text_width(words, canvas.font_size(kind))
        start = (
            x - wide if "end" in kind.split() else x - wide / 2 if "middle" in kind.split() else x
        )
        assert start >= 0
        assert start + wide <= 900, words
        assert 0 < y < height
    whole = [title.text for title in root.iter(f"{SVG}title")]
    assert sum(name.strip() in words for words in whole) >= 3


def test_it_needs_nothing_from_outside():
    written = experiment_svg(report([comparison()]))
    assert not re.search(r"href|url\(|@import|<script|<image|on\w+=", written)
    assert written.count("http") == 1
    assert parsed(written).get("viewBox").startswith("0 0 900 ")


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_words_stand_out_from_light_pages_and_dark_ones(palette):
    for ink in ("ink", "soft", "margin", "better", "worse", "not_worse", "unclear"):
        assert contrast(palette[ink], palette["page"]) >= 4.5, ink
    assert contrast(palette["ink"], palette["card"]) >= 4.5
    assert "prefers-color-scheme:dark" in experiment_svg(report())


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, relative luminance."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "step", "relative", "words"),
    [
        (0.0516, 0.003, True, f"+5.2{GAP}%"),
        (-0.0004, 0.0001, True, f"{MINUS}0.04{GAP}%"),
        (-0.004, 0.001, False, f"{MINUS}0.004"),
        (0.0, 0.01, False, "0.00"),
        (-0.0001, 0.01, False, "0.00"),
        (12345.6, 10, False, "+12,346"),
        (3e-9, 1e-9, False, f"+3e{MINUS}9"),
    ],
)
def test_differences_have_a_sign_and_the_digits_their_interval_needs(value, step, relative, words):
    assert scales.format_difference(value, step, relative) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (0.412, "0.4120"),
        (-3.2, f"{MINUS}3.200"),
        (41234567, "41,234,567"),
        (0.0000123, f"1.23e{MINUS}5"),
    ],
)
def test_values_have_four_digits(value, words):
    assert scales.format_value(value) == words


@pytest.mark.parametrize(
    ("value", "relative", "words"),
    [
        (-0.02, True, f"{MINUS}2{GAP}%"),
        (0.04879, False, "+0.0488"),
        (0.1, True, f"+10{GAP}%"),
        (20000, False, "+20,000"),
    ],
)
def test_a_margin_is_written_as_it_was_chosen(value, relative, words):
    assert scales.format_margin(value, relative) == words


def test_an_interval_shows_on_which_side_of_zero_it_ends():
    step = scales.interval_step(0.0004, 0.08)
    assert scales.format_difference(0.0004, step, True) == f"+0.04{GAP}%"
    assert scales.format_difference(0.08, step, True) == f"+8.00{GAP}%"


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(3, 10))
def test_ticks_are_round_few_and_inside(low, span, about):
    found = scales.round_ticks(low, low + span, about)
    assert 1 <= len(found) <= about + 1
    assert all(low - span / 1000 <= tick <= low + span * 1.001 for tick in found)


@given(
    st.lists(st.tuples(*[st.floats(-1e3, 1e3)] * 3), min_size=1, max_size=6),
    st.sampled_from([1, -1]),
)
def test_whatever_the_numbers_0_the_margin_and_the_latest_interval_are_in_the_panel(
    triples, direction
):
    looks = [
        [comparison(difference=middle, low=low, high=high, direction=direction)]
        for low, middle, high in map(sorted, triples)
    ]
    root = drawn(report(*looks))
    window = root.find(f".//{SVG}svg")
    top = float(window.get("y"))
    bottom = float(window.get("y")) + float(window.get("height"))
    whisker = of_kind(root, "whisker")[0]
    for y in (
        level(root, "zero"),
        level(root, "margin"),
        float(whisker.get("y1")),
        float(whisker.get("y2")),
    ):
        assert top <= y <= bottom
