"""The command line as people use it, on the embedded default: deployments to their end, and every
refusal."""

import json
import os
import signal
import subprocess
import sys
from contextlib import chdir

import pytest

from qdrant_rollouts.interfaces.embedded import take_lock
from tests.shell import ROOT, Shell, declare, records, write

DOCS = {
    "source": "jsonl:docs/*.jsonl",
    "embedding": {"model": "hashing:256", "text": "{title}: {text}"},
    # Every text changes at once from one deployment to the next.
    "validation": {
        "queries": ["python asyncio"],
        "min_results": 5,
        "min_top_score": 0.1,
        "checks": {"collapse": False},
    },
    "soak": {"seconds": 0.2, "interval_seconds": 0.1},
}
SECRET = "geheim"


@pytest.fixture
def shell(tmp_path):
    declare(tmp_path, docs=DOCS)
    write(tmp_path / "docs" / "a.jsonl", records(40, "one"))
    return Shell(tmp_path)


class Story:
    """A first deployment, a second one with other data, one that the gate stops, one with a bad
    record."""

    def __init__(self, folder):
        self.shell = shell = Shell(folder)
        declare(folder, docs=DOCS)
        write(folder / "docs" / "a.jsonl", records(40, "one"))
        self.first = shell.json("deploy", "docs", "--wait")
        write(folder / "docs" / "a.jsonl", records(30, "two"))
        self.lines = shell("deploy", "docs", "--wait", "--reason", "new data")
        self.second = shell.json("list", "--limit", "1")["deployments"][0]
        self.failed = shell.json(
            "deploy", "docs", "--wait", "--option", "validation.min_top_score=0.99", code=1
        )
        write(folder / "bad.jsonl", [*records(7, "bad"), {"id": 7, "title": "no text"}])
        self.bad = shell.json("deploy", "docs", "--wait", "--source", "jsonl:bad.jsonl", code=1)


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    return Story(tmp_path_factory.mktemp("story"))


# --- to the end -----------------------------------------------------------------------------------


def test_the_first_deployment_of_a_declared_index_makes_the_alias(story):
    assert (story.first["status"], story.first["blue"]) == ("live", None)
    assert [step["name"] for step in story.first["steps"]] == [
        "create",
        "populate",
        "validate",
        "catch_up",
        "switch",
        "soak",
    ]
    assert {step["status"] for step in story.first["steps"]} == {"done"}
    assert story.first["gate"]["verdict"] == "pass"


def test_the_log_of_a_deployment_says_how_its_turns_ended(story):
    id = story.failed["id"]
    lines = story.shell.json("logs", id)["lines"]
    assert any(line["text"].startswith("populate done -> validate") for line in lines)
    assert lines[0]["process"]
    shown = story.shell("logs", id, "--level", "warning").stdout
    assert "validate failed: " in shown
    assert "populate done" not in shown
    assert "nothing was logged" in story.shell("logs", id, "--level", "error").stdout


def test_the_second_takes_over_from_the_first_and_says_each_change_once(story):
    assert story.lines.exit_code == 0
    assert story.second["blue"] == story.first["green"]
    assert story.shell.json("alias", "list") == {"aliases": {"docs": story.second["green"]}}
    lines = story.lines.stdout.splitlines()
    assert len(lines) == len(set(lines))
    assert "populate done: 30 points read from the source, 30 embedded" in lines
    assert lines[-1].startswith(
        f"docs {story.second['id']} live: docs is served by {story.second['green']}"
    )


def test_a_plan_says_what_is_to_do_and_a_dry_run_says_the_same(story):
    before = story.shell.facts(), story.shell.json("events", "--limit", "1000")
    planned = story.shell.json("plan", "docs", "--option", "soak.seconds=5")
    assert (planned["way"], planned["records"]["value"], planned["texts"]["value"]) == (
        "records",
        30,
        0,
    )
    assert planned["watching"]["value"] == 5
    assert len(planned["errors"]["plans"]) == 3
    dry = story.shell.json("deploy", "docs", "--dry-run", "--option", "soak.seconds=5")
    assert {**dry, "seconds": 0, "disk": 0} == {**planned, "seconds": 0, "disk": 0}
    lines = story.shell("plan", "docs").stdout.splitlines()
    assert lines[0].startswith("docs: full: every record of the source is read")
    assert lines[-1] == "nothing was changed"
    assert (story.shell.facts(), story.shell.json("events", "--limit", "1000")) == before


