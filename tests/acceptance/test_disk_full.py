"""Qdrant's disk is full for some time. What could not be written or indexed is tried again when
there is space, although the server still shows the error. If the disk stays full for too long, the
deployment is rolled back."""

import time
from dataclasses import dataclass

import pytest

from qdrant_rollouts.core.database.models import Deployment
from tests.acceptance.conftest import Houses
from tests.acceptance.installation import RECORDS, Installation, blue, everywhere
from tests.acceptance.traps import HOLD
from tests.world import DIMENSION

#: The first deployment meets the full disk in its writes, the others in the work on their indexes.
#: The last one has too little patience.
WRITES = "full-writes"
INDEX = "full-index"
SHORT = "full-short"


@dataclass(frozen=True)
class Full:
    """What was reported while the disk was full, and how the deployments ended."""

    said: dict[str, str]
    ends: dict[str, Deployment]
    shown: str


@pytest.fixture(scope="module")
def disks(houses: Houses) -> dict[str, Full]:
    return everywhere(houses, full_disk)


@pytest.fixture
def seen(disks: dict[str, Full], database: str) -> Full:
    return disks[database]


def full_disk(house: Installation) -> Full:
    house.drop_collections()
    house.make_live(WRITES, INDEX, SHORT)
    for alias in (INDEX, SHORT):
        index_early(house, blue(alias))
    for alias in (WRITES, INDEX, SHORT):
        house.traps.set(alias, "upsert.before", HOLD)
    house.deploy(WRITES)
    house.deploy(INDEX)
    house.deploy(SHORT, progress_deadline_seconds=3)
    for alias in (WRITES, INDEX, SHORT):
        house.sprung(alias, "upsert.before")
    for alias in (INDEX, SHORT):
        begin_files(house, green(house, alias))
    with house.qdrant.full():
        for alias in (WRITES, INDEX, SHORT):
            house.traps.release(alias, "upsert.before")
        house.until(lambda: "File too large" in said(house, WRITES), 30, "a write that fails")
        house.until(lambda: "tries again" in said(house, INDEX), 30, "an index that fails")
        short = house.ended(SHORT)
        meanwhile = {alias: said(house, alias) for alias in (WRITES, INDEX)}
    ends = {SHORT: short, **{alias: house.ended(alias) for alias in (WRITES, INDEX)}}
    shown = str(
        house.web.get(f"/collections/{ends[INDEX].green}").json()["result"]["optimizer_status"]
    )
    return Full(meanwhile, ends, shown)


def index_early(house: Installation, collection: str) -> None:
    """Lets every collection that is made like this one index even a few points."""
    body = {"optimizers_config": {"indexing_threshold": 10, "default_segment_number": 1}}
    house.web.patch(f"/collections/{collection}", json=body).raise_for_status()


def begin_files(house: Installation, collection: str) -> None:
    """Creates the files that points go to, so that later only index files are needed."""
    point = {"id": 1, "vector": [1.0] * DIMENSION, "payload": {}}
    where = f"/collections/{collection}/points"
    house.web.put(where, params={"wait": "true"}, json={"points": [point]}).raise_for_status()
    house.web.post(
        f"{where}/delete", params={"wait": "true"}, json={"points": [1]}
    ).raise_for_status()
    time.sleep(0.2)  # an optimization of this one point, if there is one, has ended


def green(house: Installation, alias: str) -> str:
    row = house.deployment(alias)
    assert row is not None
    return row.green


def said(house: Installation, alias: str) -> str:
    row = house.deployment(alias)
    return row.steps[1].message if row is not None else ""


@pytest.mark.parametrize("alias", [WRITES, INDEX])
def test_what_met_a_full_disk_ends_live_once_there_is_room(
    house: Installation, seen: Full, alias: str
):
    row = seen.ends[alias]
    assert row.status == "live", row.message
    assert house.count(row.green) == RECORDS
    assert house.aliases()[alias] == row.green


def test_it_is_said_what_the_server_says_and_until_when_it_is_waited(seen: Full):
    assert "failed to set length of file" in seen.said[INDEX]
    assert "waited for up to" in seen.said[INDEX]
    assert "progress_deadline_seconds" in seen.said[INDEX]


def test_the_server_shows_the_error_of_the_past_when_all_is_live(seen: Full):
    assert "File too large" in seen.shown


def test_without_room_for_too_long_it_is_rolled_back_and_says_why(house: Installation, seen: Full):
    row = seen.ends[SHORT]
    assert row.status == "rolled_back", row.message
    assert "the server did not finish the index within 3 s" in row.message
    assert "File too large" in row.message
    assert house.aliases()[SHORT] == blue(SHORT)
    assert row.green not in house.collections()
