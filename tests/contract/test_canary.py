"""A canary from its first stage to its end, on SQLite and on PostgreSQL; the test is the clock, the
broker and the traffic."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.deployments import commands, engine
from qdrant_rollouts.core.errors import LeaseLost, Refused, Unavailable
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.ports import Health, VectorStore
from qdrant_rollouts.core.routing import table, traffic
from qdrant_rollouts.core.routing.traffic import TrafficKey
from qdrant_rollouts.core.statistics.traffic_sketch import GROUPS, TrafficSketch
from qdrant_rollouts.interfaces.http.api import PREFIX
from qdrant_rollouts.interfaces.http.app import make_app
from tests.saved_worlds import SavedWorlds
from tests.world import World, texts

STAGES = [
    {"percentage": 5, "duration_minutes": 2},
    {"percentage": 50, "duration_minutes": 2},
    {"percentage": 100, "duration_minutes": 0},
]
#: What the tests give each arm at each look.
SEARCHES = 1000


def deploy_and_start_canary(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)), canary={"stages": STAGES})
    world.deploy("docs")
    world.run()
    started(world)


@pytest.fixture
def canary(world: World, saved_worlds: SavedWorlds) -> str:
    """A live index, and a canary of it that stands before its first stage; returns its id."""
    saved_worlds.begin(world, deploy_and_start_canary)
    with world.services.sessions() as session:
        return session.scalars(select(Deployment.id).where(Deployment.strategy == "canary")).one()


def started(world: World, **options) -> str:
    deployment = world.deploy("docs", strategy="canary", options=options)
    world.run(until=world.at(deployment, "shift"))
    return deployment


def experienced(
    searches: int = SEARCHES, *, ms: float = 10.0, errors: float = 0.0, seed: int = 1
) -> TrafficSketch:
    """Searches of as many users as there are groups, around ``ms``."""
    rng = random.Random(seed)
    tally = TrafficSketch()
    for number in range(searches):
        failed = rng.random() < errors
        tally.add(
            number % GROUPS, rng.lognormvariate(0, 0.3) * ms / 1000, error=failed, fallback=failed
        )
    return tally


class Users:
    """Searches of both arms, written down at every look as search processes do."""

    def __init__(
        self, world: World, blue_ms: float = 10.0, blue_errors: float = 0.0, **canary
    ) -> None:
        self.world = world
        self.blue_ms = blue_ms
        self.blue_errors = blue_errors
        self.canary = canary
        self.sequence = 0

    def search(self) -> None:
        route = table.current_route(self.world.services, "docs")
        if route.at_rest or not self.canary.get("searches", SEARCHES):
            return
        self.sequence += 1
        tallies = {
            TrafficKey("docs", route.stage, "canary", "real", route.green): experienced(
                seed=self.sequence, **self.canary
            )
        }
        if route.share <= 5000:
            control = experienced(
                self.canary.get("searches", SEARCHES),
                ms=self.blue_ms,
                errors=self.blue_errors,
                seed=-self.sequence,
            )
            tallies[TrafficKey("docs", route.stage, "control", "real", route.blue)] = control
        traffic.write_tallies(
            self.world.services.sessions, self.world.clock, "users", self.sequence, tallies
        )


def goes_on(world: World, deployment: str, users: Users | None = None, turns: int = 60) -> dict:
    """Every knock in turn, and searches before each, until the deployment has ended or waits for a
    person."""
    for _ in range(turns):
        seen = world.status(deployment)
        waits = seen["status"] == "paused" and not seen["requested"]
        knock = (
            None if waits or seen["status"] in ("live", "rolled_back") else world.broker.take_next()
        )
        if knock is None:
            return seen
        if users:
            users.search()
        world.turn(knock)
    raise AssertionError(f"still moving: {world.status(deployment)['message']}")


def shifts(seen: dict) -> list[dict]:
    return [step for step in seen["steps"] if step["name"] == "shift"]


def test_a_healthy_canary_gets_more_and_more_until_the_alias_is_its_own(world, canary):
    seen = goes_on(world, canary, Users(world))
    assert seen["status"] == "live", seen["message"]
    assert world.store.aliases()["docs"] == seen["green"]
    assert [step["arguments"]["percentage"] for step in shifts(seen)] == [5, 50, 100]
    assert table.current_route(world.services, "docs").at_rest
    changes = [event["detail"] for event in seen["events"] if event["event"] == "route.changed"]
    assert [change.split(": ")[1].split(" ")[0] for change in changes[:3]] == ["5", "50", "100"]


def test_without_searches_a_canary_asks_a_person_and_says_how_many_are_missing(world, canary):
    seen = goes_on(world, canary)
    assert seen["status"] == "paused"
    assert "0 searches of the 200 it needs, 200 are missing" in seen["message"]
    assert world.store.aliases()["docs"] == seen["blue"]
    # Two minutes of looks, and as many of extension.
    assert sum(step["status"] == "done" for step in shifts(seen)) == 0


@pytest.mark.parametrize(
    ("users", "said"),
    [
        ({"errors": 0.10}, "searches failed"),
        ({"ms": 25.0}, "p95"),
    ],
)
def test_a_canary_that_harms_goes_back_to_blue_in_its_first_stage(world, canary, users, said):
    seen = goes_on(world, canary, Users(world, **users))
    assert seen["status"] == "rolled_back"
    assert said in seen["message"]
    assert world.store.aliases()["docs"] == seen["blue"]
    assert seen["green"] not in world.store.collections()
    assert table.current_route(world.services, "docs").at_rest
    assert [step["status"] for step in shifts(seen)] == ["failed", "skipped", "skipped"]


def test_searches_that_fail_on_both_sides_roll_nothing_back(world, canary):
    seen = goes_on(world, canary, Users(world, blue_errors=0.10, errors=0.10))
    assert seen["status"] in ("live", "paused"), seen["message"]


def test_a_mean_latency_beyond_the_limit_trips_once_ten_looks_say_so(world):
    stages = [{"percentage": 5, "duration_minutes": 30}]
    world.declare(
        "docs",
        source=world.write("docs.jsonl", texts(30)),
        canary={"stages": stages, "min_users": 400},
    )
    world.deploy("docs")
    world.run()
    # Too few users to compare anything, so that nothing but the breaker speaks.
    seen = goes_on(world, started(world), Users(world, ms=300.0, searches=30))
    assert seen["status"] == "rolled_back"
    assert "mean latency of the last 10 looks" in seen["message"]


def test_a_version_that_is_slow_on_a_slow_machine_goes_live_beside_a_blue_that_is_slower(world):
    looks_enough = {"breakers": {"looks": 2}, "stages": STAGES}
    world.declare("docs", source=world.write("docs.jsonl", texts(30)), canary=looks_enough)
    world.deploy("docs")
    world.run()
    seen = goes_on(world, started(world), Users(world, blue_ms=1062.0, ms=688.0))
    assert seen["status"] == "live", seen["message"]


def test_a_version_that_is_too_slow_beside_blue_is_told_with_both_latencies(world):
    stages = [{"percentage": 5, "duration_minutes": 30}]
    world.declare(
        "docs",
        source=world.write("docs.jsonl", texts(30)),
        canary={"stages": stages, "min_users": 400, "breakers": {"looks": 3}},
    )
    world.deploy("docs")
    world.run()
    seen = goes_on(world, started(world), Users(world, blue_ms=300.0, ms=600.0, searches=100))
    assert seen["status"] == "rolled_back"
    assert "1.5 times blue's; blue took 31" in seen["message"]


#: Searches of each arm at a look: enough for the minimum of a stage, and too few for a proof.
FEW = 150
EXCLUDED = "no harm seen; excluded: p95 worse by more than "


def test_with_few_searches_a_stage_passes_by_what_is_excluded_and_everybody_reads_it(world, canary):
    seen = goes_on(world, canary, Users(world, searches=FEW))
    assert seen["status"] == "live", seen["message"]
    second = shifts(seen)[1]
    assert EXCLUDED in second["message"]
    assert second["output"]["judgment"]["verdict"] == "no_harm"
    assert EXCLUDED in second["output"]["judgment"]["words"]
    done = [event["detail"] for event in seen["events"] if event["event"] == "shift.done"]
    assert EXCLUDED in done[1]
    with TestClient(
        make_app(world.services, Settings()), base_url="http://localhost", client=("127.0.0.1", 5)
    ) as client:
        page = client.get(f"/deployments/{canary}").text
        answer = client.get(f"{PREFIX}/deployments/{canary}").text
    assert EXCLUDED in page
    assert "excluded: errors by more than " in page, "the tile of a metric"
    assert EXCLUDED in answer


def test_with_few_searches_a_person_decides_if_the_index_says_so(world):
    world.declare(
        "docs",
        source=world.write("docs.jsonl", texts(30)),
        canary={"stages": STAGES, "undecided": "pause"},
    )
    world.deploy("docs")
    world.run()
    seen = goes_on(world, started(world), Users(world, searches=FEW))
    assert seen["status"] == "paused"
    assert "more searches" in seen["message"]
    assert world.store.aliases()["docs"] == seen["blue"]


def test_a_stage_in_which_much_harm_is_possible_is_extended_and_then_a_person_decides(world):
    world.declare(
        "docs",
        source=world.write("docs.jsonl", texts(30)),
        canary={"stages": STAGES, "exclude": {"p95": 0.01}},
    )
    world.deploy("docs")
    world.run()
    seen = goes_on(world, started(world), Users(world, searches=FEW))
    assert seen["status"] == "paused"
    assert "p95 worse by more than" in seen["message"]
    assert "1 % must be" in seen["message"]


def test_green_that_is_gone_ends_the_canary(world, canary):
    world.run(until=lambda: shifts(world.status(canary))[0]["status"] == "waiting")
    world.store.drop(world.status(canary)["green"])
    seen = goes_on(world, canary, Users(world))
    assert seen["status"] == "rolled_back"
    assert "does not exist any more" in seen["message"]


def test_collection_is_dropped_only_when_every_search_process_says_that_it_has_let_go(
    world, canary
):
    services = world.services
    world.run(until=lambda: shifts(world.status(canary))[0]["status"] == "waiting")
    route = table.current_route(services, "docs")
    table.report_served_routes(services, "searcher", {"docs": route.version})
    commands.request_action(services, canary, Event.ABORT, actor="anna", reason="enough")
    assert "5 % set, confirmed by" in shifts(world.status(canary))[0]["message"]
    green = world.status(canary)["green"]
    world.run(
        until=lambda: "0 of 1 search processes" in shifts(world.status(canary))[0]["message"],
        turns=20,
    )
    assert green in world.store.collections()
    assert table.current_route(services, "docs").at_rest
    table.report_served_routes(services, "searcher", {"docs": route.version + 1})
    seen = goes_on(world, canary)
    assert seen["status"] == "rolled_back"
    assert green not in world.store.collections()


def test_a_search_process_that_fell_silent_does_not_hold_the_rollback_up(world, canary):
    world.run(until=lambda: shifts(world.status(canary))[0]["status"] == "waiting")
    table.report_served_routes(world.services, "killed", {"docs": 1})
    commands.request_action(world.services, canary, Event.ABORT, actor="anna")
    seen = goes_on(world, canary)
    assert seen["status"] == "rolled_back"


class Stopped:
    """A store after whose next ``health`` the worker is stopped, and goes on when ``meanwhile`` is
    over."""

    def __init__(self, store: VectorStore, meanwhile: Callable[[], object]) -> None:
        self._store = store
        self._meanwhile = [meanwhile]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def health(self, collection: str) -> Health:
        found = self._store.health(collection)
        if self._meanwhile:
            self._meanwhile.pop()()
        return found


class Away:
    """A store that does not answer for a collection's health."""

    def __init__(self, store: VectorStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def health(self, collection: str) -> Health:
        raise Unavailable("Qdrant did not answer")


def test_a_worker_that_was_stopped_does_not_give_searches_to_what_was_rolled_back_meanwhile(
    world, canary
):
    def rolled_back() -> None:
        world.clock.move(world.services.times.longest_lease + 1)
        commands.request_action(world.services, canary, Event.ABORT, actor="anna")
        assert goes_on(world, canary)["status"] == "rolled_back"

    world.over(Stopped(world.store, rolled_back))
    with pytest.raises(LeaseLost):
        world.turn(world.broker.take_next())
    assert table.current_route(world.services, "docs").at_rest


# --- the watch after the switch -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("blue_ms", "green_ms", "ends", "said"),
    [
        (1000, 700, "live", ""),
        (20, 700, "rolled_back", "200 ms are tolerated; blue took 2"),
        (400, 700, "rolled_back", "1.5 times blue's; blue took 4"),
        (None, 700, "rolled_back", "200 ms are tolerated; blue's latency is not known"),
    ],
)
def test_the_soak_takes_a_version_for_slow_only_beside_blue(world, blue_ms, green_ms, ends, said):
    soak = {"seconds": 3, "interval_seconds": 1, "max_errors": 0}
    world.declare("docs", source=world.write("docs.jsonl", texts(30)), soak=soak)
    world.deploy("docs")
    world.run()

    def search(number: int, ms: float | None) -> None:
        if ms is not None:
            stage = table.current_route(world.services, "docs").stage
            key = TrafficKey("docs", stage, "live", "real", world.store.aliases()["docs"])
            tallies = {key: experienced(250, ms=ms, seed=1)}
            traffic.write_tallies(world.services.sessions, world.clock, "users", number, tallies)

    search(1, blue_ms)
    world.write("docs.jsonl", texts(40))
    deployment = world.deploy("docs")
    world.run(until=world.at(deployment, "soak"))
    for number in range(2, 10):
        search(number, green_ms)
        if knock := world.broker.take_next():
            world.turn(knock)
    world.run()
    seen = world.status(deployment)
    assert seen["status"] == ends, seen["message"]
    assert said in seen["message"]


