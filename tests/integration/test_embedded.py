"""The engine on threads of one process: it does what Celery, Redis and beat do elsewhere."""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.errors import Busy, Refused
from qdrant_rollouts.core.experiments import commands as experiments
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.ports import Point
from qdrant_rollouts.interfaces.embedded import TIMES, Embedded, running_elsewhere, take_lock
from qdrant_rollouts.wiring import build_services

ROOT = Path(__file__).parents[2]
FAST = {"soak": {"seconds": 0.2, "interval_seconds": 0.1}}
OTHER_RUNNER = (
    "import sys; from qdrant_rollouts.interfaces.embedded import take_lock; held = take_lock(); "
    "print('has it', flush=True); input()"
)


@pytest.fixture
def settings(tmp_path):
    """An installation with nothing set, and one index of ready-made vectors."""
    records = [{"id": number, "vector": [1.0, float(number)]} for number in range(20)]
    (tmp_path / "docs.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    (tmp_path / "rollouts.yaml").write_text(
        json.dumps({"indexes": {"docs": {"source": "jsonl:docs.jsonl", **FAST}}}), encoding="utf-8"
    )
    return Settings(_env_file=None)


@pytest.fixture
def runner(settings):
    made = Embedded(settings, replace(TIMES, turn_time=1.0))
    with closed_in_the_end(made.services):
        yield made


@contextmanager
def closed_in_the_end(services):
    yield
    services.close()


def deploy(runner, **arguments):
    return commands.start_deployment(runner.services, "docs", actor="anna", **arguments)


def status(runner, deployment_id):
    return queries.get_deployment(runner.services, deployment_id)["status"]


def until(condition, seconds=20):
    pause = threading.Event()
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not happen in time"
        pause.wait(0.05)


def test_a_deployment_goes_live(runner):
    with runner:
        started = deploy(runner)
        until(lambda: status(runner, started) == "live")
    assert queries.list_aliases(runner.services)["docs"].startswith("docs_")
    assert [
        step["status"] for step in queries.get_deployment(runner.services, started)["steps"]
    ] == ["done"] * 6


def test_a_knock_without_a_runner_is_dropped_and_the_row_waits_for_the_next_one(runner):
    started = deploy(runner)
    assert status(runner, started) == "pending"
    with runner:
        until(lambda: status(runner, started) == "live")


def test_a_row_that_another_process_wrote_is_found_by_the_sweep(runner, settings):
    with runner:
        elsewhere = build_services(settings, knock=lambda knock: None)
        with closed_in_the_end(elsewhere):
            started = commands.start_deployment(elsewhere, "docs", actor="ben")
        until(lambda: status(runner, started) == "live")


def test_a_sweep_that_fails_keeps_no_other_from_its_work(runner, caplog):
    services = runner.services
    schema = {"params": {"vectors": {"size": 2, "distance": "Dot"}}, "payload_schema": {}}
    services.store.create("spare", schema, {})
    commands.safe_delete_collection(services, "spare", actor="anna", grace_period_minutes=0)
    with services.sessions.begin() as session:
        session.execute(text("DROP TABLE schedules"))
    with runner:
        until(lambda: "spare" not in services.store.collections())
    assert "schedules.sweep is tried again by a later sweep" in caplog.text


def declare_texts(folder, size, **settings):
    """The index gets vectors of this size from its texts."""
    index = {
        **FAST,
        "embedding": {"model": f"hashing:{size}", "text": "{text}"},
        "accept_new_model": True,
        "validation": {"samples": {"records": 12, "queries": 12}, "min_top_score": -1.0},
        **settings,
    }
    (folder / "rollouts.yaml").write_text(json.dumps({"indexes": {"docs": index}}))


