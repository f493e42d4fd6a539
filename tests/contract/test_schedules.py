"""Schedules, on SQLite and on PostgreSQL: the test is the clock, beat and every worker."""

import dataclasses
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from qdrant_rollouts.core.config.index_file import ScheduleSpec, validate_as
from qdrant_rollouts.core.database.models import EventRow
from qdrant_rollouts.core.database.schedule_rows import Schedule, ScheduleRun
from qdrant_rollouts.core.deployments import commands as deploying
from qdrant_rollouts.core.deployments import engine
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.operations.schedules import commands, declared, queries, sweep
from qdrant_rollouts.core.operations.schedules import runs as records
from qdrant_rollouts.core.ports import Knock
from tests.schedules import (
    NIGHTLY,
    Died,
    Failing,
    at,
    declare,
    deployments,
    runs,
    swept,
    the_schedule,
)
from tests.world import World, texts


@pytest.fixture
def night(world: World) -> World:
    """``docs`` is declared and known at noon before the first night."""
    at(world, "2026-11-01T12:00")
    declare(world)
    sweep.sweep_schedules(world.services)
    return world


# --- every time once ------------------------------------------------------------------------------


def test_a_night_comes_a_deployment_is_made_and_its_end_is_the_runs(night: World) -> None:
    at(night, "2026-11-02T02:00")
    swept(night)
    swept(night)
    (run,) = the_schedule(night)["runs"]
    assert (run["nominal_at"], run["status"]) == ("2026-11-02T02:00:00.000Z", "done")
    assert night.status(run["deployment_id"])["status"] == "live"
    assert night.status(run["deployment_id"])["message"] == run["message"]
    assert the_schedule(night)["next_at"] == "2026-11-03T02:00:00.000Z"
    assert night.store.count("docs") == 8


def test_nothing_is_done_before_the_time_has_come(night: World) -> None:
    at(night, "2026-11-02T01:59:59")
    swept(night)
    assert (runs(night), deployments(night)) == ([], 0)


def test_three_sweepers_for_ten_nights_make_ten_rebuilds(night: World) -> None:
    for number in range(10):
        night.write("docs.jsonl", texts(9 + number))
        at(night, f"2026-11-{2 + number:02d}T02:00:03")
        together = threading.Barrier(3)
        failed: list[BaseException] = []

        def beat(
            together: threading.Barrier = together, failed: list[BaseException] = failed
        ) -> None:
            try:
                together.wait()
                for run in sweep.sweep_schedules(night.services).open:
                    sweep.take_up_run(night.services, run)
            except BaseException as error:
                failed.append(error)
                raise

        sweepers = [threading.Thread(target=beat) for _ in range(3)]
        for sweeper in sweepers:
            sweeper.start()
        for sweeper in sweepers:
            sweeper.join()
        assert failed == []
        swept(night)
        swept(night)
    assert runs(night) == [(f"11-{2 + number:02d}T02:00", "done") for number in range(10)]
    assert deployments(night) == 10
    assert night.store.count("docs") == 18


def test_a_sweep_that_is_repeated_finds_nothing_to_do(night: World) -> None:
    at(night, "2026-11-02T02:00")
    for _ in range(5):
        swept(night)
    assert (runs(night), deployments(night)) == ([("11-02T02:00", "done")], 1)


def test_the_times_are_those_of_the_zone(world: World) -> None:
    at(world, "2026-10-24T12:00")
    declare(world, rebuild={"cron": NIGHTLY, "zone": "Europe/Berlin"})
    assert the_schedule(world)["next_at"] == "2026-10-25T00:00:00.000Z"
    at(world, "2026-10-25T00:00")
    swept(world)
    assert the_schedule(world)["next_at"] == "2026-10-26T01:00:00.000Z"


# --- starts that are spread -----------------------------------------------------------------------


BERLIN = ZoneInfo("Europe/Berlin")
JITTER = {"cron": NIGHTLY, "jitter_minutes": 60}


def planned(world: World, action: str = "rebuild") -> datetime:
    return datetime.fromisoformat(the_schedule(world, action)["next_at"])


@pytest.fixture
def spread(world: World) -> World:
    """``docs`` begins up to an hour after two."""
    at(world, "2026-11-01T12:00")
    declare(world, rebuild=JITTER)
    sweep.sweep_schedules(world.services)
    return world