# --- an operator's words --------------------------------------------------------------------------


def test_promote_moves_a_running_stage_on_by_one(world, canary):
    world.run(until=lambda: shifts(world.status(canary))[0]["status"] == "waiting")
    commands.request_action(
        world.services, canary, Event.PROMOTE, actor="anna", reason="seen enough"
    )
    world.run(until=lambda: shifts(world.status(canary))[1]["status"] == "waiting")
    first = shifts(world.status(canary))[0]
    assert (first["status"], first["output"]["approved_by"]) == ("done", "anna")
    assert table.current_route(world.services, "docs").share == 5000


def test_a_promotion_of_a_stage_that_ends_meanwhile_does_not_end_the_next_one(world, canary):
    users = Users(world)
    world.run(until=lambda: shifts(world.status(canary))[0]["status"] == "waiting")
    looks(world, users, turns=1)

    def promote() -> None:
        commands.request_action(world.services, canary, Event.PROMOTE, actor="anna")

    world.over(Stopped(world.store, promote))
    looks(world, users, turns=1)
    assert shifts(world.status(canary))[0]["status"] == "done"
    seen = goes_on(world, canary, users)
    assert seen["status"] == "live", seen["message"]
    assert [(step["output"] or {}).get("approved_by") for step in shifts(seen)] == [None] * 3
    refused = next(one for one in seen["events"] if one["event"] == "promote.refused")
    assert "ended by itself" in refused["detail"]


