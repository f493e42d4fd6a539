"""What is logged while a deployment's turns run is stored with it: bounded, without secrets, and
never at the price of a turn."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from qdrant_rollouts.adapters.qdrant_local import LocalStore
from qdrant_rollouts.core.deployments import engine, turn_log
from qdrant_rollouts.core.errors import Malformed, Unknown
from qdrant_rollouts.core.operations.views import log_lines
from qdrant_rollouts.core.sanitize.redaction import forget_secrets, remember_secret
from tests.mortal import Killed
from tests.world import World, texts

SECRET = "s3cr3t-of-the-server"
OURS = logging.getLogger("qdrant_rollouts.adapters.example")
THEIRS = logging.getLogger("library")


class Talking(LocalStore):
    """Logs as libraries do."""

    def create(self, *arguments: Any, **named: Any) -> None:
        OURS.warning("ours: the server asked for %s", SECRET)
        THEIRS.info("theirs: a detail")
        THEIRS.warning("theirs: a warning")
        super().create(*arguments, **named)


class Dying(LocalStore):
    """Its first worker is killed in the middle of a turn."""

    killed = False

    def create(self, *arguments: Any, **named: Any) -> None:
        OURS.warning("about to create")
        if not self.killed:
            self.killed = True
            raise Killed
        super().create(*arguments, **named)


class Filling(LocalStore):
    """Logs each piece that is written, and looks what is stored before it."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.seen: list[list[str]] = []
        self.look: Callable[[], list[str]] = list

    def upsert(self, *arguments: Any, **named: Any) -> None:
        self.seen.append(self.look())
        OURS.warning("piece %s", len(self.seen))
        super().upsert(*arguments, **named)


@pytest.fixture
def world(tmp_path, ready_sqlite_url):
    made = World(tmp_path, ready_sqlite_url, Talking(":memory:"))
    made.declare("docs", source=made.write("docs.jsonl", texts(30)))
    yield made
    made.close()


def lines(world, id, level="info"):
    return log_lines.list_log_lines(world.services, id, level)["lines"]


def said(world, id, level="info"):
    return [line["text"] for line in lines(world, id, level)]


def log_within_a_turn(world, id, *records, level=logging.WARNING):
    with turn_log.keep_lines(world.services, id, "worker-1"):
        for record in records:
            OURS.log(level, record)


def test_a_deployment_keeps_what_its_turns_logged_and_how_they_ended(world):
    started = world.deploy("docs")
    world.run()
    found = lines(world, started)
    assert {line["process"] for line in found} == {"hand"}
    told = [line["text"] for line in found]
    assert told.index("theirs: a warning") < next(
        place for place, line in enumerate(told) if line.startswith("create done -> populate (")
    )
    assert told[-1].startswith("docs is served by ")
    assert "theirs: a detail" not in told, "of others only warnings"
    assert [line["level"] for line in found if line["text"].startswith("ours")] == ["warning"]


def test_a_failed_step_is_a_warning_that_the_filter_leaves(world):
    queries = {"queries": ["asyncio"], "min_top_score": 1.0}
    started = world.deploy("docs", options={"validation": queries})
    world.run()
    warnings = said(world, started, "warning")
    assert any(line.startswith("validate failed: ") for line in warnings)
    assert not any("done -> " in line for line in warnings)
    assert said(world, started, "error") == []


def test_what_is_logged_outside_of_a_turn_belongs_to_no_deployment(world):
    started = world.deploy("docs")
    OURS.warning("between two turns")
    world.run()
    OURS.warning("after the last one")
    assert not {"between two turns", "after the last one"} & set(said(world, started))


def test_no_secret_is_stored_in_a_message_or_a_traceback(world):
    remember_secret(SECRET)
    try:
        started = world.deploy("docs")
        world.run(until=world.at(started, "populate"))
        with turn_log.keep_lines(world.services, started, "worker-1"):
            try:
                raise ValueError(f"wrong key {SECRET}")
            except ValueError:
                OURS.exception("it failed")
    finally:
        forget_secrets()
    stored = "\n".join(said(world, started))
    assert "ours: the server asked for ***" in stored
    assert "ValueError: wrong key ***" in stored
    assert SECRET not in stored


def test_a_long_line_is_cut_and_a_long_traceback_keeps_its_end(world):
    started = world.deploy("docs")
    with turn_log.keep_lines(world.services, started, "worker-1"):
        OURS.warning("x" * 100_000)
        try:
            raise ValueError("y" * 100_000 + " the end")
        except ValueError:
            OURS.exception("it failed")
    message, trace = said(world, started)
    assert len(message) == 2000
    assert message.endswith("(100,000 characters)")
    assert len(trace) < 5000
    assert trace.startswith("it failed\n…")
    assert trace.endswith(" the end")


def test_a_record_that_cannot_be_formatted_stops_nobody(world, capsys):
    started = world.deploy("docs")
    with turn_log.keep_lines(world.services, started, "worker-1"):
        logging.getLogger("qdrant_rollouts.turns").warning("%d lines", "no number")
        OURS.warning("the next one")
    assert said(world, started) == ["the next one"]
    assert "Logging error" in capsys.readouterr().err


def test_what_no_database_and_no_terminal_takes_is_spelled_out(tmp_path, ready_url, monkeypatch):
    # A report of pytest-xdist with half a character does not reach the process that prints it.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    world = World(tmp_path, ready_url)
    world.declare("docs", source=world.write("docs.jsonl", texts(5)))
    started = world.deploy("docs")
    log_within_a_turn(
        world, started, "nul \0, half \ud800", "red \x1b[31m", "one\r\ntwo\u2028three\tüñ"
    )
    assert said(world, started) == [
        "nul \\x00, half \\ud800",
        "red \\x1b[31m",
        "one\ntwo\\u2028three\tüñ",
    ]
    world.close()


