"""The worker that fills a clone of the live collection is killed again and again: what serves in
the end is what the full way makes, and no record is lost or there twice."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.installation import OPTIONS, Installation
from tests.acceptance.test_slices_killed import expire_leases
from tests.acceptance.traps import KILL
from tests.world import texts

RECORDS = 1_500
KILLS = 3
#: Of a recovery that was never asked for, nothing comes, and the deployment ends.
PLACES = (
    "fetch.before",
    "fetch.after",
    "recover.after",
    "upsert.before",
    "upsert.after",
    "delete.after",
)
#: Places that every further try passes.
AGAIN = ("fetch.before", "fetch.after")
VALIDATION = {
    **OPTIONS["validation"],
    "checks": {**OPTIONS["validation"]["checks"], "self_retrieval": False},
}


def write(house: Installation, records: list[dict[str, Any]]) -> None:
    lines = [json.dumps(record) for record in records]
    (house.folder / "nightly.jsonl").write_text("\n".join(lines) + "\n")


def some_changed(night: int) -> list[dict[str, Any]]:
    changed = texts(RECORDS + 5, start=0)
    for number in range(night % 10, RECORDS, 100):
        changed[number]["text"] = f"night {night} about python {number}"
    del changed[20 : 20 + night % 7 + 1]
    return changed


def read_texts(house: Installation, collection: str) -> dict[int, str]:
    body = {"limit": 10_000, "with_payload": True}
    found = house.web.post(f"/collections/{collection}/points/scroll", json=body)
    points = found.raise_for_status().json()["result"]["points"]
    return {point["payload"]["id"]: point["payload"]["text"] for point in points}


@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_a_killed_worker_of_a_clone_loses_and_doubles_nothing(
    house: Installation,
    effort: Callable[[int, int], int],
    figure: Callable[[str], None],
    database: str,
) -> None:
    house.drop_collections()
    seeds = effort(int(database == "sqlite"), 25)
    killed = 0
    for seed in range(seeds):
        chance = random.Random(seed)
        alias = f"cloned-{seed}"
        write(house, texts(RECORDS))
        house.make_live(alias)
        house.deploy(alias, "nightly.jsonl", validation=VALIDATION)
        assert house.ended(alias).status == "live"
        wanted = some_changed(seed)
        write(house, wanted)
        place = chance.choice(PLACES)
        house.traps.set(alias, place, KILL)
        deployment = house.deploy(alias, "nightly.jsonl", validation=VALIDATION)
        for kill in range(KILLS):
            house.sprung(alias, place)
            killed += 1
            if kill + 1 < KILLS:
                place = chance.choice(AGAIN)
                house.traps.set(alias, place, KILL, after=chance.randrange(3))
            expire_leases(house)
        row = house.ended(alias)
        assert (row.id, row.status) == (deployment, "live"), row.message
        filled = next(step for step in row.steps if step.name == "populate").output
        assert (filled["way"], filled["expected"]) == ("delta", len(wanted))
        assert house.count(row.green) == len(wanted)
        assert read_texts(house, row.green) == {one["id"]: one["text"] for one in wanted}
    figure(f"delta, {database}: {seeds} clones, {killed} workers killed: every record there once")
