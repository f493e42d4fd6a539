"""Whole processes and the database itself stop while work is being done; beat stops permanently."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import create_engine, text

from tests.acceptance.conftest import Houses
from tests.acceptance.installation import HELD, RECORDS, Installation, Watch, everywhere, named
from tests.acceptance.traps import HOLD, LOSE

RECOVERED = 40.0
LOST = (
    "knock-create.before",
    "knock-populate.before",
    "knock-validate.before",
    "knock-soak.before",
)


def check(house: Installation, alias: str) -> None:
    row = house.ended(alias)
    events = [event.event for event in house.events(alias)]
    assert row.status == "live", (alias, row.message)
    assert house.count(row.green) == RECORDS
    assert house.aliases()[alias] == row.green
    assert events.count("alias.switched") == 1


# --- workers and beat -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def survived(houses: Houses) -> Iterator[dict[str, dict[str, float]]]:
    """Seconds from the start of the new workers to the next turn, by place; beat is dead from the
    start."""
    for house in houses.values():
        house.beat.kill()
    yield everywhere(houses, kill_both_workers)
    for house in houses.values():
        house.run(house.beat)


def kill_both_workers(house: Installation) -> dict[str, float]:
    orphans = house.hold("orphan")
    house.make_live(*(named("lost", place) for place in LOST))
    with Watch(house) as watch:
        held = {alias: house.turns()[alias][0] for alias in orphans.values()}
        house.worker.kill()
        house.bulk.kill()
        house.run(house.worker, house.bulk)
        back = time.time()
        for place in LOST:
            house.traps.set(named("lost", place), place, LOSE)
            house.deploy(named("lost", place))
        for alias in (*orphans.values(), *(named("lost", place) for place in LOST)):
            house.ended(alias)
    return {place: watch.claimed(alias, held[alias]) - back for place, alias in orphans.items()}


@pytest.mark.parametrize("place", HELD)
def test_what_both_workers_were_doing_when_they_were_killed_is_done_by_those_started_after_them(
    house: Installation, database: str, survived: dict[str, dict[str, float]], place: str
):
    check(house, named("orphan", place))
    assert survived[database][place] <= RECOVERED


@pytest.mark.parametrize("place", LOST)
def test_lost_messages_are_sent_again_though_beat_is_dead(
    house: Installation, survived: dict[str, dict[str, float]], place: str
):
    check(house, named("lost", place))
    assert house.traps.sprung(named("lost", place), place)


def test_how_long_it_took_without_beat_is_told(
    survived: dict[str, dict[str, float]], figure: Callable[[str], None]
):
    for database, places in survived.items():
        figure(
            f"{database:9} both workers killed, beat dead, lease 12 s: every turn claimed again "
            f"{max(places.values()):.1f} s after workers were there"
        )
    assert survived


# --- one is left ----------------------------------------------------------------------------------


def test_a_bulk_worker_that_is_left_alone_does_what_it_can(houses: Houses):
    """No other process sweeps, and a message of this worker was lost."""
    everywhere(houses, leave_bulk_alone)


def leave_bulk_alone(house: Installation) -> None:
    alias = "left-alone"
    others = [house.worker, *([house.beat] if house.beat.alive() else [])]
    house.make_live(alias)
    house.traps.set(alias, "upsert.before", HOLD)
    house.traps.set(alias, "knock-validate.before", LOSE)
    house.deploy(alias)
    house.sprung(alias, "upsert.before")
    for program in others:
        program.kill()
    house.traps.release(alias, "upsert.before")
    house.until(
        lambda: "validate.done" in [one.event for one in house.events(alias)],
        60,
        "the gate being passed",
    )
    house.run(*others)
    check(house, alias)
    assert house.traps.sprung(alias, "knock-validate.before")


# --- the database ---------------------------------------------------------------------------------


@contextmanager
def locked(house: Installation) -> Iterator[None]:
    """Locks a row that every turn must write, for longer than the product waits, but not
    permanently."""
    begin, lock = (
        ("BEGIN", "SELECT * FROM deployments FOR UPDATE")
        if house.postgres
        else ("BEGIN EXCLUSIVE", "SELECT 1")
    )
    engine = create_engine(house.database_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(begin))
        connection.execute(text(lock))
        yield
        connection.execute(text("COMMIT"))
    engine.dispose()


@pytest.fixture(scope="module")
def disturbed(houses: Houses) -> dict[str, list[str]]:
    """Locks the row for longer than a turn waits; kills and starts PostgreSQL, too."""
    return everywhere(houses, disturb)


def disturb(house: Installation) -> list[str]:
    aliases = house.hold("disturbed")
    with locked(house):
        house.release(aliases)
        time.sleep(3.0 if house.postgres else 7.0)
    if house.postgres:
        house.postgres.kill()
        house.postgres.start()
    for alias in aliases.values():
        house.ended(alias)
    return list(aliases.values())


def test_a_database_that_goes_away_in_the_middle_of_a_turn_fails_no_deployment(
    house: Installation, database: str, disturbed: dict[str, list[str]]
):
    """A step that could not save its position once counted as failed, and the deployment was rolled
    back."""
    for alias in disturbed[database]:
        check(house, alias)