def test_a_plan_where_nothing_was_deployed_makes_no_folder(shell):
    planned = shell.json("plan", "docs")
    assert (planned["old_collection"], planned["texts"]["value"]) == (None, 40)
    assert sorted(path.name for path in shell.folder.iterdir()) == ["docs", "rollouts.yaml"]


def test_a_plan_refuses_as_deploy_does_with_the_same_exit_code(shell):
    for verb in ("plan", "deploy"):
        result = shell(verb, "docs", "--source", "jsonl:nowhere.jsonl")
        assert (result.exit_code, "nowhere.jsonl" in result.stderr) == (2, True)
    for ignored in (["--wait"], ["--timeout", "5"], ["--reason", "new data"]):
        result = shell("deploy", "docs", "--dry-run", *ignored)
        said = f"takes no {ignored[0]}; leave one of them out"
        assert (result.exit_code, said in result.stderr) == (2, True)


def test_a_reason_is_kept(story):
    begun = story.shell.json("status", story.second["id"])["events"][0]
    assert (begun["event"], begun["detail"].split("; ")[-1]) == ("deployment.pending", "new data")
    assert begun["actor"].endswith("@cli")


def test_a_failing_gate_ends_rolled_back_and_the_alias_has_not_moved(story):
    assert story.failed["status"] == "rolled_back"
    assert story.failed["gate"]["verdict"] == "block"
    assert "min_top_score" in story.failed["message"]
    assert not any(event["event"] == "alias.switched" for event in story.failed["events"])
    assert story.shell.json("alias", "list") == {"aliases": {"docs": story.second["green"]}}


def test_a_bad_record_is_named_by_file_line_and_field(story):
    assert story.bad["status"] == "rolled_back"
    assert "bad.jsonl:8: text: missing" in story.bad["message"]


def test_a_search_finds_what_the_alias_serves(story):
    found = story.shell.json("search", "docs", "python asyncio two", "--limit", "3")
    assert found["collection"] == story.second["green"]
    assert found["variant"] == "live"
    assert [set(hit) for hit in found["results"]] == [{"id", "score", "payload"}] * 3
    assert found["results"][0]["payload"]["text"] == "python asyncio two"


def test_validate_judges_a_collection_and_says_by_its_code_whether_it_passes(shell):
    live = shell.json("deploy", "docs", "--wait")["green"]
    report = shell.json("validate", "docs", live)
    assert (report["verdict"], report["collection"]) == ("pass", live)
    assert {"round_trip", "ann_recall@10"} <= {row["name"] for row in report["checks"]}
    strict = shell("validate", "docs", live, "--option", "validation.min_results=50")
    assert strict.exit_code == 1
    assert "min_results" in strict.stdout
    refused = shell("validate", "docs", live, "--option", "validation.checks.cuont=true")
    assert refused.exit_code == 2
    assert "'cuont' is not a check" in refused.stderr


def test_the_list_has_the_newest_first_and_what_will_be_deleted(story):
    listed = story.shell.json("list", "--alias", "docs")
    ids = [row["id"] for row in listed["deployments"]]
    assert ids == [row["id"] for row in (story.bad, story.failed, story.second, story.first)]
    assert [(row["collection"], row["status"]) for row in listed["deletions"]] == [
        (story.first["green"], "scheduled")
    ]
    assert story.shell.json("list", "--alias", "other") == {
        "deployments": [],
        "total": 0,
        "next": None,
        "deletions": [],
    }


def test_a_list_is_continued_after_its_last_row(story):
    seen = []
    after = []
    while True:
        page = story.shell.json("list", "--alias", "docs", "--limit", "3", *after)
        seen += [row["id"] for row in page["deployments"]]
        assert page["total"] == 4
        if page["next"] is None:
            break
        after = ["--after", page["next"]]
    assert seen == [row["id"] for row in (story.bad, story.failed, story.second, story.first)]
    told = story.shell("list", "--alias", "docs", "--limit", "3").stdout
    assert "3 of 4 deployments; the next ones: rollouts list" in told
    assert story.failed["id"] in told
    assert story.shell("list", "--after", "no-such").exit_code == 2