def test_a_start_is_moved_and_told_while_the_time_stays_the_runs_name(spread: World) -> None:
    start = planned(spread)
    nominal = datetime(2026, 11, 2, 2, tzinfo=UTC)
    assert nominal < start < nominal + timedelta(hours=1)
    assert the_schedule(spread)["next_nominal_at"] == "2026-11-02T02:00:00.000Z"
    spread.clock.moment = start - timedelta(seconds=1)
    swept(spread)
    assert (runs(spread), planned(spread)) == ([], start)
    spread.clock.moment = start
    swept(spread)
    swept(spread)
    assert (runs(spread), deployments(spread)) == ([("11-02T02:00", "done")], 1)
    assert the_schedule(spread)["next_nominal_at"] == "2026-11-03T02:00:00.000Z"


def test_starts_are_spread_over_indexes_and_nights_and_are_the_same_for_everybody() -> None:
    spec = ScheduleSpec(cron=NIGHTLY, jitter_minutes=60)
    nights = [datetime(2026, 11, 1 + number, 2, tzinfo=UTC) for number in range(20)]
    starts = [
        (declared.begins(spec, f"index-{number}", night), night)
        for number in range(20)
        for night in nights
    ]
    moved = [(start - night).total_seconds() for start, night in starts]
    assert all(0 <= seconds < 3600 for seconds in moved)
    quarters = [
        sum(900 * quarter <= seconds < 900 * (quarter + 1) for seconds in moved)
        for quarter in range(4)
    ]
    assert min(quarters) > 60
    assert declared.begins(spec, "docs", nights[0]) == declared.begins(
        spec, "docs", nights[0].astimezone(BERLIN)
    )


def test_without_a_jitter_a_time_is_a_start() -> None:
    moment = datetime(2026, 11, 2, 2, tzinfo=UTC)
    assert declared.begins(ScheduleSpec(cron=NIGHTLY), "docs", moment) == moment


def test_a_spread_start_is_late_from_the_start_and_not_from_the_time(world: World) -> None:
    at(world, "2026-11-01T12:00")
    declare(world, rebuild={**JITTER, "misfire": "skip", "late_after_minutes": 1})
    sweep.sweep_schedules(world.services)
    world.clock.moment = planned(world) + timedelta(seconds=50)
    swept(world)
    swept(world)
    assert runs(world) == [("11-02T02:00", "done")]


def test_nights_missed_with_a_jitter_are_made_up_by_the_last_that_should_have_begun(
    spread: World,
) -> None:
    at(spread, "2026-11-05T12:00")
    swept(spread)
    swept(spread)
    assert runs(spread) == [("11-05T02:00", "done")]
    assert the_schedule(spread)["next_nominal_at"] == "2026-11-06T02:00:00.000Z"


def test_times_nearer_to_each_other_than_the_jitter_have_one_run_each_at_most(world: World) -> None:
    at(world, "2026-11-02T01:59:59")
    declare(world, rebuild={"cron": "*/10 * * * *", "jitter_minutes": 60})
    sweep.sweep_schedules(world.services)
    for _ in range(3 * 360):
        world.clock.move(10)
        sweep.sweep_schedules(world.services)
    names = [nominal for nominal, _ in runs(world)]
    assert names == sorted(set(names))
    assert len(names) >= 3


def test_a_backup_is_spread_as_a_rebuild_is(world: World) -> None:
    at(world, "2026-11-01T12:00")
    declare(world, backup=JITTER)
    sweep.sweep_schedules(world.services)
    assert planned(world, "backup") > datetime(2026, 11, 2, 2, tzinfo=UTC)


@pytest.mark.parametrize("wrong", [-1, 1441, "5", True])
def test_a_jitter_that_makes_no_sense_is_refused(world: World, wrong: object) -> None:
    with pytest.raises(Refused, match="jitter_minutes: found"):
        validate_as(ScheduleSpec, {"cron": NIGHTLY, "jitter_minutes": wrong}, "rebuild")


# --- nights that were missed ----------------------------------------------------------------------


def test_nights_missed_while_everything_was_down_are_made_up_once(night: World) -> None:
    at(night, "2026-11-05T09:30")
    swept(night)
    swept(night)
    assert runs(night) == [("11-05T02:00", "done")]
    assert deployments(night) == 1
    assert the_schedule(night)["next_at"] == "2026-11-06T02:00:00.000Z"


