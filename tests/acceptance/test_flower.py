"""What a person sees of a deployment in Flower, which is started as in the Procfile."""

import re
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import Houses
from tests.acceptance.installation import WATCHER, Installation

ALIAS = "seen-in-flower"
Task = dict[str, Any]


@pytest.fixture(scope="module")
def watched(houses: Houses) -> Iterator[Installation]:
    house = houses["sqlite"]
    house.run(house.flower)
    yield house
    house.flower.kill()


@pytest.fixture(scope="module")
def page(watched: Installation) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=watched.flower.url, auth=WATCHER, trust_env=False, timeout=30
    ) as client:
        yield client


@pytest.fixture(scope="module")
def shown(watched: Installation, page: httpx.Client) -> dict[str, Task]:
    """Returns every task by id, after Flower has seen a whole deployment."""
    watched.until(lambda: _hears(watched, page), 60, "Flower to hear of what is sent")
    watched.make_live(ALIAS)
    deployment = watched.deploy(ALIAS)
    watched.ended(ALIAS)

    def whole() -> dict[str, Task] | None:
        tasks = page.get("/api/tasks").raise_for_status().json()
        soaks = [task for task in of(tasks, deployment) if task["name"] == "deployments.soak"]
        return tasks if any("served by" in (task["result"] or "") for task in soaks) else None

    return watched.until(whole, 60, "the end of the deployment in Flower")


def _hears(watched: Installation, page: httpx.Client) -> bool:
    """Waits until Flower receives events, because it answers requests earlier."""
    watched.send("aliases.delete_alias", alias_name="nobody-has-it").get(
        propagate=False, timeout=60
    )
    return bool(page.get("/api/tasks").raise_for_status().json())


def of(tasks: dict[str, Task], deployment: str) -> list[Task]:
    """Returns the turns of one deployment, in order."""
    return sorted((task for task in tasks.values() if task["root_id"] == deployment), key=turn)


def turn(task: Task) -> int:
    return int(re.fullmatch(r"\w{8}-t(\d+)-\w+", task["uuid"])[1])


@pytest.fixture(scope="module")
def turns(watched: Installation, shown: dict[str, Task]) -> list[Task]:
    return of(shown, watched.deployment(ALIAS).id)


def test_each_stage_has_its_name_readable_arguments_and_what_came_of_it(turns: list[Task]):
    stages = ("create", "populate", "validate", "catch_up", "switch", "soak")
    assert {task["name"] for task in turns} == {f"deployments.{stage}" for stage in stages}
    for task in turns:
        assert re.fullmatch(rf"{ALIAS} turn {turn(task)} try \d+", task["args"])
        assert task["kwargs"] in {"", "{}"}
    results = "\n".join(task["result"] or "" for task in turns)
    for before, after in zip(stages, (*stages[1:], "finish"), strict=True):
        assert f"{before} done -> {after}" in results or after == "finish"


def test_each_turn_leads_back_to_the_one_before_and_the_first_to_what_asked_for_it(shown, turns):
    """Turns that the sweep knocked for again have no parent. Flower does not show what beat sends,
    because that would fill the page."""
    parents = [(task, shown[task["parent_id"]]) for task in turns if task["parent_id"] in shown]
    asked = [parent for _, parent in parents if parent["name"] == "deployments.deploy_new_version"]
    linked = [(turn(task), turn(parent)) for task, parent in parents if parent not in asked]
    assert linked
    assert [pair for pair in linked if pair[0] <= pair[1]] == []
    assert ALIAS in asked[0]["kwargs"]
    assert not {task["name"] for task in shown.values()} & {
        "deployments.rouse",
        "collections.delete_due",
    }


def test_a_stage_that_has_phases_tells_each_by_an_event_of_its_own(watched: Installation):
    heard: set[str] = set()
    with watched.foreign.connection_for_read() as connection:
        receiver = watched.foreign.events.Receiver(
            connection, handlers={"*": lambda event: heard.add(event["type"])}
        )
        listening = threading.Thread(target=lambda: receiver.capture(timeout=300, wakeup=False))
        listening.start()
        watched.until(lambda: "worker-heartbeat" in heard, 30, "the first event")
        watched.make_live("phases")
        watched.deploy("phases")
        watched.until(
            lambda: {"task-records", "task-index"} <= heard, 60, "the events of two phases"
        )
        receiver.should_stop = True
        listening.join()


@pytest.mark.parametrize("path", ["/", "/tasks", "/workers", "/api/tasks", "/api/workers"])
def test_nobody_looks_without_the_password(watched: Installation, path: str):
    assert httpx.get(watched.flower.url + path, trust_env=False, timeout=30).status_code == 401


@pytest.mark.parametrize(
    "act", ["task/revoke/ID", "worker/shutdown/NAME", "task/async-apply/deployments.rouse"]
)
def test_nobody_acts_with_it(page: httpx.Client, turns: list[Task], act: str):
    path = act.replace("ID", turns[0]["uuid"]).replace("NAME", turns[0]["worker"])
    assert page.post(f"/api/{path}").status_code == 403