def test_a_person_sees_tables_of_the_same(story):
    listed = story.shell("list").stdout
    assert f"{story.second['id']}" in listed
    assert "✖ rolled_back" in listed
    assert "59 min" in listed
    shown = story.shell("status", story.failed["id"]).stdout
    assert "✖ validate  failed" in shown
    assert "min_top_score" in shown
    assert "deployment.rolled_back" in shown
    now = next(line for line in shown.splitlines() if line.startswith("now "))
    assert "It did not go live: validate failed: " in now
    assert "needed  Nothing at once" in shown
    told = story.shell.json("status", story.failed["id"])
    assert told["situation"]["now"] in now
    assert told["why"].startswith(told["situation"]["now"].partition(": ")[2].partition(")")[0])
    assert f"next    {told['situation']['advice']}" in shown, "the sentence goes on with the act"
    assert told["why"].endswith(f"Next: {told['situation']['advice']}")
    live = story.shell.json("status", story.second["id"])
    assert live["situation"]["now"].startswith("Version 2 went live, and serves no more") or (
        live["situation"]["now"] == "docs is served by version 2, which this deployment made live"
    )
    assert live["why"] == ""
    assert "python asyncio two" in story.shell("search", "docs", "asyncio").stdout
    assert story.second["green"] in story.shell("alias", "list").stdout


def test_a_status_is_found_by_the_beginning_of_the_id_and_watched_to_its_end(story):
    assert story.shell.json("status", story.first["id"][:8], "--watch")["id"] == story.first["id"]


def test_json_is_all_there_is_on_stdout_and_progress_goes_to_stderr(shell):
    result = shell("deploy", "docs", "--wait", "--json")
    assert json.loads(result.stdout)["status"] == "live"
    assert "populate done" in result.stderr


def test_a_rollback_goes_back_and_keeps_what_it_came_from(shell):
    first, second = (shell.json("deploy", "docs", "--wait") for _ in range(2))
    back = shell.json("rollback", "docs", "--reason", "it was better")
    assert (back["strategy"], back["status"], back["green"]) == ("rollback", "live", first["green"])
    assert shell.json("alias", "list") == {"aliases": {"docs": first["green"]}}
    due = {row["collection"]: row["status"] for row in shell.json("list")["deletions"]}
    assert due == {second["green"]: "scheduled", first["green"]: "cancelled"}


def test_a_failed_collection_is_kept_where_that_was_asked_for(shell):
    ended = shell.json(
        "deploy",
        "docs",
        "--wait",
        "--no-rollback-on-failure",
        "--option",
        "validation.min_top_score=0.99",
        code=1,
    )
    assert ended["status"] == "needs_operator"
    assert f"{ended['green']} is kept for inspection" in ended["message"]
    assert shell.json("abort", ended["id"])["status"] == "rolled_back"


# --- nobody runs it -------------------------------------------------------------------------------


def test_without_wait_the_row_is_written_and_the_person_told_that_nobody_runs_it(shell):
    result = shell("deploy", "docs", "--json")
    assert json.loads(result.stdout)["status"] == "pending"
    assert "nothing runs it until `rollouts up` is started" in result.stderr


def test_wishes_are_honoured_though_nobody_runs(shell):
    started = shell.json("deploy", "docs")["id"]
    paused = shell.json("pause", started, "--reason", "look first")
    assert (paused["status"], paused["message"].split(": ")[-1]) == ("paused", "look first")
    told = shell("status", started).stdout
    assert f"it waits for you: `rollouts resume {started}` or `rollouts abort {started}`" in told
    assert f"its newest deployment is {started}: `rollouts status" in shell("status", "docs").stderr
    resumed = shell("resume", started)
    assert "nothing runs it until `rollouts up` is started" in resumed.stderr
    assert shell.json("abort", started)["status"] == "rolled_back"
    assert shell.json("alias", "list") == {"aliases": {}}


