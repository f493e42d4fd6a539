"""Applications write all the time while real workers rebuild the index and are killed: nothing that
was acknowledged is missing, stale or back from the dead."""

import time
from pathlib import Path

import pytest

from tests.acceptance.installation import BRISK, ENDED, OPTIONS, Installation
from tests.world import EMBEDDING
from tests.writers import Writer, compare_with, make_vector, tell

ALIAS = "written"
#: So many short texts are too much alike for the small model; this test looks only at what is
#: there.
VALIDATION = {
    **OPTIONS["validation"],
    "checks": {**OPTIONS["validation"]["checks"], "self_retrieval": False},
}
SETTINGS = {
    "embedding": EMBEDDING,
    "validation": VALIDATION,
    "soak": {"seconds": 2, "interval_seconds": 0.5},
    "source": "live",
    "writes": {"fence_seconds": 20},
}
_KILLS = 3
_BETWEEN_KILLS = 4.0
_WRITERS = 4


@pytest.mark.timeout(600)
def test_nothing_is_lost_while_workers_are_killed_in_a_rebuild_under_writers(
    tmp_path: Path,
) -> None:
    with Installation(tmp_path / "house", "postgres", times=BRISK, tick=0.5) as house:
        house.write_documents(count=1500)
        house.declare({ALIAS: SETTINGS})
        house.run()
        house.deploy(ALIAS, validation=VALIDATION)
        first = house.ended(ALIAS)
        assert first.status == "live", house.story()
        writers = start_writers(house)
        try:
            accepted = house.ask("deployments.deploy_new_version", alias_name=ALIAS)
            assert accepted["deployment_id"]
            kill_workers(house)
            ended = house.ended(ALIAS, 240)
        finally:
            for writer in writers:
                writer.stop()
        assert ended.status == "live", house.story()
        truths = [writer.truth for writer in writers]
        assert compare_with(truths, read_points(house)) == {
            "missing": [],
            "stale": [],
            "resurrected": [],
        }
        assert sum(truth.writes for truth in truths) > 100


def start_writers(house: Installation) -> list[Writer]:
    there = read_points(house)
    writers = [
        Writer(
            house.qdrant.url,
            ALIAS,
            [
                *range(number * 300, number * 300 + 200),
                *range(10_000 * (number + 1), 10_000 * (number + 1) + 50),
            ],
            make_vector,
            number,
            there,
        )
        for number in range(_WRITERS)
    ]
    for writer in writers:
        writer.start()
    return writers


def kill_workers(house: Installation) -> None:
    for _ in range(_KILLS):
        time.sleep(_BETWEEN_KILLS)
        row = house.deployment(ALIAS)
        if row is not None and row.status in ENDED and row.number > 1:
            return
        house.bulk.kill()
        house.run(house.bulk)


def read_points(house: Installation) -> dict[int, str]:
    answer = house.web.post(f"/collections/{ALIAS}/points/scroll", json={"limit": 10_000})
    points = answer.raise_for_status().json()["result"]["points"]
    return {int(point["payload"]["id"]): tell(point["payload"]) for point in points}
