"""A strategy of one's own that ends without a switch, on both databases and over a real server: its
end says what it did, and leaves the index as it was."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.lifecycle import FINAL, Event, Status
from qdrant_rollouts.core.operations.views import metrics, queries
from qdrant_rollouts.core.operations.views.overview.deployment_list import list_deployment_page
from qdrant_rollouts.core.operations.views.overview.deployment_situation import (
    get_deployment_with_situation,
)
from qdrant_rollouts.core.routing import table, traffic
from qdrant_rollouts.core.routing.traffic import TrafficKey
from qdrant_rollouts.core.statistics.traffic_sketch import GROUPS, TrafficSketch
from qdrant_rollouts.interfaces.cli import picture, screen
from qdrant_rollouts.interfaces.http.app import make_app
from qdrant_rollouts.interfaces.mcp import answers
from tests.contract.test_kills import Scenario, go_on, killed_everywhere
from tests.mortal import MakeWorld, Reaper
from tests.strategies import begin_plan, plan_shadow_only
from tests.world import World, texts


def serve(world: World, times: int = 1) -> str:
    """An index that serves its first version, or a later one; returns the collection behind it."""
    world.declare("docs", source=world.write("docs.jsonl", texts(12)), canary={"min_searches": 50})
    for _ in range(times):
        world.deploy("docs")
        world.run()
    return world.store.aliases()["docs"]


def begin(world: World, *, keep: bool, minutes: float = 2) -> str:
    return begin_plan(
        world, "docs", plan_shadow_only(world.indexes["docs"], keep=keep, minutes=minutes)
    )


def search_in_shadow(world: World, number: int, errors: bool = False) -> None:
    """What a search process writes down of one second in which it asked green too."""
    route = table.current_route(world.services, "docs")
    if route.at_rest:
        return
    tally = TrafficSketch()
    for user in range(60):
        tally.add(user % GROUPS, 0.01, error=errors)
    key = TrafficKey("docs", route.stage, "canary", "shadow", str(route.green))
    traffic.write_tallies(world.services.sessions, world.clock, "users", number, {key: tally})


def finish(world: World, deployment: str, *, errors: bool = False) -> dict[str, Any]:
    for number in range(1, 80):
        if world.read_status(deployment) in FINAL:
            break
        search_in_shadow(world, number, errors)
        knock = world.broker.take_next()
        if knock is not None:
            world.turn(knock)
    return world.status(deployment)


def events_of(seen: dict[str, Any]) -> list[str]:
    return [event["event"] for event in seen["events"]]


@pytest.fixture
def real(
    tmp_path: Path, ready_postgres_url: str, qdrant_url: str, qdrant_grpc_port: int
) -> Iterator[World]:
    """With every server real."""
    with closing(
        World(tmp_path, ready_postgres_url, ServerStore(qdrant_url, "", qdrant_grpc_port))
    ) as made:
        yield made


def test_it_ends_completed_with_the_alias_where_it_was_and_green_kept(world: World) -> None:
    blue = serve(world)
    due = queries.list_deletions(world.services)
    seen = finish(world, begin(world, keep=True))
    assert seen["status"] == Status.COMPLETED
    assert [step["status"] for step in seen["steps"]] == ["done"] * 5
    assert world.store.aliases() == {"docs": blue}
    assert table.current_route(world.services, "docs").at_rest
    assert seen["green"] in world.store.collections()
    assert queries.list_deletions(world.services) == due
    assert seen["deletions"] == [] or blue not in {one["collection"] for one in seen["deletions"]}
    assert "alias.switched" not in events_of(seen)


@pytest.mark.parametrize("keep", [True, False])
def test_it_ends_so_over_a_real_server_too(real: World, keep: bool) -> None:
    blue = serve(real)
    seen = finish(real, begin(real, keep=keep))
    assert seen["status"] == Status.COMPLETED, seen["message"]
    assert real.store.aliases() == {"docs": blue}
    assert (seen["green"] in real.store.collections()) is keep
    assert table.current_route(real.services, "docs").at_rest


def test_it_drops_green_where_its_plan_says_so(world: World) -> None:
    blue = serve(world)
    seen = finish(world, begin(world, keep=False))
    assert seen["status"] == Status.COMPLETED
    assert seen["green"] not in world.store.collections()
    assert world.store.aliases() == {"docs": blue}
    assert f"{seen['green']} dropped" in seen["message"]


def test_it_drops_no_collection_that_was_there_before(world: World) -> None:
    serve(world)
    kept = finish(world, begin(world, keep=True))["green"]
    plan = plan_shadow_only(world.indexes["docs"], keep=False, existing=True)
    deployment = begin_plan(world, "docs", plan, collection=kept)
    world.run(until=lambda: world.read_status(deployment) == Status.PAUSED)
    # What its gate cannot tell of a collection that was there already, a person approves.
    commands.request_action(world.services, deployment, Event.PROMOTE, actor="anna")
    seen = finish(world, deployment)
    assert seen["status"] == Status.COMPLETED
    assert kept in world.store.collections()
    assert "stays" in seen["message"]


def test_whoever_looks_is_told_what_happened_and_nobody_that_it_is_live(world: World) -> None:
    blue = serve(world)
    deployment = begin(world, keep=True)
    assert world.status(deployment)["deletions"] == [], "nothing will be deleted for it"
    seen = finish(world, deployment)
    assert seen["message"].startswith(
        f"docs is served by {blue}, as before: no step of this plan moves it."
    )
    assert [f"deployment.{word}" for word in ("pending", "running", "completed")] == [
        event for event in events_of(seen) if event.startswith("deployment.")
    ]
    told = world.told()[-1]
    assert (told.what, told.text) == ("deployment.completed", seen["message"])
    taken = metrics.read_metrics(world.services)
    assert (("rollout", "shadow_only", "completed"), 1) in taken["deployments_ended"].samples
    assert (("rollout", "shadow_only", "completed"), 1) in taken["deployments"].samples
    listed = list_deployment_page(world.services, outcome="completed")["deployments"]
    assert [row["id"] for row in listed] == [deployment]
    assert deployment not in {
        row["id"] for row in list_deployment_page(world.services, outcome="live")["deployments"]
    }
    assert (
        "nothing changed for searches"
        in answers.build_seen(get_deployment_with_situation(world.services, seen["id"])).next
    )
    console = screen.make_console()
    with console.capture() as captured:
        console.print(picture.render_tree(seen))
    assert "completed" in captured.get()
    assert "live" not in captured.get().replace("live writes", "")


def test_the_pages_show_it_as_completed(world: World) -> None:
    serve(world)
    deployment = finish(world, begin(world, keep=True))["id"]
    app = make_app(world.services, Settings(_env_file=None))
    with TestClient(app, base_url="http://localhost", client=("127.0.0.1", 1)) as browser:
        page = browser.get(f"/deployments/{deployment}").text
        history = browser.get("/deployments?outcome=completed").text
    assert "completed" in page
    assert deployment in history


def test_the_way_back_is_that_of_what_serves(world: World) -> None:
    blue = serve(world, times=2)
    before = world.status(_last_live(world))["blue"]
    finish(world, begin(world, keep=True))
    commands.start_rollback(world.services, "docs", actor="anna")
    world.run()
    assert world.store.aliases() == {"docs": before}
    assert before != blue


def _last_live(world: World) -> str:
    rows = queries.list_deployments(world.services, "docs", status=Status.LIVE)
    return str(rows[0]["id"])


def test_the_next_deployment_begins_as_if_there_had_been_none(world: World) -> None:
    serve(world)
    for _ in range(2):
        finish(world, begin(world, keep=False))
    following = world.deploy("docs")
    world.run()
    assert world.status(following)["status"] == Status.LIVE


def test_what_it_kept_can_be_deployed(world: World) -> None:
    serve(world)
    kept = finish(world, begin(world, keep=True))["green"]
    world.deploy("docs", collection=kept)
    world.run()
    assert world.store.aliases() == {"docs": kept}


def test_a_shadow_that_fails_takes_green_back(world: World) -> None:
    blue = serve(world)
    seen = finish(world, begin(world, keep=True), errors=True)
    assert seen["status"] == Status.ROLLED_BACK
    assert seen["green"] not in world.store.collections()
    assert world.store.aliases() == {"docs": blue}
    assert table.current_route(world.services, "docs").at_rest


@pytest.mark.parametrize("step", ["populate", "shift", "stop"])
def test_an_abort_at_any_step_leaves_nothing_of_it(world: World, step: str) -> None:
    blue = serve(world)
    deployment = begin(world, keep=True, minutes=0)
    world.run(until=world.at(deployment, step))
    commands.request_action(world.services, deployment, Event.ABORT, actor="anna")
    world.run()
    seen = world.status(deployment)
    assert seen["status"] == Status.ROLLED_BACK
    assert seen["green"] not in world.store.collections()
    assert world.store.aliases() == {"docs": blue}
    assert table.current_route(world.services, "docs").at_rest


def test_a_shadow_that_nobody_searched_holds_and_can_be_tried_again_or_promoted(
    world: World,
) -> None:
    serve(world)
    deployment = begin(world, keep=True)

    def paused() -> bool:
        return bool(world.status(deployment)["status"] == Status.PAUSED)

    world.run(until=paused)
    commands.request_action(world.services, deployment, Event.RETRY, actor="anna")
    world.run(until=lambda: not paused())
    world.run(until=paused)
    assert world.step(deployment, "shift")["attempt"] == 2
    commands.request_action(world.services, deployment, Event.PROMOTE, actor="anna")
    world.run()
    assert world.status(deployment)["status"] == Status.COMPLETED


def test_there_is_nothing_to_keep_serving_in_an_abort(world: World) -> None:
    serve(world)
    deployment = begin(world, keep=True)
    world.run(until=world.at(deployment, "shift"))
    with pytest.raises(Refused, match="does not serve docs"):
        commands.request_action(world.services, deployment, Event.ABORT_KEEP, actor="anna")


def test_its_place_is_given_back_before_the_shadow(world: World) -> None:
    serve(world)
    deployment = begin(world, keep=True)
    world.run(until=world.at(deployment, "shift"))
    taken = dict(metrics.read_metrics(world.services)["rebuild_places"].samples)
    assert taken[("taken",)] == 0


def test_a_route_that_its_plan_forgets_is_cleared_at_its_end(world: World) -> None:
    serve(world)
    plan = plan_shadow_only(world.indexes["docs"], keep=True, minutes=0)[:-1]
    seen = finish(world, begin_plan(world, "docs", plan))
    assert seen["status"] == Status.COMPLETED
    assert table.current_route(world.services, "docs").at_rest


def test_a_plan_that_only_builds_holds_its_place_to_its_end(world: World) -> None:
    serve(world)
    deployment = begin_plan(world, "docs", plan_shadow_only(world.indexes["docs"], keep=True)[:3])
    world.run(until=world.at(deployment, "validate"))
    assert dict(metrics.read_metrics(world.services)["rebuild_places"].samples)[("taken",)] == 1
    world.run()
    assert world.status(deployment)["status"] == Status.COMPLETED
    assert dict(metrics.read_metrics(world.services)["rebuild_places"].samples)[("taken",)] == 0


def _serve_thirty(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    world.deploy("docs")
    world.run()


@pytest.mark.proof
@pytest.mark.parametrize("keep", [True, False])
def test_wherever_the_worker_is_killed_it_ends_completed(
    make: MakeWorld, effort: Callable[[int, int], int], keep: bool
) -> None:
    def try_out(world: World, reaper: Reaper) -> dict[str, Any]:
        return go_on(world, reaper, begin(world, keep=keep, minutes=0))

    scenario = Scenario(_serve_thirty, try_out)
    for world, status in killed_everywhere(make, scenario, few=effort(16, 100_000)):
        assert status["status"] == "completed", status["message"]
        assert world.store.aliases()[status["alias"]] == status["blue"]
        assert (status["green"] in world.store.collections()) is keep
        assert table.current_route(world.services, status["alias"]).at_rest
