"""The command line without a server: its help, its arguments, its pictures."""

import importlib
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from rich.cells import cell_len
from rich.console import Console

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.lifecycle import ExperimentStatus, Status, StepStatus
from qdrant_rollouts.interfaces import symbols
from qdrant_rollouts.interfaces.cli import commands, judgment, main, picture, screen
from qdrant_rollouts.interfaces.cli.groups import Verbs
from qdrant_rollouts.interfaces.cli.options import parse_options

ROOT = Path(__file__).parents[2]
GROUPS = [
    importlib.import_module(f"{commands.__name__}.{one.name}")
    for one in pkgutil.iter_modules(commands.__path__)
    if one.ispkg
]
HEAVY = {
    "adapters",
    "celery",
    "core",
    "kombu",
    "numpy",
    "qdrant_client",
    "rich",
    "sqlalchemy",
    "torch",
    "wiring",
}


def imported_by(*arguments):
    """The top-level packages that are loaded once ``rollouts ARGUMENTS`` has answered."""
    program = (
        "import atexit, sys; from qdrant_rollouts.interfaces.cli import main;"
        "tops = lambda: {name.removeprefix('qdrant_rollouts.').split('.')[0] for name in "
        "sys.modules};"
        "atexit.register(lambda: print('\\nLOADED', *tops()));"
        f"main({list(arguments)!r}, prog_name='rollouts')"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    answer, loaded = done.stdout.split("\nLOADED ")
    return answer, set(loaded.split())


def drawn(renderable, width=200):
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def seen(**changes):
    return {
        "id": "abc123",
        "alias": "docs",
        "strategy": "blue_green",
        "status": "running",
        "blue": "docs_1",
        "green": "docs_2",
        "message": "",
        "created_at": "2026-11-02T02:00:00Z",
        "finished_at": None,
        "requested": None,
        "queue": None,
        "steps": [
            step("create", status="done"),
            step("populate"),
            step("validate", status="pending"),
        ],
        "gate": None,
        "events": [],
    } | changes


def step(name, **changes):
    return {
        "name": name,
        "status": "running",
        "tries": 1,
        "started_at": None,
        "finished_at": None,
        "message": "",
        "progress": None,
        "arguments": {},
    } | changes


# --- help -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["alias", "--help"],
        ["experiment", "--help"],
    ],
)
def test_the_help_of_a_group_loads_nothing_of_weight(arguments):
    answer, loaded = imported_by(*arguments)
    assert answer.startswith("Usage: rollouts")
    assert loaded & HEAVY == set()


@pytest.mark.parametrize(
    "arguments",
    [["deploy", "--help"], ["alias", "switch", "--help"], ["schedule", "set", "--help"]],
)
def test_the_help_of_a_verb_loads_no_model_no_broker_and_no_web(arguments):
    answer, loaded = imported_by(*arguments)
    assert answer.startswith("Usage: rollouts")
    assert (
        loaded
        & {"alembic", "celery", "kombu", "mcp", "qdrant_client", "starlette", "torch", "uvicorn"}
        == set()
    )


@pytest.mark.parametrize(
    "package", [commands, *GROUPS], ids=lambda package: package.__name__.rpartition(".")[2]
)
def test_a_group_names_the_verbs_whose_modules_are_there_with_the_first_sentence_of_their_help(
    package,
):
    groups = [one for one in vars(package).values() if isinstance(one, Verbs)]
    group = groups[0] if groups else main
    context = click.Context(group)
    assert set(group.list_commands(context)) == {
        one.name for one in pkgutil.iter_modules(package.__path__)
    }
    for name in group.list_commands(context):
        sentence = " ".join(group.get_command(context, name).help.split("\n\n")[0].split())
        assert f" {sentence}" in " ".join(group.get_help(context).split()), name


def test_a_shell_completes_verbs_with_a_line_about_each():
    found = main.shell_complete(click.Context(main), "ba")
    assert [(one.value, one.help) for one in found] == [
        ("backup", "Makes, verifies and restores backups of an index.")
    ]