def test_what_is_made_up_says_since_when(night: World) -> None:
    at(night, "2026-11-05T09:30")
    sweep.sweep_schedules(night.services)
    assert (
        the_schedule(night)["runs"][0]["message"] == "also for the times since 2026-11-02 02:00 UTC"
    )


@pytest.mark.parametrize(("hour", "status"), [("02:59", "done"), ("03:01", "skipped")])
def test_a_time_that_is_not_made_up_is_left_out_once_it_is_too_late(
    world: World, hour: str, status: str
) -> None:
    at(world, "2026-11-01T12:00")
    declare(world, rebuild={"cron": NIGHTLY, "misfire": "skip"})
    sweep.sweep_schedules(world.services)
    at(world, f"2026-11-02T{hour}")
    swept(world)
    swept(world)
    assert runs(world) == [("11-02T02:00", status)]
    assert deployments(world) == (1 if status == "done" else 0)


def test_a_line_for_every_minute_that_nobody_swept_for_a_month_is_one_run(world: World) -> None:
    at(world, "2026-11-01T12:00:30")
    declare(world, rebuild="* * * * *")
    sweep.sweep_schedules(world.services)
    at(world, "2026-12-01T12:00:30")
    swept(world)
    assert [nominal for nominal, _ in runs(world)] == ["12-01T12:00"]


def test_a_night_that_was_missed_is_made_up_though_other_settings_were_changed_meanwhile(
    night: World,
) -> None:
    declare(night, rebuild={"cron": NIGHTLY, "success_within_hours": 26})
    at(night, "2026-11-02T09:30")
    swept(night)
    swept(night)
    assert runs(night) == [("11-02T02:00", "done")]


def test_a_new_line_owes_nothing_of_the_past(night: World) -> None:
    declare(night, rebuild="0 3 * * *")
    at(night, "2026-11-02T09:30")
    swept(night)
    assert (runs(night), the_schedule(night)["next_at"]) == ([], "2026-11-03T03:00:00.000Z")


# --- nothing to do --------------------------------------------------------------------------------


def test_unchanged_data_builds_nothing(night: World) -> None:
    for day in (2, 3, 4):
        at(night, f"2026-11-{day:02d}T02:00")
        swept(night)
        swept(night)
    assert [status for _, status in runs(night)] == ["done", "unchanged", "unchanged"]
    assert deployments(night) == 1
    newest = the_schedule(night)["runs"][0]
    assert newest["message"].startswith("nothing to do: jsonl:")
    assert the_schedule(night)["last_success_at"] == "2026-11-04T02:00:00.000Z"


def test_a_changed_source_takes_vectors_over_and_what_was_deleted_is_gone(night: World) -> None:
    at(night, "2026-11-02T02:00")
    swept(night)
    swept(night)
    records = texts(10)
    night.write("docs.jsonl", [record for record in records if record["id"] not in (3, 5)])
    at(night, "2026-11-03T02:00")
    swept(night)
    swept(night)
    newest = the_schedule(night)["runs"][0]
    populated = night.step(newest["deployment_id"], "populate")["output"]
    assert (newest["status"], populated["reused"], populated["embedded"]) == ("done", 6, 2)
    found = night.store.fetch(night.store.aliases()["docs"], list(range(10)), vectors=False)
    assert sorted(point.id for point in found) == [0, 1, 2, 4, 6, 7, 8, 9]


# --- something else is under way ------------------------------------------------------------------


def test_a_time_that_meets_a_deployment_is_left_out_and_says_which(night: World) -> None:
    at(night, "2026-11-02T01:59")
    manual = night.deploy("docs")
    night.broker.waiting.clear()
    at(night, "2026-11-02T02:00")
    swept(night)
    (run,) = the_schedule(night)["runs"]
    assert run["status"] == "skipped"
    assert f"deployment {manual} of docs is pending" in run["message"]
    assert deployments(night) == 1


def test_a_run_that_waits_begins_when_the_deployment_has_ended(world: World) -> None:
    at(world, "2026-11-01T12:00")
    declare(world, rebuild={"cron": NIGHTLY, "overlap": "wait"})
    sweep.sweep_schedules(world.services)
    at(world, "2026-11-02T01:59")
    manual = world.deploy("docs")
    held = world.broker.waiting
    world.broker.waiting = []
    at(world, "2026-11-02T02:00")
    swept(world)
    assert runs(world) == [("11-02T02:00", "due")]
    assert manual in the_schedule(world)["runs"][0]["message"]
    world.broker.waiting = held
    world.run()
    world.write("docs.jsonl", texts(12))
    swept(world)
    swept(world)
    assert runs(world) == [("11-02T02:00", "done")]
    assert deployments(world) == 2


