"""Schedules from the command line as people use them, on the embedded default."""

import signal
import threading
import time
from contextlib import closing

import pytest

from tests.shell import Shell, declare, records, write

DOCS = {
    "source": "jsonl:docs/*.jsonl",
    "embedding": {"model": "hashing:64", "text": "{title}: {text}"},
    "soak": {"seconds": 0.2, "interval_seconds": 0.1},
    "validation": {"samples": {"records": 12, "queries": 12}},
    "rebuild": {"cron": "0 2 * * *", "zone": "Europe/Berlin"},
}


@pytest.fixture
def shell(tmp_path):
    declare(tmp_path, docs=DOCS)
    write(tmp_path / "docs" / "a.jsonl", records(20, "one"))
    return Shell(tmp_path)


def the_schedule(shell):
    (found,) = shell.json("schedule", "list", "--alias", "docs")["schedules"]
    return found


def test_the_list_has_what_the_index_file_says_before_anything_runs(shell):
    seen = the_schedule(shell)
    assert (seen["alias"], seen["action"], seen["status"], seen["cron"]) == (
        "docs",
        "rebuild",
        "on",
        "0 2 * * *",
    )
    assert seen["next_at"].endswith(("T00:00:00.000Z", "T01:00:00.000Z"))
    assert seen["runs"] == []
    shown = shell("schedule", "list").stdout
    assert "Europe/Berlin" in shown
    assert "times are UTC" in shown


def test_nothing_declared_is_said(tmp_path):
    declare(tmp_path)
    shell = Shell(tmp_path)
    assert shell.json("schedule", "list") == {"schedules": []}
    assert "no schedules" in shell("schedule", "list").stdout


def test_a_pause_a_resume_and_a_change_are_shown(shell):
    paused = shell.json("schedule", "pause", "docs", "--reason", "holidays")["schedules"][0]
    assert (paused["status"], paused["reason"], paused["next_at"]) == ("paused", "holidays", None)
    assert "paused by" in shell("schedule", "list").stdout
    assert shell.json("schedule", "resume", "docs", "rebuild")["schedules"][0]["status"] == "on"
    changed = shell.json(
        "schedule", "set", "docs", "rebuild", "--cron", "30 4 * * *", "--option", "misfire=skip"
    )
    assert [changed["schedules"][0][key] for key in ("cron", "zone", "misfire")] == [
        "30 4 * * *",
        "Europe/Berlin",
        "skip",
    ]
    assert "not as in the index file" in shell("schedule", "list").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "docs", "polish"), "action 'polish' is not known"),
        (("run", "nobody", "rebuild"), "nobody has no schedule of rebuild; known: docs rebuild"),
        (("pause", "nobody"), "nobody has no schedule; known: docs rebuild"),
        (
            ("set", "docs", "rebuild", "--cron", "hourly"),
            "cron: found 'hourly'; expected five cron fields",
        ),
        (
            ("set", "docs", "rebuild", "--zone", "Mars"),
            "zone: found 'Mars'; expected UTC or a time zone",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(shell, arguments, said):
    before = the_schedule(shell)
    refused = shell("schedule", *arguments)
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert the_schedule(shell) == before


def until(shell, status):
    ends = time.monotonic() + 90
    pause = threading.Event()
    while time.monotonic() < ends:
        runs = the_schedule(shell)["runs"]
        if runs and runs[0]["status"] == status:
            return runs[0]
        pause.wait(0.5)
    raise AssertionError(the_schedule(shell))


def test_a_running_process_does_what_was_asked_for_and_then_finds_nothing_to_do(shell):
    asked = shell("schedule", "run", "docs", "rebuild", "--reason", "new prices", "--json")
    assert asked.exit_code == 0
    assert "it does not run until `rollouts up` is started" in asked.stderr
    with shell.start("up", "--port", "0") as up, closing(up.stdout):
        try:
            done = until(shell, "done")
            assert shell.json("status", done["deployment_id"])["status"] == "live"
            shell.json("schedule", "run", "docs", "rebuild")
            assert "nothing to do" in until(shell, "unchanged")["message"]
        finally:
            up.send_signal(signal.SIGTERM)
            up.communicate(timeout=30)
    assert shell.json("list")["deployments"][0]["id"] == done["deployment_id"]
    assert "✔ unchanged" in shell("schedule", "list").stdout


def test_the_doctor_names_schedules_that_failed(shell):
    assert "schedule docs rebuild" not in shell("doctor").stdout  # no database yet
    shell("schedule", "resume", "docs")
    assert "schedule docs rebuild" in shell("doctor").stdout