def test_the_newest_lines_of_a_deployment_remain(tmp_path, ready_url):
    world = World(tmp_path, ready_url)
    world.declare("docs", source=world.write("docs.jsonl", texts(5)))
    started = world.deploy("docs")
    for turn in range(7):
        log_within_a_turn(world, started, *(f"{turn}-{number}" for number in range(100)))
    stored = said(world, started)
    assert len(stored) == turn_log.MOST_LINES
    assert (stored[0], stored[-1]) == ("2-0", "6-99")
    log_within_a_turn(world, started, *(f"7-{number}" for number in range(300)))
    assert said(world, started)[-100] == "7-200", "of one turn the newest hundred"
    world.close()


def test_lines_that_cannot_be_stored_cost_no_turn(world, caplog):
    with world.engine.begin() as connection:
        connection.execute(text("DROP TABLE log_lines"))
    started = world.deploy("docs")
    world.run()
    assert world.status(started)["status"] == "live"
    assert f"log lines of deployment {started} are lost: OperationalError" in caplog.text


def test_a_fault_of_ours_while_lines_are_stored_costs_no_turn(world, caplog):
    started = world.deploy("docs")
    odd = "of a worker \ud800"
    with turn_log.keep_lines(world.services, started, odd):
        OURS.warning("a line")
    assert f"log lines of deployment {started} are lost: UnicodeEncodeError" in caplog.text


def test_the_turn_after_a_killed_one_has_its_lines(tmp_path, ready_sqlite_url):
    world = World(tmp_path, ready_sqlite_url, Dying(":memory:"))
    world.declare("docs", source=world.write("docs.jsonl", texts(5)))
    started = world.deploy("docs")
    with pytest.raises(Killed):
        world.run()
    OURS.warning("by another turn of this process")
    world.clock.move(world.services.times.lease + 1)
    engine.knock_overdue_turns(world.services)
    world.run()
    assert world.status(started)["status"] == "live"
    told = said(world, started)
    assert "by another turn of this process" not in told
    assert any(line.startswith("create done -> populate") for line in told)
    world.close()


def test_a_turn_that_saves_its_state_has_stored_its_lines_before_it_is_killed(
    tmp_path, ready_sqlite_url
):
    world = World(tmp_path, ready_sqlite_url, Filling(":memory:"))
    world.declare("docs", source=world.write("docs.jsonl", texts(300)))
    started = world.deploy("docs")
    world.store.look = lambda: said(world, started)
    world.run()
    second = world.store.seen[1]
    assert "piece 1" in second, "while the turn runs"
    assert "piece 2" not in second
    told = said(world, started)
    pieces = [f"piece {number}" for number in range(1, len(world.store.seen) + 1)]
    assert [line for line in told if line.startswith("piece")] == pieces, "each once, in order"
    world.close()


def test_lines_of_a_running_turn_that_cannot_be_stored_wait_for_its_end(world, caplog):
    started = world.deploy("docs")
    with turn_log.keep_lines(world.services, started, "worker-1"):
        OURS.warning("the first")
        with world.engine.begin() as connection:
            connection.execute(text("ALTER TABLE log_lines RENAME TO away"))
        turn_log.store_so_far()
        with world.engine.begin() as connection:
            connection.execute(text("ALTER TABLE away RENAME TO log_lines"))
        OURS.warning("the second")
    assert said(world, started) == ["the first", "the second"]
    assert "are lost" not in caplog.text


def test_a_turn_without_end_stores_a_bounded_number_of_lines_while_it_runs(world):
    started = world.deploy("docs")
    with turn_log.keep_lines(world.services, started, "worker-1"):
        for number in range(150):
            OURS.warning("%s", number)
        turn_log.store_so_far()
        assert said(world, started) == [str(number) for number in range(50, 150)]
        OURS.warning("one more")
        turn_log.store_so_far()
        assert "one more" not in said(world, started)
    assert said(world, started)[-1] == "one more"


def test_lines_of_slices_are_lines_of_their_deployment(world):
    world.declare("docs", source=world.write("docs.jsonl", texts(90)), populate={"parallel": 3})
    started = world.deploy("docs")
    world.run()
    told = [line.partition(":")[0] for line in said(world, started)]
    assert {"slice 1", "slice 2", "slice 3"} <= set(told)


def test_old_lines_are_deleted(world):
    started = world.deploy("docs")
    log_within_a_turn(world, started, "old")
    world.clock.move(turn_log.KEEP.total_seconds() - 60)
    log_within_a_turn(world, started, "new")
    assert turn_log.forget_old_lines(world.services) == 0
    world.clock.move(120)
    assert turn_log.forget_old_lines(world.services) == 1
    assert said(world, started) == ["new"]


def test_a_short_watch_adds_no_line_for_each_look(world):
    started = world.deploy("docs", options={"soak": {"seconds": 60, "interval_seconds": 1}})
    world.run()
    assert len(said(world, started)) < 15


def test_a_level_or_an_id_that_does_not_exist_is_refused(world):
    started = world.deploy("docs")
    with pytest.raises(Malformed, match="known: info, warning, error"):
        log_lines.list_log_lines(world.services, started, "loud")
    with pytest.raises(Unknown):
        log_lines.list_log_lines(world.services, "nosuch")