def test_a_run_that_has_not_ended_makes_the_next_time_be_left_out(night: World) -> None:
    at(night, "2026-11-02T02:00")
    for run in sweep.sweep_schedules(night.services).open:
        sweep.take_up_run(night.services, run)
    night.broker.waiting.clear()
    at(night, "2026-11-03T02:00")
    swept(night)
    assert runs(night) == [("11-02T02:00", "running"), ("11-03T02:00", "skipped")]
    assert "has not ended (deployment" in the_schedule(night)["runs"][0]["message"]


# --- whoever dies ---------------------------------------------------------------------------------


def test_a_worker_that_dies_before_the_deployment_leaves_a_run_that_is_found_again(
    night: World,
) -> None:
    store = night.store
    at(night, "2026-11-02T02:00")
    (run,) = sweep.sweep_schedules(night.services).open
    night.over(Failing(store, Died(), "aliases"))
    with pytest.raises(Died):
        sweep.take_up_run(night.services, run)
    night.over(store)
    swept(night)
    swept(night)
    assert (runs(night), deployments(night)) == ([("11-02T02:00", "done")], 1)


def test_a_worker_that_dies_right_after_the_deployment_was_written_down_makes_no_second(
    night: World,
) -> None:
    def die(knock: Knock) -> None:
        raise Died

    at(night, "2026-11-02T02:00")
    (run,) = sweep.sweep_schedules(night.services).open
    with pytest.raises(Died):
        sweep.take_up_run(dataclasses.replace(night.services, knock=die), run)
    assert (runs(night), deployments(night)) == ([("11-02T02:00", "running")], 1)
    swept(night)
    assert deployments(night) == 1
    night.clock.move(60)
    engine.knock_overdue_turns(night.services)
    night.run()
    swept(night)
    assert (runs(night), deployments(night)) == ([("11-02T02:00", "done")], 1)


def test_a_worker_that_slept_through_the_whole_deployment_begins_no_second(night: World) -> None:
    """It has read the run as due; by the time it writes, the deployment of somebody else has come
    and gone."""
    at(night, "2026-11-02T02:00")
    (run,) = sweep.sweep_schedules(night.services).open
    store = night.store

    class Slow(Failing):
        def _fail(self, *_: Any, **__: Any) -> Any:
            night.over(store)
            sweep.take_up_run(night.services, run)
            night.run()
            night.write("docs.jsonl", texts(20))
            swept(night)
            return store.aliases()

    slow = World.__new__(World)
    slow.__dict__ = dict(night.__dict__)
    slow.over(Slow(store, Died(), "collections"))
    sweep.take_up_run(slow.services, run)
    assert (runs(night), deployments(night)) == ([("11-02T02:00", "done")], 1)


def test_a_server_that_is_away_delays_a_run_and_fails_none(night: World) -> None:
    store = night.store
    at(night, "2026-11-02T02:00")
    night.over(Failing(store, Unavailable("Qdrant did not answer"), "aliases"))
    swept(night)
    assert runs(night) == [("11-02T02:00", "due")]
    assert the_schedule(night)["runs"][0]["message"] == "tried again: Qdrant did not answer"
    night.over(store)
    swept(night)
    swept(night)
    assert runs(night) == [("11-02T02:00", "done")]


def test_an_index_file_that_cannot_be_read_fails_the_run_aloud(night: World) -> None:
    def unreadable() -> dict[str, Any]:
        raise Refused("rollouts.yaml: cannot be read")

    night.services = dataclasses.replace(night.services, indexes=unreadable)
    at(night, "2026-11-02T02:00")
    swept(night)
    assert [(alert.what, alert.text, alert.next) for alert in night.told()] == [
        (
            "schedule.failed",
            "rebuild of docs due 2026-11-02 02:00 UTC: rollouts.yaml: cannot be read",
            "correct that, then rollouts schedule run docs rebuild",
        )
    ]


