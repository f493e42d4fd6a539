"""The long form of ``test_preempted``: a worker is killed every 20 s while a million records are
loaded, and then in each turn of a backup and of a restore. ``ROLLOUTS_TEST_PREEMPTED=200000,4``
sets other numbers."""

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, selectinload

from qdrant_rollouts.core.database.models import Deployment
from tests.acceptance.installation import BRISK, ENDED, OPTIONS, Installation, until

pytestmark = [pytest.mark.proof, pytest.mark.timeout(7200)]

ALIAS = "long"
EMBEDDING = {"model": "hashing:32", "text": "{title}"}
#: Some of so many short texts are alike; this test only checks that all records are there.
VALIDATION = {
    **OPTIONS["validation"],
    "checks": {**OPTIONS["validation"]["checks"], "self_retrieval": False},
}
_WINDOW = 1024


def test_a_rebuild_a_backup_and_a_restore_get_to_their_end_on_workers_that_are_taken_away(
    tmp_path: Path, effort: Callable[[int, int], int], figure: Callable[[str], None]
):
    told = os.environ.get("ROLLOUTS_TEST_PREEMPTED", f"{effort(0, 1_000_000)},20")
    records = int(told.split(",")[0])
    every = float(told.split(",")[1])
    if not records:
        pytest.skip("the short form is test_preempted")
    with Installation(
        tmp_path / "house", "postgres", times={**BRISK, "turn_time": 20.0}, tick=1.0, children=1
    ) as house:
        house.run()
        write(house, records)
        house.make_live(ALIAS)
        started = time.monotonic()
        id = house.deploy(
            ALIAS, "many.jsonl", embedding=EMBEDDING, validation=VALIDATION, accept_new_model=True
        )
        kills = kill_until_over(house, id, every)
        loaded = row_of(house, id)
        assert loaded.status == "live", loaded.message
        assert house.count(loaded.green) == records
        deaths = [
            event.detail for event in house.events(ALIAS) if event.event.endswith(".worker_died")
        ]
        written = sum(entry["points"] for entry in house.journal(ALIAS))
        assert kills > 0
        assert written - records <= kills * _WINDOW, (
            "a death costs at most the window that was under way"
        )
        figure(
            f"{records:,} records with the bulk worker killed every {every:g} s: live after "
            f"{time.monotonic() - started:.0f} s, {kills} kills, {len(deaths)} deaths in the "
            "middle of a turn, "
            f"{written - records:,} points written twice"
        )

        backup = house.ask("backups.create", alias_name=ALIAS)["backup_id"]
        turns = kill_in_each_turn(house, backup)
        assert row_of(house, backup).status == "live", row_of(house, backup).message
        house.web.delete(f"/collections/{loaded.green}").raise_for_status()
        restore = house.ask("backups.restore", backup_id=backup)["deployment_id"]
        turns_back = kill_in_each_turn(house, restore)
        back = row_of(house, restore)
        assert back.status == "live", back.message
        assert house.count(back.green) == records
        figure(
            f"its backup with a kill in each turn ({turns}), and its restore ({turns_back}): "
            "whole, exact count"
        )


def write(house: Installation, records: int) -> None:
    with (house.folder / "many.jsonl").open("w") as file:
        file.writelines(
            f'{{"id": {n}, "title": "record {n} of {n % 977} and {n % 7919}"}}\n'
            for n in range(records)
        )
    index = {
        "embedding": EMBEDDING,
        "validation": VALIDATION,
        "soak": OPTIONS["soak"],
        "source": "jsonl:many.jsonl",
    }
    (house.folder / "rollouts.yaml").write_text(json.dumps({"indexes": {ALIAS: index}}))


def row_of(house: Installation, id: str) -> Deployment:
    with Session(house.engine) as session:
        return session.get_one(Deployment, id, options=[selectinload(Deployment.steps)])


def kill_until_over(house: Installation, id: str, every: float) -> int:
    kills = 0
    while row_of(house, id).status not in ENDED:
        threading.Event().wait(every)
        if row_of(house, id).status in ENDED:
            break
        house.bulk.kill()
        kills += 1
        house.run(house.bulk)
    return kills


def kill_in_each_turn(house: Installation, id: str) -> int:
    """Kills the bulk worker once in each step and phase; returns how often."""
    seen: set[tuple[str, str]] = set()

    def over() -> bool:
        row = row_of(house, id)
        at = next(
            (
                (step.name, str(step.state.get("phase", "")))
                for step in row.steps
                if step.status == "running"
            ),
            None,
        )
        if at is not None and at not in seen and row.lease_owner:
            seen.add(at)
            house.bulk.kill()
            house.run(house.bulk)
        return row.status in ENDED

    until(over, 900, f"the end of {id}", house.story)
    return len(seen)
