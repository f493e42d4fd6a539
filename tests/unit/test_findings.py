"""The report and the plan of an experiment at the terminal: every number with its unit, every gap
with its reason."""

import math
import re

import pytest
from rich.console import Console

from qdrant_rollouts.core.config.experiment_spec import STANDARD, MetricSpec, parse_metrics
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.statistics import reasons
from qdrant_rollouts.interfaces import figures
from qdrant_rollouts.interfaces.cli import findings, forecast
from qdrant_rollouts.interfaces.cli.experiment_options import parse_metric_options

NBSP = "\N{NO-BREAK SPACE}"


def drawn(renderable, width=120):
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get().replace(NBSP, " ")


def squeezed(renderable, width=120):
    """Without the blanks that columns need."""
    return re.sub(r"\s+", " ", drawn(renderable, width))


def compared(metric="clicks", **changes):
    return {
        "metric": metric,
        "variant": "treatment",
        "role": STANDARD[metric].role,
        "units": (1500, 1515),
        "control": 0.20,
        "treatment": 0.23,
        "difference": 0.15,
        "low": 0.03,
        "high": 0.27,
        "p": 0.0076,
        "p_adjusted": None,
        "relative": True,
        "relative_effect": {"effect": 0.15, "low": 0.03, "high": 0.27, "reason": ""},
        "t_test": {"low": 0.07, "high": 0.23, "p": 0.00018, "valid": "for one planned look only"},
        "better": True,
        "worse": False,
        "not_worse": True,
        "verdict": "better",
        "reason": "",
    } | changes


LATENCY = compared(
    "latency",
    control=3.0,
    treatment=3.02,
    difference=0.02,
    low=-0.02,
    high=0.06,
    relative=False,
    relative_effect={"effect": 0.0067, "low": -0.01, "high": 0.02, "reason": ""},
    better=False,
    verdict="not_worse",
)
ERRORS = compared(
    "errors",
    control=0.0,
    treatment=0.0012,
    difference=0.0012,
    low=-0.001,
    high=0.0034,
    relative=False,
    relative_effect={"effect": None, "low": None, "high": None, "reason": "control_not_positive"},
    better=False,
    not_worse=False,
    verdict="unclear",
)


def reported(*comparisons, **changes):
    arms = [
        {"variant": variant, "collection": f"docs_{number}", "weight": 5000}
        for number, variant in enumerate(("control", "treatment"), 1)
    ]
    metrics = [STANDARD[one["metric"]].model_dump() for one in comparisons]
    return {
        "id": "abc123",
        "name": "colours",
        "alias": "docs",
        "status": "running",
        "mode": "ab",
        "message": "",
        "deployment_id": None,
        "days": 5.0,
        "spec": {"arms": arms, "metrics": metrics, "window_hours": 24},
        "stages": [{"coverage": 2550}],
        "units": {"control": 1500, "treatment": 1515},
        "comparisons": list(comparisons),
        "closed": list(comparisons),
        "shares": {"p": 1.0, "chi_square_p": 0.76},
        "quality": {"srm_p": 1.0, "crossover": 0.001, "orphans": 0.0, "changed": ""},
        "decision": {
            "action": "KEEP_RUNNING",
            "reason": "more is wanted",
            "days_left": 2.0,
            "variant": None,
        },
        "decided": None,
        "counts": [],
    } | changes


def line_of(shown, name):
    return next(line for line in shown.splitlines() if line.startswith(name))


# --- the report -----------------------------------------------------------------------------------


def test_the_first_lines_say_what_is_compared_and_with_how_many():
    lines = drawn(findings.render_report(reported(compared()))).splitlines()
    head = "◌ colours running docs abc123 25.5 % of the users take part after 5.0 days"
    assert lines[0].split() == head.split()
    assert lines[1].split() == ["├─", "control", "docs_1", "50", "%", "1,500", "users"]
    assert lines[2].split() == ["└─", "treatment", "docs_2", "50", "%", "1,515", "users"]


def test_what_is_decided_and_what_is_still_needed_stand_above_the_numbers():
    shown = drawn(findings.render_report(reported(compared())))
    assert "◷ keep running: more is wanted" in shown
    assert "still needed, at the pace so far: about 2.0 days, 1,206 users" in shown
    assert shown.index("keep running") < shown.index("METRIC")


