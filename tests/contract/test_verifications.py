"""Verifications by schedule, on SQLite and on PostgreSQL: the gate on what serves, turn by
turn."""

import dataclasses
from typing import Any

import pytest

from qdrant_rollouts.core.errors import Unavailable
from qdrant_rollouts.core.operations.schedules import sweep
from qdrant_rollouts.core.ports import Point
from tests.saved_worlds import SavedWorlds
from tests.schedules import Died, Failing, at, declare, deployments, runs, swept, the_schedule
from tests.world import World, texts


def deploy_and_schedule(world: World) -> None:
    at(world, "2026-11-02T05:59")
    declare(world, rebuild=None, verify="0 6 * * *")
    world.deploy("docs")
    world.run()
    sweep.sweep_schedules(world.services)
    at(world, "2026-11-02T06:00")


@pytest.fixture
def verified(world: World, saved_worlds: SavedWorlds) -> World:
    """``docs`` is live, to be verified at six, and it is just six."""
    saved_worlds.begin(world, deploy_and_schedule)
    return world


def slowly(world: World) -> None:
    """From now on a turn ends with its first piece of evidence."""
    times = dataclasses.replace(world.services.times, turn_time=0.0)
    world.services = dataclasses.replace(world.services, times=times)


def until_over(world: World, most: int = 100) -> int:
    """Sweeps until the run has ended; how many that took."""
    for number in range(1, most):
        swept(world)
        if the_schedule(world, "verify")["runs"][0]["status"] not in ("due", "running"):
            return number
        world.clock.move(10)
    raise AssertionError(the_schedule(world, "verify")["runs"][0])


def test_the_live_collection_is_verified_and_the_report_kept(verified: World) -> None:
    until_over(verified)
    (run,) = the_schedule(verified, "verify")["runs"]
    live = verified.store.aliases()["docs"]
    assert (run["status"], run["result"]["verdict"], run["result"]["collection"]) == (
        "done",
        "pass",
        live,
    )
    assert {check["name"] for check in run["result"]["checks"]} >= {
        "count",
        "round_trip",
        "model_stamp",
    }
    assert run["message"].startswith(f"{live} passes the gate")
    assert (
        deployments(verified),
        [one.what for one in verified.told() if one.severity != "info"],
    ) == (1, [])


def test_a_live_collection_that_was_damaged_is_found_and_people_are_told(verified: World) -> None:
    live = verified.store.aliases()["docs"]
    verified.store.upsert(live, [Point(3, [1.0] * 64, {"text": "something else"})])
    until_over(verified)
    (run,) = the_schedule(verified, "verify")["runs"]
    assert run["status"] == "failed"
    assert (
        "does not pass the gate: 1 of 8 records that were looked up are not stored as the source"
        in run["message"]
    )
    assert (verified.told()[-1].what, verified.told()[-1].text[:15]) == (
        "schedule.failed",
        "verify of docs ",
    )
    assert verified.store.aliases()["docs"] == live


def test_what_cannot_be_told_is_no_success(verified: World) -> None:
    verified.write("docs.jsonl", [*texts(7), {"id": 7, "text": "changed since"}])
    until_over(verified)
    (run,) = the_schedule(verified, "verify")["runs"]
    assert (run["status"], the_schedule(verified, "verify")["last_success_at"]) == ("failed", None)
    assert run["result"]["verdict"] in ("inconclusive", "block")


def test_nothing_that_serves_is_nothing_to_verify(world: World) -> None:
    declare(world, rebuild=None, verify="0 6 * * *")
    sweep.sweep_schedules(world.services)
    at(world, "2026-11-02T06:00")
    swept(world)
    assert "alias docs does not exist" in the_schedule(world, "verify")["runs"][0]["message"]


def test_a_verification_is_taken_in_slices_by_whoever_comes(verified: World) -> None:
    slowly(verified)
    assert until_over(verified) > 1
    assert runs(verified, "verify") == [("11-02T06:00", "done")]


def test_a_verification_whose_worker_died_goes_on_when_its_lease_has_run_out(
    verified: World,
) -> None:
    store = verified.store
    (run,) = sweep.sweep_schedules(verified.services).open
    verified.over(Failing(store, Died(), "health", "scroll", "fetch", "count"))
    with pytest.raises(Died):
        sweep.take_up_run(verified.services, run)
    verified.over(store)
    verified.clock.move(60)
    assert sweep.sweep_schedules(verified.services).open == []
    assert sweep.take_up_run(verified.services, run) == f"run {run} needs no more work"
    verified.clock.move(31)
    until_over(verified)
    assert runs(verified, "verify") == [("11-02T06:00", "done")]


def test_a_verification_that_kills_its_workers_is_given_up(verified: World) -> None:
    store = verified.store
    (run,) = sweep.sweep_schedules(verified.services).open
    verified.over(Failing(store, Died(), "health", "scroll", "fetch", "count"))
    for _ in range(5):
        with pytest.raises(Died):
            sweep.take_up_run(verified.services, run)
        verified.clock.move(91)
    sweep.take_up_run(verified.services, run)
    (seen,) = the_schedule(verified, "verify")["runs"]
    assert (seen["status"], seen["message"]) == ("failed", "its worker died or was stopped 5 times")
    told = [one["event"] for one in verified.list_events(alias="docs", limit=100)]
    assert told.count("schedule.worker_died") == 5


def test_a_worker_that_comes_back_after_its_lease_writes_nothing(verified: World) -> None:
    """While it takes its turn, the lease runs out and somebody else ends the run."""
    store = verified.store
    (run,) = sweep.sweep_schedules(verified.services).open

    class Sleeping(Failing):
        def _fail(self, *_: Any, **__: Any) -> Any:
            if verified.store is not store:
                verified.over(store)
                verified.clock.move(91)
                until_over(verified)
            return store.aliases()

    verified.over(Sleeping(store, Died(), "aliases"))
    asleep = verified.services
    assert "another process" in sweep.take_up_run(asleep, run)
    assert runs(verified, "verify") == [("11-02T06:00", "done")]


def test_a_collection_that_was_replaced_meanwhile_is_not_the_one_that_is_verified(
    verified: World,
) -> None:
    at_once = verified.services
    before = verified.store.aliases()["docs"]
    slowly(verified)
    swept(verified)
    assert runs(verified, "verify") == [("11-02T06:00", "running")]
    verified.services = at_once
    verified.deploy("docs")
    verified.run()
    until_over(verified)
    (run,) = the_schedule(verified, "verify")["runs"]
    assert (run["status"], run["result"]["collection"]) == (
        "done",
        verified.store.aliases()["docs"],
    )
    assert run["result"]["collection"] != before


def test_a_server_that_is_away_delays_a_verification(verified: World) -> None:
    store = verified.store
    verified.over(Failing(store, Unavailable("Qdrant did not answer"), "aliases"))
    for _ in range(10):
        swept(verified)
        verified.clock.move(10)
    assert (
        the_schedule(verified, "verify")["runs"][0]["message"]
        == "tried again: Qdrant did not answer"
    )
    verified.over(store)
    until_over(verified)
    assert runs(verified, "verify") == [("11-02T06:00", "done")]