def test_a_deployment_in_the_way_that_nobody_runs_is_continued_by_the_command_that_is_named(shell):
    started = shell.json("deploy", "docs")["id"]
    for verb in (("deploy", "docs", "--wait"), ("plan", "docs")):
        refused = shell(*verb)
        assert refused.exit_code == 2
        assert f"deployment {started} of docs is pending" in refused.stderr
        assert "no process runs it: `rollouts up` continues it" in refused.stderr
    with chdir(shell.folder), take_lock():
        assert "no process runs it" not in shell("deploy", "docs").stderr
    shell("pause", started)
    assert "no process runs it" not in shell("deploy", "docs").stderr


def test_when_the_time_runs_out_the_deployment_goes_on_and_the_code_is_4(shell):
    result = shell(
        "deploy", "docs", "--wait", "--timeout", "0.1", "--option", "soak.seconds=60", "--json"
    )
    assert result.exit_code == 4
    assert "after 0.1 s; it is resumed by the next `rollouts up`" in result.stderr
    left = json.loads(result.stdout)
    assert left["status"] in {"pending", "running"}
    assert shell.json("abort", left["id"])["status"] == "rolled_back"


# --- processes of their own -----------------------------------------------------------------------


def test_up_runs_what_other_processes_write_and_ends_when_told(shell):
    with shell.start("up", "--port", "0", "--json") as up:
        facts = _document(up.stdout)
        assert facts["pid"] == up.pid
        live = shell.json("deploy", "docs", "--wait")
        assert live["status"] == "live"
        assert live["events"][-1]["event"] == "deployment.live"
        up.send_signal(signal.SIGTERM)
        said = up.stderr.read()
        assert up.wait(20) == 0
    assert f"docs is served by {live['green']}" in said.replace("\n", " ")
    assert "stopped" in said


def test_ctrl_c_leaves_a_deployment_that_the_next_one_resumes(shell):
    # Long enough that it cannot end, on a busy machine, before the signal is there.
    soak = ("--option", "soak.seconds=15", "--option", "soak.interval_seconds=2")
    with shell.start("deploy", "docs", "--wait", *soak) as waiting:
        for line in waiting.stdout:
            if line.startswith("switch done"):
                break
        waiting.send_signal(signal.SIGINT)
        said = waiting.stderr.read()
        assert waiting.wait(60) == 130
    started = shell.json("list")["deployments"][0]["id"]
    assert f"deployment {started} is resumed by the next `rollouts up`" in said
    assert "Traceback" not in said
    with shell.start("up", "--port", "0") as up:
        seen = shell.json("status", started, "--watch")
        up.send_signal(signal.SIGINT)
        up.communicate(timeout=60)
    assert seen["status"] == "live"
    assert sum(event["event"] == "alias.switched" for event in seen["events"]) == 1


def _document(stream):
    """The JSON document that a running process has printed."""
    text = ""
    for line in stream:
        text += line
        if line == "}\n":
            return json.loads(text)
    raise AssertionError(f"no document: {text!r}")


# --- workers over a broker ------------------------------------------------------------------------

WORKER = [
    "worker",
    "--concurrency=2",
    "--queues=control,celery,rouse,bulk",
    "--without-mingle",
    "--without-gossip",
]


@pytest.fixture
def distributed(shell, redis_url, qdrant_url, qdrant_grpc_port, postgres_url, monkeypatch):
    """The shell of somebody whose settings name real servers."""
    monkeypatch.setenv("ROLLOUTS_BROKER_URL", redis_url)
    monkeypatch.setenv("ROLLOUTS_QDRANT_URL", qdrant_url)
    monkeypatch.setenv("ROLLOUTS_QDRANT_GRPC_PORT", str(qdrant_grpc_port))
    monkeypatch.setenv("ROLLOUTS_DATABASE_URL", postgres_url)
    return shell


@pytest.fixture
def worker(distributed):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "celery", "-A", "qdrant_rollouts.tasks", *WORKER]
    log = (distributed.folder / "worker.log").open("w")
    with log, subprocess.Popen(
        command, cwd=distributed.folder, env=environment, stdout=log, stderr=subprocess.STDOUT
    ) as process:  # fmt: skip
        yield process
        process.terminate()