def test_help_names_every_verb_and_exit_code():
    answer = CliRunner().invoke(main, ["--help"]).output
    verbs = re.findall(r"^  ([a-z]+)  ", answer.split("Commands:")[1], re.MULTILINE)
    deployments = (
        "demo init up migrate deploy plan status logs list promote retry pause resume abort "
        "rollback mark validate"
    )
    versions = ["versions", "diff", "adopt", "keep", "gc"]
    groups = ["experiment", "schedule", "backup", "web", "mcp", "token", "events", "alert"]
    assert verbs == [
        *deployments.split(),
        "alias",
        "search",
        *versions,
        *groups,
        "workers",
        "doctor",
    ]
    assert "0 done, 1 the deployment ended rolled_back or needs_operator" in answer


def test_every_summary_fits_its_line():
    answer = CliRunner().invoke(main, ["--help"], terminal_width=80).output
    assert "..." not in answer.split("Commands:")[1]


def test_the_version_is_told(monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda package: f"9.9.9 of {package}")
    assert (
        CliRunner().invoke(main, ["--version"]).output
        == "rollouts, version 9.9.9 of qdrant-rollouts\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["launch"],
        ["deploy"],
        ["list", "--limit", "0"],
        ["deploy", "docs", "--timeout", "-1"],
        ["search", "docs", "x", "--users", "u"],
    ],
)
def test_a_misspelt_call_ends_with_2(arguments):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


# --- --option -------------------------------------------------------------------------------------


def test_options_become_nested_settings_with_yaml_values():
    given = [
        "soak.seconds=2",
        "soak.max_errors=0",
        "validation.queries=[a, b=c]",
        "on_bad_record=skip",
    ]
    assert parse_options(given) == {
        "soak": {"seconds": 2, "max_errors": 0},
        "validation": {"queries": ["a", "b=c"]},
        "on_bad_record": "skip",
    }


@pytest.mark.parametrize(
    "given",
    [["soak"], ["=2"], ["soak.=2"], [".seconds=2"], ["soak=2", "soak.seconds=3"], ["soak=[1"]],
)
def test_an_option_that_is_none_is_refused_by_name(given):
    with pytest.raises(Refused, match=re.escape(repr(given[-1]))):
        parse_options(given)


# --- pictures -------------------------------------------------------------------------------------


def test_the_tree_says_every_status_in_a_word_beside_its_symbol():
    lines = drawn(picture.render_tree(seen())).splitlines()
    assert lines[0].split() == ["◌", "docs", "running", "blue_green", "abc123"]
    assert "docs_1 → docs_2" in lines[1]
    assert [line.split()[1:4] for line in lines[2:]] == [
        ["✔", "create", "done"],
        ["◌", "populate", "running"],
        ["·", "validate", "pending"],
    ]


@pytest.mark.parametrize(
    "status", ["pending", "running", "waiting", "done", "failed", "undone", "skipped"]
)
def test_every_step_status_can_be_drawn(status):
    assert status in drawn(picture.render_tree(seen(steps=[step("create", status=status)])))


@pytest.mark.parametrize(
    "status",
    ["pending", "running", "paused", "rolling_back", "live", "rolled_back", "needs_operator"],
)
def test_every_deployment_status_can_be_drawn(status):
    assert status in drawn(picture.render_tree(seen(status=status)))


def test_the_time_left_says_which_rate_it_is_reckoned_with():
    progress = {"done": 250, "size": 1000, "unit": "source", "rate": 85.0, "records": 1000}
    line = drawn(
        picture.render_tree(seen(steps=[step("populate", progress=progress)]))
    ).splitlines()[-1]
    assert "25%" in line
    assert line.rstrip().endswith("1,000 records, 35 s left at 85/s")


def test_a_step_in_trouble_says_so_beside_its_progress():
    progress = {"done": 250, "size": 1000, "unit": "points", "rate": 50.0}
    stuck = step(
        "populate", progress=progress, tries=3, message="Qdrant at http://q:6333 did not answer"
    )
    assert "Qdrant at http://q:6333 did not answer" in drawn(
        picture.render_tree(seen(steps=[stuck]))
    )