def paused(world: World, canary: str) -> None:
    """By a person, in the first stage."""
    world.run(until=lambda: shifts(world.status(canary))[0]["status"] == "waiting")
    commands.request_action(world.services, canary, Event.PAUSE, actor="anna", reason="lunch")
    world.run(until=lambda: world.read_status(canary) == "paused")


def looks(world: World, users: Users | None = None, turns: int = 12) -> None:
    for _ in range(turns):
        if users:
            users.search()
        if knock := world.broker.take_next():
            world.turn(knock)


def test_a_pause_keeps_the_share_and_ends_no_stage(world, canary):
    users = Users(world)
    paused(world, canary)
    looks(world, users)
    seen = world.status(canary)
    assert (seen["status"], seen["message"]) == ("paused", "paused by anna: lunch")
    assert [step["status"] for step in shifts(seen)] == ["waiting", "pending", "pending"]
    assert table.current_route(world.services, "docs").share == 500
    commands.request_action(world.services, canary, Event.RESUME, actor="anna")
    assert goes_on(world, canary, users)["status"] == "live"


def test_harm_ends_a_canary_that_is_paused(world, canary):
    paused(world, canary)
    looks(world, Users(world, errors=0.2))
    seen = world.status(canary)
    assert seen["status"] == "rolled_back"
    assert "searches failed" in seen["message"]
    assert seen["green"] not in world.store.collections()