def test_without_a_worker_the_row_is_written_and_doctor_says_what_is_missing(distributed):
    started = distributed.json("deploy", "docs")
    assert started["status"] == "pending"
    report = distributed("doctor", "--json")
    assert report.exit_code == 3
    failed = {
        check["name"]: check["advice"]
        for check in json.loads(report.stdout)["checks"]
        if check["state"] == "fail"
    }
    assert failed.keys() == {"queue bulk", "queue control", "queue rouse"}
    assert failed["queue bulk"] == "start one: celery -A qdrant_rollouts.tasks worker -Q bulk"


def test_a_worker_runs_what_the_command_line_asks_for(distributed, worker):
    live = distributed.json("deploy", "docs", "--wait", "--timeout", "60")
    assert live["status"] == "live"
    assert distributed.json("search", "docs", "asyncio")["collection"] == live["green"]
    assert distributed.json("doctor")["ok"] is True
    started = distributed.json("deploy", "docs", "--option", "soak.seconds=60")["id"]
    distributed.json("abort", started, "--reason", "enough")
    assert distributed.json("status", started, "--watch")["status"] == "rolled_back"
    assert distributed.json("alias", "list")["aliases"]["docs"] == live["green"]


# --- aliases --------------------------------------------------------------------------------------


def test_aliases_are_made_moved_and_removed(shell):
    first, second = (shell.json("deploy", "docs", "--wait")["green"] for _ in range(2))
    made = shell.json("alias", "create", "also", first)
    assert made == {"created": True, "alias": "also", "collection": first}
    moved = shell.json("alias", "switch", "also", second)
    assert moved == {"old_collection": first, "new_collection": second, "switched": True}
    assert shell.json("alias", "switch", "also", second)["switched"] is False
    assert shell("alias", "create", "also", first).exit_code == 2
    assert shell.json("alias", "create", "also", first, "--force")["created"] is True
    assert shell.json("alias", "delete", "also") == {"deleted": True}
    assert shell.json("alias", "list") == {"aliases": {"docs": second}}


