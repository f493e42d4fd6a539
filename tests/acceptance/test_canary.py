"""A canary under real searches, seen from outside: the results of ``season``."""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import islice, pairwise

import pytest

from qdrant_rollouts.core.database.models import Deployment, StepRow
from qdrant_rollouts.core.statistics.assignment import bucket, canary_ranges
from tests.acceptance.crowd import Search
from tests.acceptance.installation import BRISK, Installation
from tests.acceptance.season import (
    CHANGES,
    DEATHS,
    ON_THE_WAY,
    PROCESSES,
    RATE,
    SEARCHED,
    SHARES,
    Season,
    season,
)

#: Seconds in which a search process may still begin searches by the former route, as it had them
#: on this machine: see ``own_time``.
HEARD = 1.0
#: The issue's limit for what a killed process loses.
LOST_SECONDS = 2.0


@pytest.fixture(scope="module")
def spent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Season]:
    folder = tmp_path_factory.mktemp("season") / "house"
    with Installation(folder, "postgres", times=BRISK, tick=1.0) as house:
        house.run()
        yield season(house)


def shifts(deployment: Deployment) -> list[StepRow]:
    return [step for step in deployment.steps if step.name == "shift"]


def changed(spent: Season, alias: str) -> list[float]:
    """Returns the wall clock times at which the route of an alias changed."""
    return [event.at.timestamp() for event in spent.events[alias] if event.event == "route.changed"]


def given_green(search: Search, green: str) -> bool:
    """Returns whether green was chosen for the search, also if blue had to answer instead."""
    return search.collection == green or search.fallback


def test_users_saw_no_search_fail_or_come_back_empty_whatever_happened(
    spent: Season, figure: Callable[[str], None]
):
    seconds = spent.searches[-1].at - spent.searches[0].at
    figure(
        f"{len(spent.searches):,} searches by {PROCESSES} processes in {seconds:.0f} s, while all "
        "this went on"
    )
    assert len(spent.searches) > 5000
    assert [search for search in spent.searches if search.error or not search.results] == []


def test_a_healthy_canary_reaches_everybody(spent: Season):
    deployment = spent.deployments["healthy"]
    assert deployment.status == "live", deployment.message
    assert [step.status for step in shifts(deployment)] == ["done"] * len(SHARES)
    assert spent.moves["healthy"] == [deployment.blue, deployment.green]


def meetings(spent: Season, share: int) -> dict[int, bool]:
    """Returns for each user who searched in the stage of a healthy canary with this share whether
    green was chosen."""
    green = spent.deployments["healthy"].green
    stages = pairwise(changed(spent, "healthy"))
    began, ended = next(islice(stages, SHARES.index(share), None))
    return {
        s.user: given_green(s, green)
        for s in spent.of("healthy")
        if s.at < ended and spent.measure_lag(s, began) > HEARD
    }


@pytest.mark.parametrize("share", SHARES[:-1])
def test_users_met_green_as_their_buckets_say(spent: Season, share: int):
    _, canary = canary_ranges(share * 100)
    salt = spent.deployments["healthy"].id
    met = meetings(spent, share)
    assert met == {
        user: any(low <= bucket(salt, f"user-{user}") < high for low, high in canary)
        for user in met
    }


@pytest.mark.parametrize("share", SHARES[:-1])
def test_the_share_of_users_who_met_green_is_the_one_that_was_set(
    spent: Season, share: int, figure: Callable[[str], None]
):
    met = meetings(spent, share)
    found = sum(met.values()) / len(met)
    expected = share / 100
    error = math.sqrt(expected * (1 - expected) / len(met))
    figure(
        f"canary: {share} % set, {found:.1%} of {len(met)} users met green (standard error "
        f"{error:.1%})"
    )
    assert abs(found - expected) <= 3 * error


def test_nobody_who_has_met_green_is_sent_back_to_blue(spent: Season):
    green = spent.deployments["healthy"].green
    at = changed(spent, "healthy")
    histories = defaultdict(list)
    for search in spent.of("healthy"):
        recent = [began for began in at if began <= search.at]
        if all(spent.measure_lag(search, began) > HEARD for began in recent):
            histories[search.user].append(given_green(search, green))
    assert sum(any(history) for history in histories.values()) > 100
    assert [user for user, history in histories.items() if history != sorted(history)] == []


@pytest.mark.parametrize(
    ("alias", "said"), [("slow", "latency|p95"), ("failing", "searches failed")]
)
def test_a_green_that_harms_goes_in_its_first_stage(spent: Season, alias: str, said: str):
    deployment = spent.deployments[alias]
    assert deployment.status == "rolled_back", deployment.message
    assert re.search(said, deployment.message)
    assert [step.status for step in shifts(deployment)] == [
        "failed",
        *["skipped"] * (len(SHARES) - 1),
    ]
    assert spent.moves[alias] == [deployment.blue]
    assert deployment.green not in spent.house.collections()


def test_whom_green_failed_blue_answered(spent: Season):
    fallbacks = [search for search in spent.of("failing") if search.fallback]
    assert len(fallbacks) >= 5
    assert {search.collection for search in fallbacks} == {spent.deployments["failing"].blue}


def test_without_searches_a_person_is_asked(spent: Season):
    deployment = spent.deployments["idle"]
    assert deployment.status == "paused"
    assert "0 searches of the" in deployment.message
    assert [step.status for step in shifts(deployment)] == ["waiting", "pending", "pending"]
    assert spent.moves["idle"] == [deployment.blue]


def test_workers_killed_in_every_stage_change_nothing(spent: Season):
    deployment = spent.deployments["killed"]
    assert spent.deaths == len(DEATHS) + len(ON_THE_WAY)
    assert deployment.status == "live", deployment.message
    assert spent.moves["killed"] == [deployment.blue, deployment.green]
    named = [
        event.event for event in spent.events["killed"] if event.deployment_id == deployment.id
    ]
    assert named.count("alias.switched") == 1
    assert named.count("shift.done") == len(SHARES)


@pytest.mark.parametrize(("how", "level"), [("with Redis", 0.99), ("by looking", 0.95)])
def test_every_search_process_follows_a_route_within_a_second(
    spent: Season, how: str, level: float, figure: Callable[[str], None]
):
    """There are too few changes without Redis to check more of them."""
    delays = sorted(spent.find_delays(how))
    figure(
        f"a route change reached {PROCESSES} search processes {how}: median "
        f"{delays[len(delays) // 2]:.2f} s, "
        f"slowest of {len(delays)}: {delays[-1]:.2f} s"
    )
    assert len(delays) > 0.6 * PROCESSES * CHANGES[how]
    assert delays[math.ceil(level * len(delays)) - 1] <= HEARD


@pytest.mark.parametrize("away", ["redis_away", "database_away"])
def test_searches_go_on_without_redis_and_without_the_database(spent: Season, away: str):
    began, ended = getattr(spent, away)
    before = spent.rate(spent.redis_away[0] - 10, spent.redis_away[0])
    assert spent.rate(began, ended) > 0.5 * before


def test_a_killed_search_process_loses_two_seconds_of_observations_at_most(
    spent: Season, figure: Callable[[str], None]
):
    lost = len(spent.searches) - spent.counted
    figure(f"a search process killed at {RATE:g} searches a second: {lost} observations lost")
    # A search that was counted when its process died may be missing in the journal.
    assert -2 <= lost <= LOST_SECONDS * RATE


def test_every_alias_was_searched_all_the_time(spent: Season):
    assert {search.alias for search in spent.searches} == set(SEARCHED)