def test_harm_ends_a_canary_that_asks_a_person(world, canary):
    assert goes_on(world, canary)["status"] == "paused"
    looks(world, Users(world, errors=0.2))
    assert world.status(canary)["status"] == "rolled_back"


def test_a_paused_canary_waits_for_an_outside_that_is_away(world, canary):
    paused(world, canary)
    store = world.store
    world.over(Away(store))
    looks(world, turns=40)
    assert world.status(canary)["status"] == "paused"
    world.over(store)
    commands.request_action(world.services, canary, Event.RESUME, actor="anna")
    assert goes_on(world, canary, Users(world))["status"] == "live"


def test_a_lost_knock_of_a_paused_canary_is_knocked_again(world, canary):
    paused(world, canary)
    world.broker.waiting.clear()
    world.clock.move(120)
    assert [knock.deployment_id for knock in engine.knock_overdue_turns(world.services)] == [canary]


def test_promote_is_refused_where_nothing_waits_for_it(world, canary):
    deployment = world.status(canary)
    commands.request_action(world.services, canary, Event.ABORT, actor="anna")
    goes_on(world, canary)
    again = world.deploy("docs", strategy="canary")
    world.run(until=world.at(again, "populate"))
    with pytest.raises(Refused, match="is at populate, which cannot be shortened"):
        commands.request_action(world.services, again, Event.PROMOTE, actor="anna")
    assert deployment["alias"] == "docs"