def test_a_run_whose_deployment_ended_while_nobody_swept_does_not_stand_in_the_way_of_the_next(
    night: World,
) -> None:
    at(night, "2026-11-02T02:00")
    swept(night)
    night.write("docs.jsonl", texts(9))
    at(night, "2026-11-03T02:00")
    swept(night)
    swept(night)
    assert runs(night) == [("11-02T02:00", "done"), ("11-03T02:00", "done")]


# --- results and alerts ---------------------------------------------------------------------------


def test_a_deployment_that_is_rolled_back_is_a_run_that_failed_and_people_are_told_once(
    night: World,
) -> None:
    night.declare(
        "docs",
        source="jsonl:docs.jsonl",
        rebuild=NIGHTLY,
        validation={"queries": ["zebra crossing"]},
    )
    at(night, "2026-11-02T02:00")
    for _ in range(3):
        swept(night)
    (run,) = the_schedule(night)["runs"]
    assert run["status"] == "failed"
    assert "validate failed" in run["message"]
    told = [alert for alert in night.told() if alert.what == "schedule.failed"]
    assert [(alert.index, alert.severity, alert.actor) for alert in told] == [
        ("docs", "error", "schedule")
    ]


def test_a_source_that_is_gone_is_a_run_that_failed(night: World) -> None:
    (night.folder / "docs.jsonl").unlink()
    at(night, "2026-11-02T02:00")
    swept(night)
    (run,) = the_schedule(night)["runs"]
    assert run["status"] == "failed"
    assert "docs.jsonl" in run["message"]
    assert [alert.what for alert in night.told()] == ["schedule.failed"]


def late(world: World) -> list[str]:
    return [alert.state for alert in world.told() if alert.what == "schedule.rebuild_late"]


def test_people_are_told_while_no_run_has_succeeded_for_too_long_and_again_after_a_success(
    world: World,
) -> None:
    at(world, "2026-11-01T12:00")
    declare(world, rebuild={"cron": NIGHTLY, "success_within_hours": 26})
    sweep.sweep_schedules(world.services)
    (world.folder / "docs.jsonl").unlink()

    at(world, "2026-11-02T13:59")
    swept(world)
    assert late(world) == []
    at(world, "2026-11-02T14:01")
    for _ in range(3):
        swept(world)
    assert late(world) == ["begun"]
    said = world.told()[-1]
    assert "26 hours are allowed; the last run, due 2026-11-02 02:00 UTC, is failed" in said.text
    assert (said.value, said.bound) == ("26.02 hours without a success", "26 hours")
    assert the_schedule(world)["overdue_since"] == "2026-11-02T14:01:00.000Z"
    world.write("docs.jsonl", texts(9))
    at(world, "2026-11-03T02:00")
    swept(world)
    swept(world)
    assert the_schedule(world)["overdue_since"] is None
    assert late(world) == ["begun", "resolved"]
    (world.folder / "docs.jsonl").unlink()
    at(world, "2026-11-04T04:01")
    for _ in range(2):
        swept(world)
    assert late(world) == ["begun", "resolved", "begun"]


def test_a_schedule_nobody_ran_is_told_of_too(world: World) -> None:
    """Sweeps go on, but what takes runs up does not: the run stays due."""
    at(world, "2026-11-01T12:00")
    declare(world, rebuild={"cron": NIGHTLY, "success_within_hours": 26})
    for moment in ("2026-11-01T12:00", "2026-11-02T02:00", "2026-11-02T14:01"):
        at(world, moment)
        sweep.sweep_schedules(world.services)
    assert "is due" in world.told()[-1].text


def test_what_is_late_is_told_no_longer_while_its_schedule_is_paused(world: World) -> None:
    at(world, "2026-11-01T12:00")
    declare(world, rebuild={"cron": NIGHTLY, "success_within_hours": 26})
    sweep.sweep_schedules(world.services)
    at(world, "2026-11-02T14:01")
    sweep.sweep_schedules(world.services)
    commands.pause_schedule(world.services, "docs", "rebuild", actor="anna", reason="we know")
    sweep.sweep_schedules(world.services)
    assert late(world) == ["begun", "resolved"]
    assert (world.told()[-1].actor, world.told()[-1].reason) == ("anna", "paused by anna")


# --- people ---------------------------------------------------------------------------------------