# --- refused before anything changes --------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["deploy", "nowhere"], ["alias nowhere neither exists nor is declared", "docs"]),
        (["deploy", "../docs"], ["alias name '../docs' is not allowed"]),
        (
            ["deploy", "docs", "--source", "jsonl:missing/*.jsonl"],
            ["no file matches", "missing/*.jsonl"],
        ),
        (["deploy", "docs", "--source", "jsonl:gone.jsonl"], ["gone.jsonl cannot be read"]),
        (["deploy", "docs", "--source", "jsonl:empty.jsonl"], ["empty.jsonl", "empty"]),
        (
            ["deploy", "docs", "--source", "jsonl:/etc/passwd"],
            ["/etc/passwd", "ROLLOUTS_SOURCE_ROOTS"],
        ),
        (
            ["deploy", "docs", "--source", "jsonl:../x.jsonl"],
            ["../x.jsonl", "ROLLOUTS_SOURCE_ROOTS"],
        ),
        (["deploy", "docs", "--source", "s3:bucket"], ["s3:bucket", "jsonl:, csv:, dir:"]),
        (["deploy", "docs", "--source", "collection:nope"], ["nope"]),
        (["deploy", "docs", "--strategy", "rolling"], ["rolling", "build_only"]),
        (
            ["deploy", "docs", "--option", "soak.seconds=-1"],
            ["options: soak.seconds: found -1", "greater than or equal"],
        ),
        (["deploy", "docs", "--option", "soak.second=1"], ["options: soak.second: unknown key"]),
        (
            ["deploy", "docs", "--option", "soak.seconds=soon"],
            ["options: soak.seconds: found 'soon'"],
        ),
        (
            ["deploy", "docs", "--option", "grace_period_minutes=.inf"],
            ["options: grace_period_minutes"],
        ),
        (["rollback", "nowhere"], ["alias nowhere does not exist", "docs"]),
        (["status", "ffffffffffff"], ["no deployment 'ffffffffffff'", "rollouts list"]),
        (["pause", "nothing"], ["no deployment 'nothing'"]),
        (["status", ""], ["no deployment ''"]),
        (["alias", "switch", "docs", "nope"], ["collection nope does not exist"]),
        (["alias", "create", "more", "nope"], ["collection nope does not exist"]),
        (["alias", "create", "a b", "nope"], ["alias name 'a b' is not allowed"]),
        (["alias", "delete", "nowhere"], ["alias nowhere does not exist", "docs"]),
        (["search", "nowhere", "x"], ["alias nowhere does not exist", "docs"]),
    ],
)
def test_what_makes_no_sense_is_refused_in_words_and_changes_nothing(story, arguments, words):
    (story.shell.folder / "empty.jsonl").write_text("")
    before = story.shell.facts()
    result = story.shell(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("refused: ")
    assert [word for word in words if word not in result.stderr] == []
    assert story.shell.facts() == before


@pytest.mark.parametrize("verb", ["pause", "resume", "promote", "abort"])
def test_a_wish_for_an_ended_deployment_is_refused(story, verb):
    result = story.shell(verb, story.first["id"])
    assert result.exit_code == 2
    assert f"{verb} is not possible: the deployment is live; it has ended" in result.stderr


def test_an_alias_may_not_have_a_collections_name(story):
    collection = story.second["green"]
    result = story.shell("alias", "create", collection, story.first["green"])
    assert result.exit_code == 2
    assert f"{collection} is a collection's name" in result.stderr
    declare(story.shell.folder, docs=DOCS, **{collection: DOCS})
    result = story.shell("deploy", collection)
    declare(story.shell.folder, docs=DOCS)
    assert result.exit_code == 2
    assert f"{collection} is a collection's name" in result.stderr


def test_a_second_deployment_of_an_index_names_the_first(shell):
    first = shell.json("deploy", "docs")["id"]
    result = shell("deploy", "docs", "--wait")
    assert result.exit_code == 2
    assert f"deployment {first} of docs is pending" in result.stderr
    assert [row["id"] for row in shell.json("list")["deployments"]] == [first]


def test_a_rollback_needs_a_version_to_go_back_to(shell):
    live = shell.json("deploy", "docs", "--wait")["green"]
    result = shell("rollback", "docs")
    assert result.exit_code == 2
    assert f"docs has no version before {live} to go back to" in result.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("indexes: {docs: {sauce: x}}", "indexes.docs.sauce: unknown key"),
        (
            "indexes: {docs: {validation: {min_results: many}}}",
            "indexes.docs.validation.min_results: found 'many'",
        ),
        (
            "indexes: {docs: {validation: {min_top_score: 7}}}",
            "indexes.docs.validation.min_top_score: found 7",
        ),
        ("indexes: {docs: {soak: {seconds: -300}}}", "indexes.docs.soak.seconds: found -300"),
        (
            "indexes: {docs: {grace_period_minutes: -1}}",
            "indexes.docs.grace_period_minutes: found -1",
        ),
        ("indexes: {docs: {}, docs: {}}", "key 'docs' appears twice"),
        ("indexes: {docs: {soak: {seconds: 1, seconds: 2}}}", "key 'seconds' appears twice"),
        ("indexes: {'a/b': {}}", "index name 'a/b' is not allowed"),
        ("indexes: [docs]", "indexes: found"),
        ("indexes: {docs", "cannot be read"),
        ("indexes: {docs: {rebuild: hourly}}", "indexes.docs.rebuild: found 'hourly'"),
    ],
)
def test_a_wrong_index_file_is_refused_with_path_and_value(shell, content, words):
    (shell.folder / "rollouts.yaml").write_text(content, encoding="utf-8")
    result = shell("deploy", "docs", "--wait")
    assert result.exit_code == 2
    assert result.stderr.startswith("refused: rollouts.yaml: ")
    assert words in result.stderr
    assert shell("list", "--json").exit_code == 0
    assert shell("doctor").exit_code == 2