def test_promote_full_skips_what_only_watches_and_says_who_did(world, canary):
    world.run(until=lambda: shifts(world.status(canary))[0]["status"] == "waiting")
    with pytest.raises(Refused, match="say why"):
        commands.request_action(world.services, canary, Event.PROMOTE_FULL, actor="anna")
    commands.request_action(
        world.services, canary, Event.PROMOTE_FULL, actor="anna", reason="the old one burns"
    )
    seen = goes_on(world, canary)
    assert seen["status"] == "live"
    skipped = {
        step["name"]: step["message"] for step in seen["steps"] if step["status"] == "skipped"
    }
    assert set(skipped.values()) == {"skipped by anna: the old one burns"}
    assert skipped.keys() == {"shift", "soak"}
    assert table.current_route(world.services, "docs").at_rest


def test_promote_full_before_the_gate_leaves_the_gate_to_be_passed(world):
    world.declare("docs", source=world.write("docs.jsonl", texts(30)), canary={"stages": STAGES})
    world.deploy("docs")
    world.run()
    canary = world.deploy("docs", strategy="canary")
    world.run(until=world.at(canary, "populate"))
    commands.request_action(
        world.services, canary, Event.PROMOTE_FULL, actor="anna", reason="in a hurry"
    )
    seen = goes_on(world, canary)
    assert seen["status"] == "live"
    assert seen["gate"]["verdict"] == "pass"


