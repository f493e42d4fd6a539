"""The long form of ``test_live_journal``: a million points are rebuilt with another model under 200
writes a second. ``ROLLOUTS_TEST_LIVE=50000`` sets another number of points."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, selectinload

from qdrant_rollouts.core.database.models import Deployment
from tests.acceptance.installation import BRISK, ENDED, Installation
from tests.acceptance.test_live_journal import ALIAS, JOURNAL, VALIDATION, Application
from tests.journaled import KINDS
from tests.writers import compare_with, tell

pytestmark = [pytest.mark.proof, pytest.mark.timeout(7200)]

#: The vectors of the applications do not fit another size, so the new model has the old size.
OTHER = {"model": "hashing:64", "text": "{text} and more"}
_EVERY = 0.002
#: The texts have so few words that many vectors are nearly equal, and no index tells them apart.
MANY_ALIKE = {**VALIDATION, "checks": {**VALIDATION["checks"], "ann_recall@10": False}}


def test_a_million_points_are_rebuilt_under_two_hundred_writes_a_second(
    tmp_path: Path, effort: Callable[[int, int], int], figure: Callable[[str], None]
) -> None:
    points = int(os.environ.get("ROLLOUTS_TEST_LIVE", effort(0, 1_000_000)))
    if not points:
        pytest.skip("the short form is test_live_journal")
    times = {**BRISK, "turn_time": 20.0, "lease": 60.0}
    with Installation(tmp_path / "house", "postgres", times=times, tick=0.5) as house:
        write_documents(house, points)
        house.declare({ALIAS: JOURNAL})
        house.run()
        first = end(house, house.deploy(ALIAS, "many.jsonl", validation=MANY_ALIKE))
        assert first.status == "live", first.message
        applications = [
            Application(house, kind, house.qdrant.url, number, pause=_EVERY)
            for number, kind in enumerate(KINDS)
        ]
        for application in applications:
            application.start()
        started = time.monotonic()
        try:
            options = {"embedding": OTHER, "accept_new_model": True, "validation": MANY_ALIKE}
            begun = house.ask("deployments.deploy_new_version", alias_name=ALIAS, options=options)
            row = end(house, begun["deployment_id"])
            seconds = time.monotonic() - started
        finally:
            for application in applications:
                application.stop()
        assert row.status == "live", row.message
        truths = [application.read() for application in applications]
        assert compare_with(truths, read_written(house, applications)) == {
            "missing": [],
            "stale": [],
            "resurrected": [],
        }
        writes = sum(truth.writes for truth in truths)
        held = next(step.output["held"] for step in row.steps if step.name == "switch")
        figure(
            f"{points:,} points: live after {seconds:.0f} s, {writes:,} writes meanwhile "
            f"({writes / seconds:.0f} a second), which waited for {held:.2f} s"
        )


def write_documents(house: Installation, points: int) -> None:
    with (house.folder / "many.jsonl").open("w") as file:
        file.writelines(
            json.dumps({"id": n, "text": f"text {n} of {n % 977} and {n % 7919}"}) + "\n"
            for n in range(points)
        )


def end(house: Installation, id: str) -> Deployment:
    def over() -> Deployment | None:
        with Session(house.engine) as session:
            row = session.get_one(Deployment, id, options=[selectinload(Deployment.steps)])
        if row.status == "paused":
            house.ask("deployments.promote", deployment_id=id, reason="a test")
        return row if row.status in ENDED else None

    return house.until(over, 2400, f"the end of {id}")


def read_written(house: Installation, applications: list[Application]) -> dict[int, str]:
    ids = sorted({id for one in applications for id in one.read().texts})
    answer = house.web.post(f"/collections/{ALIAS}/points", json={"ids": ids, "with_payload": True})
    points = answer.raise_for_status().json()["result"]
    return {int(point["id"]): tell(point["payload"]) for point in points}
