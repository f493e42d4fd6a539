"""Messages that are lost with everything else in Redis, and messages that arrive twenty times."""

import re
from collections import Counter
from collections.abc import Callable

import pytest
import redis

from tests.acceptance.conftest import Houses
from tests.acceptance.installation import RECORDS, Installation, blue, everywhere

WAITING = 3
#: The words of a turn that won nothing.
DECLINED = ("stale turn", "no deployment", "early", "nothing to do")


def lost(house: Installation, kind: str, lose: Callable[[], None]) -> list[str]:
    """Empties Redis while a deployment is in each step, and while messages of other deployments
    wait in a queue."""
    waiting = [f"{kind}-waiting-{number}" for number in range(WAITING)]
    house.make_live(*waiting)
    aliases = house.hold(kind)
    for alias in waiting:
        house.deploy(alias)
    with redis.Redis.from_url(house.redis.url) as client:
        house.until(
            lambda: client.llen("bulk") >= WAITING, 20, "messages that wait for the bulk worker"
        )
    lose()
    house.release(aliases)
    return [*aliases.values(), *waiting]


def restart(house: Installation) -> None:
    house.redis.kill()
    house.redis.start()


@pytest.fixture(scope="module")
def flushed(houses: Houses) -> dict[str, list[str]]:
    return everywhere(houses, lambda house: lost(house, "flushed", house.redis.flushall))


@pytest.fixture(scope="module")
def restarted(houses: Houses) -> dict[str, list[str]]:
    """Restarts Redis, which keeps nothing on disk here."""
    return everywhere(houses, lambda house: lost(house, "restarted", lambda: restart(house)))


def check(house: Installation, aliases: list[str]) -> None:
    for alias in aliases:
        row = house.ended(alias)
        events = [event.event for event in house.events(alias)]
        assert row.status == "live", (alias, row.message)
        assert house.count(row.green) == RECORDS
        assert house.aliases()[alias] == row.green != blue(alias)
        assert events.count("alias.switched") == 1
        assert events.count("deployment.live") == 1


def test_a_flushed_redis_loses_no_deployment_whatever_step_it_is_in(
    house: Installation, database: str, flushed: dict[str, list[str]]
):
    check(house, flushed[database])


def test_a_killed_redis_loses_no_deployment_whatever_step_it_is_in(
    house: Installation, database: str, restarted: dict[str, list[str]]
):
    check(house, restarted[database])


def test_a_worker_with_work_in_hand_outlives_the_loss_of_redis(
    house: Installation, restarted: dict[str, list[str]]
):
    """Celery 5.7 dies of this: it acknowledges a message on a closed connection, and closes that
    connection again."""
    assert [
        program.entry for program in (house.worker, house.bulk, house.beat) if not program.alive()
    ] == []
    assert "Unrecoverable error" not in house.worker.log + house.bulk.log
    assert "Connection to broker lost" in house.worker.log
    assert "Connection to broker lost" in house.bulk.log


def turns(house: Installation, deployment_id: str) -> list[tuple[int, str]]:
    """Returns every delivered message of the deployment: the turn that it asked for, and the
    result."""
    line = re.compile(
        rf"Task deployments\.\w+\[{deployment_id[:8]}-t(\d+)-\w+\]"
        rf" succeeded in [\d.]+s: ['\"](.*)['\"]"
    )
    return [(int(found[1]), found[2]) for found in line.finditer(house.worker.log + house.bulk.log)]


def declined(said: str) -> bool:
    return said.startswith(DECLINED) or " is under way at " in said


def test_of_twenty_copies_of_each_message_one_wins_the_turn(
    house: Installation, database: str, figure: Callable[[str], None]
):
    house.make_live("flooded")
    house.traps.multiply("flooded", 20)
    id = house.deploy("flooded")
    row = house.ended("flooded")
    house.until(
        lambda: min(Counter(turn for turn, _ in turns(house, id)).values()) >= 20,
        30,
        "all copies delivered",
    )
    delivered = turns(house, id)
    won = Counter(turn for turn, said in delivered if not declined(said))
    figure(
        f"{database:9} every message 20 times: {len(delivered)} delivered, {len(won)} turns, each "
        "won once"
    )
    assert row.status == "live", row.message
    assert len(delivered) >= 20 * len(won)
    assert set(won.values()) == {1}
    journal = house.journal("flooded")
    assert [entry["call"] for entry in journal if entry["call"] != "upsert"] == [
        "create",
        "point_alias",
    ]
    assert sum(entry["points"] for entry in journal) == RECORDS == house.count(row.green)
    assert [step.status for step in row.steps] == ["done"] * 6