def test_a_wrong_variable_is_refused_and_a_misspelt_one_mentioned(shell):
    result = shell("list", ROLLOUTS_QDRANT_GRPC_PORT="many")
    assert result.exit_code == 2
    assert "ROLLOUTS_QDRANT_GRPC_PORT: found 'many'" in result.stderr
    result = shell("list", ROLLOUTS_QDRANT_ULR="http://127.0.0.1:1")
    assert result.exit_code == 0
    assert "did you mean ROLLOUTS_QDRANT_URL?" in result.stderr


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("ROLLOUTS_DATABASE_URL", f"oracle://me:{SECRET}@127.0.0.1/x", "no driver for oracle"),
        ("ROLLOUTS_DATABASE_URL", f"nosuch://me:{SECRET}@127.0.0.1/x", "no driver for nosuch"),
        (
            "ROLLOUTS_BROKER_URL",
            f"nosuch://me:{SECRET}@127.0.0.1/x",
            "nosuch:// is not supported as a broker",
        ),
        (
            "ROLLOUTS_BROKER_URL",
            f"redis://me:{SECRET}@127.0.0.1:x/0",
            "ROLLOUTS_BROKER_URL is not a broker URL",
        ),
    ],
)
def test_a_url_that_nothing_here_can_open_is_refused_without_its_password(
    shell, variable, value, words
):
    result = shell("deploy", "docs", **{variable: value})
    assert result.exit_code == 2
    assert words in result.stderr
    assert SECRET not in result.output


