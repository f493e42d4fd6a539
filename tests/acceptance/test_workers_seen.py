"""Workers are visible from outside: what keeps them busy and since when; that there is none; how
wrong a clock is."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import pytest

from qdrant_rollouts.core.alerts import sent_alerts
from qdrant_rollouts.core.answers.workers import Waits, Worker
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.deployments import unclaimed
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.wiring import build_read_only
from tests.acceptance.installation import BRISK, Installation, Program, both, everywhere
from tests.acceptance.traps import HOLD

APP = "tests.acceptance.faulty"
AHEAD = 40.0
T = TypeVar("T")


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Installation]]:
    """Installations in which a worker has one child, like the Procfile's bulk worker."""
    with both(tmp_path_factory.mktemp("seen"), times=BRISK, tick=1.0, children=1) as running:
        yield running


def seen(house: Installation, look: Callable[[Services], T]) -> T:
    """Returns what a person sees. A new process for each look would take longer than what the test
    observes."""
    settings = Settings(
        _env_file=None, database_url=house.database_url, qdrant_url=house.qdrant.url
    )
    services, _ = build_read_only(settings)
    try:
        return look(services)
    finally:
        services.store.close()
        services.engine.dispose()


def roster(house: Installation) -> dict[str, Worker]:
    """Returns the workers by the first part of their names."""
    return {
        one["name"].split("@")[0]: one
        for one in seen(house, unclaimed.list_workers_and_waits)["workers"]
    }


def waits(house: Installation, deployment: str, cause: str) -> Waits:
    def found() -> Waits | None:
        told = seen(house, lambda services: queries.get_deployment(services, deployment))["waits"]
        return told if told and told["cause"] == cause else None

    return house.until(found, 60, f"{deployment} waits: {cause}")


def alerts(house: Installation, what: str) -> list[str]:
    told = seen(house, lambda services: sent_alerts.list_alerts(services, 1000))
    return [one["text"] for one in told if one["what"] == what]


def doctor(house: Installation) -> dict[str, Mapping[str, Any]]:
    """Returns what a person sees in ``rollouts doctor``: the text of each check, by the first part
    of its name."""
    done = subprocess.run(
        [sys.executable, "-m", "qdrant_rollouts.interfaces.cli", "doctor", "--json"],
        cwd=house.folder,
        env=house.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return {one["name"].split("@")[0]: one for one in json.loads(done.stdout)["checks"]}


def test_the_only_one_that_is_busy_nobody_and_a_clock_that_is_wrong_are_told_apart(
    houses: dict[str, Installation],
) -> None:
    everywhere(houses, _told_apart)


def _told_apart(house: Installation) -> None:
    house.make_live("docs", "blog")
    house.traps.set("docs", "upsert.before", HOLD)
    docs = house.deploy("docs")
    house.sprung("docs", "upsert.before")
    _busy(house, docs, house.deploy("blog"))
    house.traps.release("docs", "upsert.before")
    assert house.ended("docs").status == "live"
    assert house.ended("blog").status == "live"
    _nobody(house)
    _wrong_clock(house)


def _busy(house: Installation, docs: str, blog: str) -> None:
    """The main process reports while its only child is busy."""
    told = waits(house, blog, "busy")
    assert "the only worker of queue bulk is busy: worker bulk@" in told["text"]
    assert "with populate of docs since" in told["text"]
    found = roster(house)
    assert {"worker", "bulk", "beat"} <= found.keys()
    (task,) = found["bulk"]["busy"]
    assert (task["task"], task["deployment_id"], task["alias"]) == (
        "deployments.populate",
        docs,
        "docs",
    )
    assert found["bulk"]["answers"] is True
    assert abs(found["bulk"]["clock_offset_seconds"]) < 2
    assert alerts(house, "deployment.no_progress") == []


def _nobody(house: Installation) -> None:
    """A worker that ends normally removes its row; no row must grow old first."""
    os.kill(house.bulk.pid, signal.SIGTERM)
    house.until(lambda: not house.bulk.alive(), 60, "the end of the bulk worker")
    assert "bulk" not in roster(house), house.bulk.log[-2000:]
    house.make_live("news")
    told = waits(house, house.deploy("news"), "unlistened")
    assert "create of news has been due" in told["text"]
    assert "no worker takes queue bulk" in told["text"]
    assert "celery -A qdrant_rollouts.tasks worker -Q bulk" in told["next"]


def _wrong_clock(house: Installation) -> None:
    """A worker with a wrong clock works as before, and people are told."""
    wrong = Program(
        "worker-bulk", house.folder, house.environment | {"ROLLOUTS_TEST_WALL": str(AHEAD)}, APP, 1
    )
    try:
        house.run(wrong)
        assert house.ended("news").status == "live"
        told = house.until(lambda: alerts(house, "worker.clock_off"), 60, "the alert on the clock")
        assert [text.split("@")[0] for text in told] == ["the clock of bulk"]
        found = roster(house)
        assert (found["bulk"]["clock_is_off"], found["worker"]["clock_is_off"]) == (True, False)
        check = doctor(house)["clock bulk"]
        assert check["state"] == "warn"
        assert "40.0 s ahead of the database's" in check["value"]
        assert "NTP" in check["advice"]
    finally:
        wrong.kill()
