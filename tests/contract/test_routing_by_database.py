"""A router that has the database: what it does before the first use of it, and while it hangs."""

import threading
import time

import pytest

from qdrant_rollouts.core.errors import Misconfigured, Refused
from qdrant_rollouts.core.routing import Router, link
from qdrant_rollouts.core.routing.sql_control_plane import over_database
from tests.contract.test_routing import half_on_green, until, user_on, vector
from tests.world import EMBEDDING, World


@pytest.fixture
def routed(world: World) -> World:
    return half_on_green(world, EMBEDDING)


def test_what_must_be_done_before_the_database_is_used_is_done_once_when_that_is_possible(routed):
    """Such as to look whether its tables are this program's."""
    allowed = threading.Event()
    done = []

    def join() -> None:
        if not allowed.is_set():
            raise Refused(
                "the database is at revision 9999, newer than this program's: update the program"
            )
        done.append(1)

    with Router(over_database(routed.services, join)) as router:
        assert router.search("docs", vector(), user_on("canary")).variant == "unrouted"
        assert "update the program" in router.stats.database
        allowed.set()
        until(lambda: router.search("docs", vector(), user_on("canary")).variant == "canary")
    assert done == [1]


def test_no_search_waits_for_a_database_that_hangs(routed):
    """It accepts connections, and answers nobody."""
    hang = threading.Event()

    def join() -> None:
        hang.wait(60)

    with Router(over_database(routed.services, join)) as router:
        took = []
        for number in range(4):
            started = time.monotonic()
            assert router.search("docs", vector(), f"user {number}").variant == "unrouted"
            took.append(time.monotonic() - started)
        hang.set()
    assert took[0] < link.PATIENCE + 2
    assert max(took[1:]) < link.PATIENCE


def test_the_log_says_why_and_what_is_to_be_done_once_a_minute(routed, caplog):
    wrong = "the database refused the user or the password; correct ROLLOUTS_DATABASE_URL"

    def join() -> None:
        raise Misconfigured(wrong)

    with Router(over_database(routed.services, join)) as router:
        router.search("docs", vector())
        until(lambda: router.stats.away_seconds > 2.5)
    said = [one for one in caplog.records if one.name == "qdrant_rollouts.core.routing.link"]
    assert [one.levelname for one in said] == ["ERROR"]
    assert wrong in said[0].getMessage()