def test_the_older_version_gets_writes_while_an_experiment_compares_it(runner, tmp_path):
    records = [{"id": number, "text": f"text {number} about asyncio"} for number in range(30)]
    (tmp_path / "docs.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    store = runner.services.store
    with runner:
        for size, source in ((64, "jsonl:docs.jsonl"), (48, "live")):
            declare_texts(tmp_path, size, source=source)
            started = deploy(runner)
            until(lambda started=started: status(runner, started) == "live")
        seen = queries.get_deployment(runner.services, started)
        written = {"id": 99, "text": "written meanwhile"}
        store.upsert(seen["green"], [Point(99, [1.0] * 48, written)])
        experiments.create_experiment(
            runner.services, "older", seen["green"], [seen["blue"]], actor="anna"
        )
        until(lambda: store.fetch(seen["blue"], [99], vectors=True), seconds=60)
    [point] = store.fetch(seen["blue"], [99], vectors=True)
    assert (point.payload["text"], len(point.vector)) == ("written meanwhile", 64)


def test_a_wish_is_honoured_between_turns(runner):
    with runner:
        started = deploy(runner, options={"soak": {"seconds": 60, "interval_seconds": 0.1}})
        until(lambda: queries.get_deployment(runner.services, started)["steps"][-1]["started_at"])
        commands.request_action(runner.services, started, Event.ABORT, actor="anna")
        until(lambda: status(runner, started) == "rolled_back")
    assert queries.list_aliases(runner.services) == {}


def test_one_that_was_stopped_goes_on_where_it_was(runner):
    with runner:
        started = deploy(runner, options={"soak": {"seconds": 0.6, "interval_seconds": 0.3}})
        until(lambda: queries.get_deployment(runner.services, started)["steps"][-1]["started_at"])
    turn = queries.get_deployment(runner.services, started)["turn"]
    threading.Event().wait(0.4)
    assert queries.get_deployment(runner.services, started)["turn"] == turn
    with runner:
        until(lambda: status(runner, started) == "live")
    built = [
        event
        for event in queries.get_deployment(runner.services, started)["events"]
        if event["event"] == "create.done"
    ]
    assert len(built) == 1


def test_stopping_waits_for_the_turn_under_way(runner, tmp_path):
    records = ({"id": number, "vector": [1.0, float(number)]} for number in range(100_000))
    (tmp_path / "docs.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    with runner:
        started = deploy(runner)
        until(lambda: queries.get_deployment(runner.services, started)["steps"][1]["progress"])
    left = queries.get_deployment(runner.services, started)
    assert (left["status"], left["lease_owner"]) == ("running", None)
    assert 0 < left["steps"][1]["progress"]["records"] < 100_000


def test_a_second_runner_of_the_folder_is_refused_and_told_who_runs(runner):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER_RUNNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    with other:
        assert other.stdout.readline() == "has it\n"
        assert running_elsewhere() == str(other.pid)
        with pytest.raises(
            Refused, match=f"process {other.pid} runs the deployments of this folder already"
        ):
            runner.start()
        other.communicate("\n", timeout=20)
    assert running_elsewhere() is None
    with runner:
        assert running_elsewhere() == str(os.getpid())
    assert running_elsewhere() is None


def test_the_lock_is_let_go_of_with_its_file():
    with closing(take_lock()), pytest.raises(Refused):
        take_lock()
    take_lock().close()


def test_an_idle_runner_lends_the_embedded_store_and_a_busy_one_does_not(runner, settings):
    elsewhere = build_services(settings, knock=lambda knock: None)
    with closed_in_the_end(elsewhere), runner:
        started = deploy(runner, options={"soak": {"seconds": 2, "interval_seconds": 0.5}})
        until(lambda: queries.get_deployment(runner.services, started)["steps"][-1]["started_at"])
        with pytest.raises(Busy):
            elsewhere.store.aliases()
        until(lambda: status(runner, started) == "live")
        until(lambda: can_look(elsewhere))


def test_asked_to_stop_it_ends_its_wait(runner):
    with runner:
        threading.Timer(0.2, runner.ask_to_stop).start()
        runner.wait()


def test_a_turn_ends_soon_enough_for_somebody_at_the_terminal():
    assert TIMES.turn_time <= 5


def can_look(services):
    try:
        services.store.aliases()
    except Busy:
        return False
    return True