def test_a_relative_metric_shows_its_effect_as_a_share_and_the_difference_below():
    lines = drawn(findings.render_report(reported(compared()))).splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("clicks"))
    assert lines[first].split() == "clicks 0.2 0.23 +15.0 % [+3.0, +27.0] 0.0076 ✔ better".split()  # noqa: SIM905
    assert lines[first + 1].split() == ["primary", "+0.03", "t", "0.0002"]


def test_mean_log_latency_is_told_in_milliseconds_and_percent():
    shown = drawn(findings.render_report(reported(LATENCY)))
    assert line_of(shown, "latency").split()[:8] == [
        "latency",
        "20.1",
        "ms",
        "20.5",
        "ms",
        "+2.0",
        "%",
        "[-2.0,",
    ]
    assert "+0.41 ms" in shown
    assert "✔ not worse" in shown


def test_a_relative_effect_that_there_is_none_of_says_why():
    shown = drawn(findings.render_report(reported(ERRORS)))
    assert "+0.12 points [-0.10, +0.34]" in shown
    assert "no share: control is not above 0" in shown
    assert "? unclear" in shown


@pytest.mark.parametrize("reason", sorted(reasons.CODES))
def test_every_reason_for_no_number_is_told_in_words(reason):
    nothing = dict.fromkeys(("control", "treatment", "difference", "low", "high", "p", "t_test"))
    missing = compared(**nothing, reason=reason, better=False, not_worse=False, verdict="unclear")
    words = reasons.explain_reason(reason)
    assert words in squeezed(findings.render_report(reported(missing)))
    assert "_" not in words


def test_a_number_without_an_interval_says_why_it_has_none():
    few = compared(
        low=None,
        high=None,
        p=None,
        t_test=None,
        reason="too_few_units",
        verdict="unclear",
        better=False,
    )
    assert "+15.0 % (too few users)" in drawn(findings.render_report(reported(few)))


def test_certain_but_tolerable_harm_is_called_so():
    assert "worse, within its margin" in drawn(
        findings.render_report(reported(compared(better=False, worse=True, verdict="worse")))
    )


def test_the_t_test_is_labelled_and_the_sequential_check_decides():
    shown = squeezed(findings.render_report(reported(compared())))
    assert "t: p of Welch's t-test, for comparison: valid for one planned look only" in shown
    assert "p 1.00, sequential; below 0.001 it is a fault" in shown
    assert "chi-square p 0.76 beside it, valid for one look only" in shown


def test_open_and_closed_windows_say_who_reads_them():
    seen = reported(
        compared(), closed=[compared(units=(900, 950), verdict="not_worse", better=False)]
    )
    shown = drawn(findings.render_report(seen))
    assert (
        "treatment against control, all so far: 1,515 and 1,500 users (a rollback is read here)"
        in shown
    )
    assert (
        "treatment against control, 24 hours over: 950 and 900 users (a winner is read here)"
        in shown
    )


def test_data_that_cannot_be_believed_say_so():
    bad = {
        "action": "INVALID",
        "reason": "the model of docs_2 is not what it was",
        "days_left": None,
        "variant": None,
    }
    quality = {"srm_p": 1.0, "crossover": 0.0, "orphans": 0.0, "changed": "the model of docs_2"}
    shown = drawn(findings.render_report(reported(compared(), decision=bad, quality=quality)))
    assert "✖ invalid, no verdict: the model of docs_2" in shown
    assert "✖ the data cannot be trusted" in shown
    assert "no fault" not in shown


def test_a_decided_experiment_shows_its_decision_once_and_what_the_data_say_since():
    then = {
        "action": "SHIP",
        "reason": "clicks is better",
        "days_left": 0.0,
        "variant": "treatment",
    }
    seen = reported(
        compared(),
        status="decided",
        decided=then,
        message="SHIP: clicks is better",
        deployment_id="d1",
    )
    shown = drawn(findings.render_report(seen))
    assert shown.count("clicks is better") == 1
    assert "✔ ship: clicks is better" in shown
    assert "the data now say: keep running: more is wanted" in shown
    assert "shipped by deployment d1" in shown
    assert "still needed" not in shown


