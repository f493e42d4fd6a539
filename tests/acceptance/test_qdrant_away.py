"""Qdrant is stopped for 15 seconds: a deployment waits during an outage that is shorter than the
limit, and rolls back after a longer one."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from qdrant_rollouts.core.database.models import Deployment
from tests.acceptance.conftest import Houses
from tests.acceptance.installation import RECORDS, Installation, blue, everywhere
from tests.acceptance.traps import HOLD

AWAY = 15.0
#: Fifteen seconds are three of these looks; the server needs the others to read its collections
#: again.
PATIENT_SOAK = {"soak": {"seconds": 45, "interval_seconds": 5, "max_errors": 8}}
#: Fifteen seconds are more than six of these looks.
SHORT_SOAK = {"soak": {"seconds": 120, "interval_seconds": 1, "max_errors": 5}}
ALIASES = ("away-populate", "away-soak", "away-populate-short", "away-soak-short")


@dataclass(frozen=True)
class Outage:
    """The states of the deployments right before Qdrant came back, and their ends."""

    meanwhile: dict[str, str]
    ends: dict[str, Deployment]
    #: Seconds from Qdrant's first answer to the end of the last deployment.
    after: float


@pytest.fixture(scope="module")
def outages(houses: Houses) -> dict[str, Outage]:
    return everywhere(houses, outage)


@pytest.fixture
def seen(outages: dict[str, Outage], database: str) -> Outage:
    return outages[database]


def outage(house: Installation) -> Outage:
    house.drop_collections()
    house.make_live(*ALIASES)
    for alias, options in (
        ("away-populate", {}),
        ("away-populate-short", {"progress_deadline_seconds": 6}),
    ):
        house.traps.set(alias, "upsert.before", HOLD)
        house.deploy(alias, **options)
    house.deploy("away-soak", **PATIENT_SOAK)
    house.deploy("away-soak-short", **SHORT_SOAK)
    for alias in ("away-populate", "away-populate-short"):
        house.sprung(alias, "upsert.before")
    for alias in ("away-soak", "away-soak-short"):
        house.at_step(alias, "soak")
    house.qdrant.kill()
    for alias in ("away-populate", "away-populate-short"):
        house.traps.release(alias, "upsert.before")
    threading.Event().wait(AWAY)
    meanwhile = {alias: str(one.status) for alias in ALIASES if (one := house.deployment(alias))}
    house.qdrant.start()
    back = time.monotonic()
    ends = {alias: house.ended(alias) for alias in ALIASES}
    return Outage(meanwhile, ends, time.monotonic() - back)


@pytest.mark.parametrize("alias", ["away-populate", "away-soak"])
def test_a_pause_of_qdrant_shorter_than_the_limit_is_waited_out(
    house: Installation, seen: Outage, alias: str
):
    row = seen.ends[alias]
    assert seen.meanwhile[alias] == "running"
    assert row.status == "live", row.message
    assert house.count(row.green) == RECORDS
    assert house.aliases()[alias] == row.green


def test_the_pause_was_noticed_and_written_down(house: Installation, seen: Outage):
    soak = seen.ends["away-soak"].steps[-1]
    assert soak.output["errors"] >= 2
    retries = [
        event.detail for event in house.events("away-populate") if event.event == "populate.retry"
    ]
    assert retries
    assert house.qdrant.url in retries[0]


@pytest.mark.parametrize("alias", ["away-populate-short", "away-soak-short"])
def test_a_pause_of_qdrant_beyond_the_limit_rolls_back_as_soon_as_it_is_there_again(
    house: Installation, seen: Outage, alias: str
):
    row = seen.ends[alias]
    assert seen.meanwhile[alias] == "rolling_back"
    assert row.status == "rolled_back", row.message
    assert house.aliases()[alias] == blue(alias)
    assert row.green not in house.collections()
    assert blue(alias) in house.collections()


def test_the_reason_of_the_rollback_names_the_number_and_the_limit(seen: Outage):
    assert "no progress for" in seen.ends["away-populate-short"].message
    assert "6 errors" in seen.ends["away-soak-short"].message
    assert "5 are tolerated" in seen.ends["away-soak-short"].message


def test_how_long_the_ends_took_is_told(outages: dict[str, Outage], figure: Callable[[str], None]):
    for database, outage in outages.items():
        figure(
            f"{database:9} Qdrant away for {AWAY:.0f} s: all four ended {outage.after:.1f} s after "
            "it was back"
        )
    assert outages