def test_progress_that_has_reached_its_end_makes_room_for_the_message():
    ready = step(
        "populate",
        progress={"done": 9, "size": 9, "unit": "points"},
        message="index: ready, look 1 of 3",
    )
    assert (
        drawn(picture.render_tree(seen(steps=[ready])))
        .splitlines()[-1]
        .rstrip()
        .endswith("index: ready, look 1 of 3")
    )


def test_a_deployment_that_nobody_takes_asks_whether_anything_runs():
    assert "rollouts doctor" in drawn(picture.render_tree(seen(status="pending")))


def test_a_wish_that_waits_is_shown():
    assert "abort was requested" in drawn(picture.render_tree(seen(requested="abort")))


def judged(**changes):
    check = {
        "name": "count",
        "value": 299.0,
        "bound": 300.0,
        "n": 299,
        "verdict": "block",
        "detail": "exact",
    }
    words = {
        "found": "There are 299 points.",
        "means": "One is missing.",
        "act": "Deploy again.",
        "level": "hard",
    }
    return {**check, **words, **changes}


def report_of(*checks, **more):
    first = {"verdict": "block", "collection": "docs_2", "live": "docs_1", "warnings": ["no floor"]}
    return {**first, "checks": list(checks), **more}


def test_what_did_not_pass_is_told_in_words_and_its_figures_stand_behind():
    lines = [line.strip() for line in drawn(judgment.render_gate(report_of(judged()))).splitlines()]
    assert lines == [
        "⚠ no floor",
        "✖ block  docs_2 beside docs_1",
        "✖ block  count",
        "There are 299 points.",
        "One is missing.",
        "Deploy again.",
        "299 against 300, n=299; exact",
    ]


def test_a_report_of_an_older_release_is_told_by_its_figures():
    old = {
        name: value
        for name, value in judged().items()
        if name not in {"found", "means", "act", "level"}
    }
    lines = [line.strip() for line in drawn(judgment.render_gate(report_of(old))).splitlines()]
    assert lines[2:] == ["✖ block  count", "exact", "299 against 300, n=299"]


def test_what_passed_is_one_line_of_names_and_all_of_it_a_table():
    passed = judged(verdict="pass")
    shown = judged(name="overlap", verdict="pass", level="shown", value=0.27)
    report = report_of(passed, judged(name="ready", verdict="pass"), shown)
    folded = drawn(judgment.render_gate(report))
    assert "✔ 2 checks passed: count, ready" in folded
    assert "• 1 only shown: overlap 0.27" in folded
    assert "There are 299 points." not in folded
    every = drawn(judgment.render_gate(report, every=True))
    assert every.count("There are 299 points.") == 3
    assert "passed:" not in every


def test_a_blocking_recall_is_never_told_that_nothing_is_lost():
    found = {"measure": "nDCG@10", "n": 50, "lost": {"index": -0.01, "data": 0.0}, "cause": None}
    shown = drawn(judgment.render_gate(report_of(judged(name="ann_recall@10"), attribution=found)))
    assert "nothing is lost" not in shown
    assert "neither index nor data nor model stands out" in shown


def test_the_worst_queries_show_both_top_tens_side_by_side():
    def answer(record, score):
        return {"id": record, "record": record, "score": score, "text": f"about {record}"}

    worst = {
        "query": "cats",
        "loss": 0.5,
        "live": [answer("a", 0.9)],
        "green": [answer("b", 0.4)],
        "relevant": ["a"],
    }
    shown = drawn(
        judgment.render_gate(
            {"verdict": "block", "collection": "x", "warnings": [], "checks": [], "worst": [worst]}
        )
    )
    assert "worst: cats" in shown
    assert "* 0.900  a  about a" in shown
    assert "0.400  b  about b" in shown