def test_abort_comes_before_promote_full(world, canary):
    world.run(until=lambda: shifts(world.status(canary))[0]["status"] == "waiting")
    commands.request_action(world.services, canary, Event.ABORT, actor="anna")
    with pytest.raises(Refused, match="abort was asked for by anna and comes before promote_full"):
        commands.request_action(
            world.services, canary, Event.PROMOTE_FULL, actor="bert", reason="go"
        )


def test_a_stage_that_asks_a_person_is_looked_at_again_by_retry(world, canary):
    goes_on(world, canary)
    commands.request_action(
        world.services, canary, Event.RETRY, actor="anna", reason="traffic is back"
    )
    seen = goes_on(world, canary, Users(world))
    assert seen["status"] == "live"
    assert shifts(seen)[0]["attempt"] == 2


# --- what is asked for ----------------------------------------------------------------------------


def test_an_existing_collection_is_taken_and_stays_when_it_fails(world, canary):
    commands.request_action(world.services, canary, Event.ABORT, actor="anna")
    goes_on(world, canary)
    world.declare("other", source=world.write("docs.jsonl", texts(30)))
    world.deploy("other")
    world.run()
    ready = world.store.aliases()["other"]
    taken = world.deploy("docs", strategy="canary", collection=ready)
    seen = world.status(taken)
    assert [step["name"] for step in seen["steps"]] == [
        "validate",
        "shift",
        "shift",
        "shift",
        "switch",
        "soak",
    ]
    seen = goes_on(world, taken, Users(world, errors=0.2))
    assert (seen["status"], seen["green"]) == ("rolled_back", ready)
    assert ready in world.store.collections()


def test_an_existing_collection_can_go_live(world, canary):
    commands.request_action(world.services, canary, Event.ABORT, actor="anna")
    goes_on(world, canary)
    world.declare("other", source=world.write("docs.jsonl", texts(30)))
    world.deploy("other")
    world.run()
    taken = world.deploy("docs", strategy="canary", collection=world.store.aliases()["other"])
    seen = goes_on(world, taken, Users(world))
    assert seen["status"] == "live", seen["message"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"collection": "nobody"}, "nobody does not exist"),
        ({"collection": "blue"}, "is already live"),
        ({"collection": "blue", "source": "jsonl:docs.jsonl"}, "name one of the two"),
        ({"options": {"canary": {"stages": []}}}, "at least 1 item"),
        (
            {"options": {"canary": {"stages": [{"percentage": 0, "duration_minutes": 1}]}}},
            "needs shadow: true",
        ),
        (
            {
                "options": {
                    "canary": {
                        "stages": [{"percentage": p, "duration_minutes": 1} for p in (50, 5)]
                    }
                }
            },
            "never fall",
        ),
        (
            {"options": {"canary": {"stages": [{"percentage": 0.001, "duration_minutes": 1}]}}},
            "multiple of 0.01",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_changed(world, asked, said):
    world.declare("docs", source=world.write("docs.jsonl", texts(30)), canary={"stages": STAGES})
    world.deploy("docs")
    world.run()
    if asked.get("collection") == "blue":
        asked = {**asked, "collection": world.store.aliases()["docs"]}
    with pytest.raises(Refused, match=said):
        world.deploy("docs", strategy="canary", **asked)
    assert len(world.store.collections()) == 1


def test_a_first_deployment_has_nothing_to_be_compared_with(world):
    world.declare("docs", source=world.write("docs.jsonl", texts(30)), canary={"stages": STAGES})
    with pytest.raises(Refused, match="deploy it with blue_green first"):
        world.deploy("docs", strategy="canary")
