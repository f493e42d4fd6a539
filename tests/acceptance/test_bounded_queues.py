"""No worker consumes a queue: due work is requested again and again, and only one message for each
thing waits."""

import json
import time
from collections import Counter

import redis

from tests.acceptance.conftest import Houses
from tests.acceptance.installation import Installation
from tests.acceptance.test_lost_messages import turns

ALIASES = [f"unheard-{number}" for number in range(3)]
#: Seconds in which the sweep finds each thing overdue several times, with the short waits of these
#: installations.
WATCHED = 8


def waiting(client: redis.Redis, queue: str) -> Counter[str]:
    """Returns what the waiting messages are about."""
    ids = [json.loads(message)["headers"]["id"] for message in client.lrange(queue, 0, -1)]
    return Counter(one.rpartition("-")[0] for one in ids)


def most(house: Installation, client: redis.Redis) -> dict[str, int]:
    """Returns the most messages about one thing that any look at any queue found. Looks until every
    deployment has come to the queue that nobody takes, and from then on for so many seconds."""
    found: Counter[str] = Counter()

    def have_come() -> bool:
        for queue in ("bulk", "rouse", "control"):
            found[queue] = max(found[queue], *waiting(client, queue).values(), 0)
        return len(waiting(client, "bulk")) == len(ALIASES)

    house.until(have_come, 60, "every deployment in the queue of the bulk worker")
    until = time.monotonic() + WATCHED
    while time.monotonic() < until:
        have_come()
        time.sleep(0.1)
    return dict(found)


def test_while_nobody_takes_a_queue_it_does_not_grow_and_a_lost_message_is_sent_again(
    houses: Houses,
):
    house = houses["postgres"]
    house.make_live(*ALIASES)
    with redis.Redis.from_url(house.redis.url) as client:
        house.bulk.kill()
        started = {alias: house.deploy(alias) for alias in ALIASES}
        assert max(most(house, client).values()) == 1
        assert sum(waiting(client, "bulk").values()) == len(ALIASES)
        client.lpop("bulk")
        house.until(
            lambda: len(waiting(client, "bulk")) == len(ALIASES), 20, "the message that was lost"
        )
        house.run(house.bulk)
    for alias in ALIASES:
        assert house.ended(alias).status == "live"
        taken = Counter(turn for turn, _ in turns(house, started[alias]))
        assert max(taken.values()) == 1