def test_text_of_others_cannot_steer_the_terminal():
    message = "\x1b]0;owned\x07 \x1b[2J bad\r\nrecord"
    shown = drawn(picture.render_tree(seen(message=message)))
    assert set(shown) & {"\x1b", "\x07", "\r"} == set()
    rows = screen.make_table("ID", "RECORD")
    screen.add_row(rows, (1, message))
    assert set(drawn(rows)) & {"\x1b", "\x07", "\r"} == set()


WIDTHS = (40, 60, 80, 100, 200)
LONG = "documentation-" * 9 + "ab"


def listing(**row):
    rows = screen.make_table(
        "ALIAS", "ID", "STRATEGY", "STATUS", "AGE", "MESSAGE", drop=("STRATEGY", "AGE")
    )
    given = {"alias": "docs", "id": "abc123def456", "message": "word " * 40} | row
    status = screen.status_text("needs_operator")
    screen.add_row(
        rows, (given["alias"], given["id"], "blue_green", status, "47 min", given["message"])
    )
    return rows


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "row", [{}, {"alias": LONG}, {"message": "x" * 300}, {"message": ""}, {"alias": "文" * 60}]
)
def test_a_table_is_never_wider_than_the_terminal_and_cuts_nothing_it_shows(width, row):
    shown = drawn(listing(**row), width)
    given = {"alias": "docs", "message": "word " * 40} | row
    assert max(map(cell_len, shown.splitlines())) <= width
    assert "…" not in shown
    together = "".join(shown.split())
    assert "needs_operator" in together or width < 60
    for letter in "x文":
        assert together.count(letter) == (given["alias"] + given["message"]).count(letter)
    assert shown.count("word") == given["message"].count("word")


def test_what_has_no_room_is_left_out_least_important_first_and_named():
    lines = {width: drawn(listing(message=""), width).splitlines() for width in (200, 58, 50, 46)}
    assert lines[200][0].split() == ["ALIAS", "ID", "STRATEGY", "STATUS", "AGE", "MESSAGE"]
    assert len(lines[200]) == 3
    assert lines[58][0].split() == ["ALIAS", "ID", "STRATEGY", "STATUS", "AGE"]
    assert lines[50][0].split() == ["ALIAS", "ID", "STATUS", "AGE"]
    assert lines[50][-1] == "no room for STRATEGY; --json has all"
    assert "abc123def456  ✖ needs_operator" in lines[46][2]


def test_words_stand_below_their_row_where_they_have_too_little_room_beside_it():
    lines = drawn(listing(), 60).splitlines()
    assert lines[2].split() == [
        "docs",
        "abc123def456",
        "blue_green",
        "✖",
        "needs_operator",
        "47",
        "min",
    ]
    assert lines[3].startswith("    word word")


def test_a_column_that_may_be_cut_is_a_line_of_its_own():
    rows = screen.make_table("ID", "RECORD", cut=("RECORD",))
    screen.add_row(rows, ("abc123def456", "word " * 40))
    lines = drawn(rows, width=40).splitlines()
    assert lines[-1].startswith("abc123def456  word")
    assert lines[-1].endswith("…")
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("columns", "terminal", "width"),
    [
        ("80", False, 80),
        ("80", True, 80),
        ("", False, 10_000),
        ("0", False, 10_000),
        ("wide", False, 10_000),
    ],
)
def test_the_width_is_that_of_columns_else_of_the_terminal_and_a_pipe_has_none(
    monkeypatch, columns, terminal, width
):
    monkeypatch.setenv("COLUMNS", columns)
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    assert screen.make_console().width == width


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (9.9, "9.9 s"),
        (45, "45 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 05 min"),
        (600_000, "6 days"),
    ],
)
def test_times_are_told_in_their_two_largest_units(seconds, words):
    assert screen.format_span(seconds) == words


def test_a_clock_that_is_behind_makes_no_negative_time():
    assert screen.seconds_since("2026-11-02T02:00:05Z", "2026-11-02T02:00:00Z") == 0


@pytest.mark.parametrize("status", [*Status, *StepStatus, *ExperimentStatus])
def test_every_status_has_a_symbol_of_its_own(status):
    assert symbols.status_symbol(status) != symbols.status_symbol("a word that is no status")