def test_a_stopped_experiment_says_why_and_that_it_was_not_decided():
    shown = drawn(
        findings.render_report(reported(compared(), status="stopped", message="enough of it"))
    )
    assert "stopped: enough of it" in shown
    assert "stopped before it was decided; the data say: ◷ keep running" in shown


def test_feedback_that_was_refused_is_counted_by_reason():
    counts = [
        {
            "what": "refused: never exposed",
            "variant": "",
            "metric": "clicks",
            "count": 1234,
            "total": 0.0,
        }
    ]
    line = line_of(drawn(findings.render_report(reported(compared(), counts=counts))), "refused")
    assert line.split() == ["refused:", "never", "exposed", "clicks", "1,234"]


def interleaved(**changes):
    votes = {
        "wins": 120,
        "losses": 90,
        "ties": 30,
        "lists": 700,
        "users": 400,
        "share": 0.0625,
        "direction": 1,
    }
    found = votes | {"win_rate_low": 0.48, "win_rate_high": 0.66, "log_e": 1.5, "p": 0.22} | changes
    seen = reported(mode="interleave", interleaving=found, units={"interleaved": 400})
    return {name: value for name, value in seen.items() if name not in ("shares", "quality")}


def test_an_interleaved_experiment_shows_who_preferred_which():
    shown = squeezed(findings.render_report(interleaved()))
    assert "└─ treatment docs_2 in one list" in shown
    assert "treatment 120 control 90 neither 30" in shown
    assert "of those who prefer one, 57.1 % [48.0, 66.0] prefer treatment; p 0.22" in shown
    assert "400 users have met 700 lists" in shown


def test_an_interleaved_experiment_without_clicks_has_no_rate():
    shown = squeezed(findings.render_report(interleaved(wins=0, losses=0, ties=0, share=None)))
    assert "treatment 0 control 0 neither 0" in shown
    assert "of those who prefer one" not in shown


def test_names_of_others_cannot_steer_the_terminal():
    bad = "\x1b[2Jred"
    seen = reported(
        compared(),
        name=bad,
        message=bad,
        decision={"action": "SHIP", "reason": bad, "days_left": 0.0},
    )
    assert "\x1b" not in drawn(findings.render_report(seen))


def test_the_report_fits_a_terminal_of_80_columns():
    names = "latency errors clicks".split()  # noqa: SIM905
    shown = drawn(findings.render_report(reported(LATENCY, ERRORS, compared())), width=80)
    assert max(map(len, shown.splitlines())) <= 80
    assert [name for name in names if not line_of(shown, name)] == []
    assert "…" not in shown


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "value", "change"),
    [
        (STANDARD["latency"], (math.log(20), "20.0 ms"), (math.log(1.05), "+5.0 %")),
        (STANDARD["latency_p95"], (0.25, "250.0 ms"), (-0.01, "-10.0 ms")),
        (STANDARD["errors"], (0.012, "1.20 %"), (-0.001, "-0.10 points")),
        (MetricSpec(name="satisfied", kind="proportion"), (0.5, "50.00 %"), (0.02, "+2.00 points")),
        (STANDARD["clicks"], (0.5, "0.5"), (0.02, "+0.02")),
        (MetricSpec(name="dwell", kind="quantile"), (2.5, "2.50 s"), (-1.5, "-1.50 s")),
    ],
)
def test_each_kind_of_metric_has_its_unit(metric, value, change):
    unit = figures.unit_of_metric(metric.model_dump())
    assert unit.value(value[0]).replace(NBSP, " ") == value[1]
    assert unit.change(change[0]).replace(NBSP, " ") == change[1]


@pytest.mark.parametrize(
    ("p", "words"),
    [(None, ""), (0.00002, "<0.0001"), (0.0123, "0.0123"), (0.2, "0.20"), (1.0, "1.00")],
)
def test_p_is_told_as_closely_as_it_matters(p, words):
    assert figures.format_p(p) == words