def test_paused_times_pass_and_are_not_made_up(night: World) -> None:
    commands.pause_schedule(night.services, "docs", "rebuild", actor="anna", reason="holidays")
    for day in (2, 3):
        at(night, f"2026-11-{day:02d}T02:00")
        swept(night)
    seen = the_schedule(night)
    assert (seen["status"], seen["paused_by"], seen["reason"], seen["next_at"]) == (
        "paused",
        "anna",
        "holidays",
        None,
    )
    at(night, "2026-11-03T12:00")
    commands.resume_schedule(night.services, "docs", "rebuild", actor="anna")
    swept(night)
    assert (runs(night), the_schedule(night)["next_at"]) == ([], "2026-11-04T02:00:00.000Z")


def test_a_person_has_it_done_now_even_while_it_is_paused(night: World) -> None:
    commands.pause_schedule(night.services, "docs", "rebuild", actor="anna")
    asked = commands.run_schedule(
        night.services, "docs", "rebuild", actor="anna", reason="new prices"
    )
    swept(night)
    swept(night)
    (run,) = the_schedule(night)["runs"]
    assert (run["id"], run["status"], run["actor"]) == (asked, "done", "anna")
    assert night.status(run["deployment_id"])["actor"] == "anna"


def test_a_run_that_is_open_is_not_asked_for_again(night: World) -> None:
    commands.run_schedule(night.services, "docs", "rebuild", actor="anna")
    with pytest.raises(Refused, match="rebuild of docs is due already"):
        commands.run_schedule(night.services, "docs", "rebuild", actor="anna")


def test_what_a_person_changes_holds_until_the_file_says_something_new(night: World) -> None:
    commands.change_schedule(night.services, "docs", "rebuild", {"cron": "0 5 * * *"}, actor="anna")
    sweep.sweep_schedules(night.services)
    assert the_schedule(night)["next_at"] == "2026-11-02T05:00:00.000Z"
    assert the_schedule(night)["changed"] is True
    declare(night, rebuild="0 3 * * *")
    sweep.sweep_schedules(night.services)
    assert the_schedule(night)["next_at"] == "2026-11-02T03:00:00.000Z"
    assert the_schedule(night)["changed"] is False


def test_an_index_without_a_line_is_given_one(night: World) -> None:
    night.declare("more", source="jsonl:docs.jsonl")
    commands.change_schedule(
        night.services,
        "more",
        "rebuild",
        {"cron": "0 4 * * 6", "zone": "Europe/Berlin"},
        actor="anna",
    )
    (seen,) = queries.list_schedules(night.services, "more")
    assert (seen["status"], seen["next_at"]) == ("on", "2026-11-07T03:00:00.000Z")


def test_a_line_that_was_taken_out_of_the_file_is_off_and_its_runs_stay(night: World) -> None:
    at(night, "2026-11-02T02:00")
    swept(night)
    swept(night)
    night.declare("docs", source="jsonl:docs.jsonl")
    at(night, "2026-11-03T02:00")
    swept(night)
    assert the_schedule(night)["status"] == "off"
    assert runs(night) == [("11-02T02:00", "done")]


def test_a_file_that_this_process_does_not_see_switches_nothing_off(night: World) -> None:
    night.indexes.clear()
    sweep.sweep_schedules(night.services)
    assert the_schedule(night)["status"] == "on"