def test_a_terminal_without_our_symbols_gets_their_numbers(story):
    done = subprocess.run(
        [sys.executable, "-m", "qdrant_rollouts.interfaces.cli", "list"],
        cwd=story.shell.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert "\\u2714 live" in done.stdout


def test_up_is_refused_where_workers_run_the_deployments(shell):
    result = shell("up", ROLLOUTS_BROKER_URL="redis://127.0.0.1:1/0")
    assert result.exit_code == 2
    assert "ROLLOUTS_BROKER_URL" in result.stderr


# --- a server that does not answer ----------------------------------------------------------------

QDRANT = {
    "ROLLOUTS_QDRANT_URL": f"http://me:{SECRET}@127.0.0.1:1",
    "ROLLOUTS_QDRANT_API_KEY": SECRET,
}
REDIS = {"ROLLOUTS_BROKER_URL": f"redis://me:{SECRET}@127.0.0.1:1/0"}
POSTGRES = {"ROLLOUTS_DATABASE_URL": f"postgresql://me:{SECRET}@127.0.0.1:1/state"}


@pytest.mark.parametrize(
    ("environment", "which"),
    [(QDRANT, "Qdrant at http://127.0.0.1:1"), (REDIS, "broker at redis://127.0.0.1:1/0"),
     (POSTGRES, "database at postgresql://127.0.0.1:1/state")],
)  # fmt: skip
def test_a_server_that_does_not_answer_is_named_without_credentials_and_nothing_changes(
    shell, environment, which
):
    before = shell.facts()
    result = shell("deploy", "docs", "--wait", **environment)
    assert result.exit_code == 3
    assert result.stderr.startswith("unavailable: ")
    assert which in result.stderr
    assert SECRET not in result.output
    assert shell.facts() == before


@pytest.mark.parametrize(
    "arguments", [["pause", "abc"], ["rollback", "docs"], ["abort", "abc", "--json"]]
)
def test_a_wish_is_not_written_down_while_the_broker_is_away(shell, arguments):
    result = shell(*arguments, **REDIS)
    assert result.exit_code == 3
    assert "broker at redis://127.0.0.1:1/0" in result.stderr


@pytest.mark.parametrize("arguments", [["search", "docs", "x"], ["alias", "list", "--json"]])
def test_a_look_that_cannot_reach_qdrant_is_no_empty_answer(shell, arguments):
    result = shell(*arguments, **QDRANT)
    assert result.exit_code == 3
    assert result.stdout == ""
    assert SECRET not in result.output


# --- doctor ---------------------------------------------------------------------------------------


def test_doctor_finds_nothing_wrong_with_the_default_and_leaves_nothing_behind(shell):
    report = shell.json("doctor")
    states = {check["name"]: check["state"] for check in report["checks"]}
    assert report["ok"] is True
    assert states == {
        "settings": "ok",
        "index file": "ok",
        "runner": "warn",
        "qdrant": "ok",
        "database": "ok",
        "records docs": "ok",
    }
    assert not (shell.folder / ".rollouts" / "state.db").exists()


def test_doctor_names_each_server_that_does_not_answer_and_what_to_do(shell):
    result = shell("doctor", "--json", **QDRANT, **REDIS, **POSTGRES)
    assert result.exit_code == 3
    failed = {
        check["name"]: check
        for check in json.loads(result.stdout)["checks"]
        if check["state"] == "fail"
    }
    assert failed.keys() == {"broker", "qdrant", "database"}
    assert all(check["advice"] for check in failed.values())
    assert SECRET not in result.output


def test_doctor_says_what_this_version_will_not_do(shell):
    declare(
        shell.folder,
        docs={**DOCS, "source": "jsonl:gone.jsonl"},
        more={**DOCS, "strategy": "rolling", "embedding": {"model": "nobody:1"}},
    )
    shell("list")
    report = shell.json("doctor")
    warned = [
        f"{check['name']}: {check['value']}"
        for check in report["checks"]
        if check["state"] == "warn"
    ]
    for words in ("docs: gone.jsonl", "more: strategy rolling", "more: embedding model 'nobody:1'"):
        assert any(words in line for line in warned), words


def test_doctor_finds_by_day_what_a_deployment_would_be_refused_for_at_night(shell):
    """Each with the words of the deployment, the file with its line, and what to do."""
    shell("deploy", "docs", "--wait")
    line = {"query": "python", "relevant": [1, "nobody"]}
    write(shell.folder / "empty.jsonl", [])
    write(shell.folder / "twice.jsonl", [line, line])
    write(shell.folder / "gone.jsonl", [line])
    (shell.folder / "bad.jsonl").write_text('{"query": "python", "relevant": [0]}\n{"query"\n')
    for judged, words in {
        "empty.jsonl": "empty.jsonl holds no record",
        "absent.jsonl": "absent.jsonl cannot be read",
        "twice.jsonl": "twice.jsonl:2: query 'python' appears twice",
        "bad.jsonl": "bad.jsonl:2: not JSON",
    }.items():
        declare(shell.folder, docs={**DOCS, "validation": {"judged": judged}})
        (found,) = doctor_warnings(shell, "judged docs")
        assert words in found["value"]
        assert judged in found["advice"]
        refused = shell("deploy", "docs")
        assert (refused.exit_code, found["value"] in refused.output) == (2, True)
    declare(shell.folder, docs={**DOCS, "validation": {"judged": "gone.jsonl"}})
    few, gone = doctor_warnings(shell, "judged docs")
    assert "1 judged query is fewer than the 50" in few["value"]
    assert "'gone.jsonl': 1 record is not in docs_" in gone["value"]
    assert "'nobody' of 'python'" in gone["value"]
    assert "the gate leaves them out" in gone["advice"]
    declare(
        shell.folder,
        docs={**DOCS, "search": {"prefetch": [{"vector": "sparse"}, {"vector": "dense"}]}},
        first={**DOCS, "strategy": "canary"},
    )
    for alias, words in {"docs": "sparse", "first": "deploy it with blue_green first"}.items():
        (found,) = doctor_warnings(shell, f"index {alias}")
        assert words in found["value"]
        refused = shell("deploy", alias)
        assert (refused.exit_code, found["value"] in refused.output) == (2, True)
    few = {"judged": "gone.jsonl", "samples": {"judged": 1}}
    write(shell.folder / "gone.jsonl", [{**line, "relevant": [1]}])
    declare(shell.folder, docs={**DOCS, "validation": few})
    assert not doctor_warnings(shell, "judged docs")


def doctor_warnings(shell, name):
    checks = shell.json("doctor")["checks"]
    return [one for one in checks if one["name"] == name and one["state"] == "warn"]


def test_doctor_sees_a_deployment_that_needs_a_person(shell):
    shell(
        "deploy",
        "docs",
        "--wait",
        "--no-rollback-on-failure",
        "--option",
        "validation.min_top_score=0.99",
    )
    checks = shell.json("doctor")["checks"]
    needing = [check for check in checks if check["name"].startswith("deployment")]
    assert [check["state"] for check in needing] == ["warn"]
    assert "rollouts abort" in needing[0]["advice"]