@pytest.mark.parametrize(
    ("days", "words"),
    [(0.01, "14 minutes"), (0.5, "12 hours"), (3.04, "3.0 days"), (1234.0, "1,234 days")],
)
def test_days_are_told_in_the_unit_that_fits(days, words):
    assert figures.days(days) == words


# --- what was asked -------------------------------------------------------------------------------


def test_a_metric_is_a_name_and_its_settings():
    asked = parse_metric_options(["clicks", "dwell,kind=quantile,level=0.5,role=primary"])
    assert asked == [
        "clicks",
        {"name": "dwell", "kind": "quantile", "level": 0.5, "role": "primary"},
    ]
    assert parse_metrics(asked)[1].level == 0.5
    assert parse_metric_options([]) is None


@pytest.mark.parametrize("text", ["dwell,quantile", "dwell,=2", "dwell,level=[1"])
def test_a_metric_that_is_none_is_refused_by_name(text):
    with pytest.raises(Refused, match=re.escape(repr(text))):
        parse_metric_options([text])


# --- the plan -------------------------------------------------------------------------------------


def planned(**changes):
    clicks = STANDARD["clicks"].model_dump() | {
        "control": 0.2,
        "deviation": 0.4,
        "effect": 0.02,
        "users": {"control": 6280, "treatment": 6280},
        "n_star": 21_977,
        "days": 22.0,
        "fixed": 0.018,
        "sequential": 0.025,
        "from": "experiment before (abc): 1,500 users of control",
        "missing": "",
    }
    nothing = dict.fromkeys(
        ("control", "deviation", "effect", "users", "n_star", "days", "fixed", "sequential")
    )
    latency = (
        STANDARD["latency"].model_dump() | nothing | {"from": "", "missing": "no search is known"}
    )
    return {
        "alias": "docs",
        "coverage": 10_000,
        "users_per_day": 1000.0,
        "taking_part_per_day": 1000.0,
        "users_from": "given by hand",
        "metrics": [clicks, latency],
        "n_star": 21_977,
        "days": 22.0,
        "min_days": 3,
        "max_days": 28,
        "missing": ["latency"],
    } | changes


def test_a_plan_says_users_days_and_the_next_command():
    shown = squeezed(forecast.render_plan(planned()))
    assert shown.startswith("✔ docs: 21,977 users, control and treatment together: about 22.0 days")
    assert "--option n_star=21977" in shown
    assert "1,000 new users a day (given by hand); 100 % of them take part: 1,000 a day" in shown
    assert (
        "clicks 0.2 10.0 % 6,280 + 6,280 21,977 22.0 days fixed test 9.0 % primary any time 12.5 %"
        in shown
    )
    assert "clicks: from experiment before (abc): 1,500 users of control" in shown


def test_a_plan_names_what_it_does_not_know():
    shown = squeezed(forecast.render_plan(planned()))
    assert "without what is not known: latency" in shown
    assert "latency guardrail no search is known" in shown


def test_a_plan_that_takes_too_long_says_so():
    shown = squeezed(forecast.render_plan(planned(days=44.0)))
    assert shown.startswith(
        "✖ docs: 21,977 users, control and treatment together: about 44.0 days, more than the 28"
    )


def test_a_plan_without_traffic_gives_users_and_no_days():
    shown = squeezed(
        forecast.render_plan(
            planned(days=None, users_per_day=None, users_from="give --users-per-day")
        )
    )
    assert "? docs: 21,977 users" in shown
    assert "how many days that takes is not known" in shown
    assert "users a day: not known: give --users-per-day" in shown


def test_a_plan_of_nothing_known_says_what_is_missing():
    nothing = planned(n_star=None, days=None, metrics=planned()["metrics"][1:], missing=["latency"])
    assert "? docs: nothing can be planned; not known: latency" in squeezed(
        forecast.render_plan(nothing)
    )


def test_a_short_experiment_still_lasts_its_least_days():
    assert "about 12 hours, and at least 3 days" in squeezed(
        forecast.render_plan(planned(days=0.5))
    )


def test_a_plan_fits_a_terminal_of_80_columns():
    shown = drawn(forecast.render_plan(planned()), width=80)
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown.replace("NAME …", "").replace("IN …", "")
