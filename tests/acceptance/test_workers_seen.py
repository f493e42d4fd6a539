"""Who takes turns is known from outside: busy with what, since when; nobody; and how wrong a worker's clock is."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.acceptance.installation import BRISK, Installation, Program, both, everywhere
from tests.acceptance.traps import HOLD

AHEAD = 40.0


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Installation]]:
    """Where a worker has one child, as the Procfile's bulk worker has."""
    with both(tmp_path_factory.mktemp("seen"), times=BRISK, tick=1.0, children=1) as running:
        yield running


def rollouts(house: Installation, *arguments: str) -> Any:
    """As a person asks, in JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "qdrant_rollouts.interfaces.cli", *arguments, "--json"],
        cwd=house.folder,
        env=house.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return json.loads(done.stdout)


def roster(house: Installation) -> dict[str, Mapping[str, Any]]:
    """By the first part of their names."""
    return {one["name"].split("@")[0]: one for one in rollouts(house, "workers")["workers"]}


def waits(house: Installation, deployment: str, cause: str) -> Mapping[str, Any]:
    def found() -> Mapping[str, Any] | None:
        waits: Mapping[str, Any] | None = rollouts(house, "status", deployment)["waits"]
        return waits if waits and waits["cause"] == cause else None

    return house.until(found, 60, f"{deployment} waits: {cause}")


def checks(house: Installation) -> dict[str, Mapping[str, Any]]:
    return {one["name"].split("@")[0]: one for one in rollouts(house, "doctor")["checks"]}


def test_the_only_one_that_is_busy_nobody_and_a_clock_that_is_wrong_are_told_apart(
    houses: dict[str, Installation],
) -> None:
    everywhere(houses, _told_apart)


def _told_apart(house: Installation) -> None:
    house.make_live("docs", "blog")
    house.traps.set("docs", "upsert.before", HOLD)
    docs = house.deploy("docs")
    house.sprung("docs", "upsert.before")
    blog = house.deploy("blog")
    _busy(house, docs, blog)
    house.traps.release("docs", "upsert.before")
    assert house.ended("docs").status == "live"
    assert house.ended("blog").status == "live"
    _nobody(house)
    _wrong_clock(house)


def _busy(house: Installation, docs: str, blog: str) -> None:
    """Its main process tells while its only child does nothing else."""
    told = waits(house, blog, "busy")
    assert "the only worker of queue bulk is busy: worker bulk@" in told["text"]
    assert "with populate of docs since" in told["text"]
    found = roster(house)
    assert {"worker", "bulk", "beat"} <= found.keys()
    (task,) = found["bulk"]["busy"]
    assert (task["task"], task["deployment_id"], task["alias"]) == ("deployments.populate", docs, "docs")
    assert found["bulk"]["answers"] is True
    assert abs(found["bulk"]["clock_offset_seconds"]) < 2
    assert "populate of docs" in checks(house)["queue bulk"]["value"]
    assert not [one for one in rollouts(house, "alert", "list")["alerts"] if one["what"].endswith("no_progress")]


def _nobody(house: Installation) -> None:
    """Who ends as he should takes his row with him: nothing has to grow old first."""
    os.kill(house.bulk.pid, signal.SIGTERM)
    house.until(lambda: not house.bulk.alive(), 60, "the end of the bulk worker")
    assert "bulk" not in roster(house), house.bulk.log[-2000:]
    house.make_live("news")
    news = house.deploy("news")
    told = waits(house, news, "unlistened")
    assert "create of news has been due" in told["text"]
    assert "no worker takes queue bulk" in told["text"]
    assert "celery -A tasks worker -Q bulk" in told["next"]
    assert checks(house)["queue bulk"]["state"] == "fail"


def _wrong_clock(house: Installation) -> None:
    """What it does is not worse for it, and everybody is told."""
    wrong = Program("worker-bulk", house.folder, house.environment | {"ROLLOUTS_TEST_WALL": str(AHEAD)}, APP, 1)
    try:
        house.run(wrong)
        assert house.ended("news").status == "live"
        check = house.until(lambda: _warned(house), 60, "the doctor's word on the clock")
        assert "40.0 s ahead of the database's" in check["value"]
        assert "NTP" in check["advice"]
        assert roster(house)["bulk"]["clock_is_off"] is True
        assert roster(house)["worker"]["clock_is_off"] is False
        alerts = rollouts(house, "alert", "list")["alerts"]
        told = [one["index"].split("@")[0] for one in alerts if one["what"] == "worker.clock_off"]
        assert told == ["bulk"], alerts
    finally:
        wrong.kill()


APP = "tests.acceptance.faulty"


def _warned(house: Installation) -> Mapping[str, Any] | None:
    check = checks(house).get("clock bulk")
    return check if check and check["state"] == "warn" else None