@pytest.mark.parametrize(
    ("alias", "action", "said"),
    [
        ("docs", "polish", "action 'polish' is not known; known: rebuild, verify"),
        ("nobody", "rebuild", "nobody has no schedule of rebuild; known: docs rebuild"),
    ],
)
def test_what_nobody_knows_is_refused(night: World, alias: str, action: str, said: str) -> None:
    for command in (commands.run_schedule, commands.pause_schedule, commands.resume_schedule):
        with pytest.raises(Refused, match=said):
            command(night.services, alias, action, actor="anna")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"cron": "0 25 * * *"}, "hour is '25'"),
        ({"zone": "Mars"}, "expected UTC or a time zone such as Europe/Berlin"),
        ({"misfire": "twice"}, "misfire: found 'twice'"),
        ({"colour": 1}, "colour: unknown key"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused_and_changes_nothing(
    night: World, wanted: dict[str, Any], said: str
) -> None:
    before = the_schedule(night)
    with pytest.raises(Refused, match=said):
        commands.change_schedule(night.services, "docs", "rebuild", wanted, actor="anna")
    assert the_schedule(night) == before


def test_every_act_is_an_event_with_its_actor_and_reason(night: World) -> None:
    commands.pause_schedule(night.services, "docs", "rebuild", actor="anna", reason="holidays")
    commands.pause_schedule(night.services, "docs", "rebuild", actor="anna", reason="again")
    commands.resume_schedule(night.services, "docs", "rebuild", actor="ben")
    commands.change_schedule(
        night.services, "docs", "rebuild", {"cron": "0 3 * * *"}, actor="ben", reason="later"
    )
    commands.run_schedule(night.services, "docs", "rebuild", actor="ben", reason="now")
    with night.services.sessions() as session:
        told = session.scalars(
            select(EventRow).where(EventRow.event.startswith("schedule.")).order_by(EventRow.id)
        )
        assert [(row.event, row.actor, row.detail, row.reason) for row in told] == [
            ("schedule.declared", "system", "rebuild: 0 2 * * * in UTC, says the index file", ""),
            ("schedule.paused", "anna", "rebuild", "holidays"),
            ("schedule.unchanged", "anna", "rebuild", "again"),
            ("schedule.resumed", "ben", "rebuild", ""),
            ("schedule.changed", "ben", "rebuild: 0 3 * * * in UTC", "later"),
            ("schedule.asked_for", "ben", "rebuild", "now"),
        ]


def test_an_abort_by_a_person_ends_the_run_as_failed(night: World) -> None:
    at(night, "2026-11-02T02:00")
    for run in sweep.sweep_schedules(night.services).open:
        sweep.take_up_run(night.services, run)
    deployment = the_schedule(night)["runs"][0]["deployment_id"]
    deploying.request_action(
        night.services, deployment, Event.ABORT, actor="anna", reason="not tonight"
    )
    night.run()
    swept(night)
    assert runs(night) == [("11-02T02:00", "failed")]


def test_no_run_is_left_open_by_a_night_that_ended(night: World) -> None:
    at(night, "2026-11-02T02:00")
    swept(night)
    swept(night)
    assert sweep.sweep_schedules(night.services).open == []
    with night.services.sessions() as session:
        row = session.scalars(select(ScheduleRun)).one()
    assert (row.lease_until, row.state) == (None, {})


def test_old_runs_are_forgotten_and_open_ones_never(night: World) -> None:
    for day in (2, 3, 4, 5):
        at(night, f"2026-11-{day:02d}T02:00")
        swept(night)
        swept(night)
    night.clock.move(1)
    commands.run_schedule(night.services, "docs", "rebuild", actor="anna")
    assert records.prune_runs(night.services, keep=2) == 2
    assert [status for _, status in runs(night)] == ["unchanged", "unchanged", "due"]
    assert records.prune_runs(night.services, keep=2) == 0


# --- hundreds at once -----------------------------------------------------------------------------


def declare_many(world: World, count: int) -> None:
    """Declares so many indexes whose rebuilds are all due at two, and lets a sweep learn of it."""
    at(world, "2026-11-01T12:00")
    source = world.write("docs.jsonl", texts(2))
    for number in range(count):
        world.declare(f"index-{number:03d}", source=source, rebuild=NIGHTLY)
    sweep.sweep_schedules(world.services)


def count_runs(world: World) -> int:
    with world.services.sessions() as session:
        return len(session.scalars(select(ScheduleRun.id)).all())


def test_five_hundred_times_of_one_minute_are_runs_after_three_sweeps_and_none_is_lost(
    world: World,
) -> None:
    declare_many(world, 500)
    at(world, "2026-11-02T02:00:05")
    counts = []
    for _ in range(4):
        sweep.sweep_schedules(world.services)
        counts.append(count_runs(world))
    assert counts == [200, 400, 500, 500]
    listed = queries.list_schedules(world.services, None, limit=5)
    assert [[run["nominal_at"][5:16] for run in one["runs"]] for one in listed] == [
        ["11-02T02:00"]
    ] * 500


def test_of_more_times_than_a_sweep_takes_the_oldest_come_first(world: World) -> None:
    declare_many(world, 250)
    with world.services.sessions.begin() as session:
        late = session.scalars(select(Schedule).where(Schedule.alias >= "index-200"))
        for row in late:
            assert row.next_at is not None
            row.next_at -= timedelta(minutes=30)
    at(world, "2026-11-02T02:00:05")
    sweep.sweep_schedules(world.services)
    with world.services.sessions() as session:
        begun = set(session.scalars(select(Schedule.alias).join(ScheduleRun)))
    assert {f"index-{number}" for number in range(200, 250)} <= begun
