"""Everything at once, at random: a failure's message contains the seed."""

import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from signal import SIGCONT, SIGKILL, SIGSTOP

import pytest
from sqlalchemy import create_engine, text

from tests.acceptance.conftest import Houses
from tests.acceptance.installation import RECORDS, Installation, blue, everywhere

pytestmark = [pytest.mark.proof, pytest.mark.timeout(3600)]

#: Two of these looks are lost when Qdrant is restarted, and five errors are tolerated.
SOAK = {"seconds": 4, "interval_seconds": 2}


class Storm:
    def __init__(self, house: Installation, seed: int) -> None:
        self.house = house
        self.random = random.Random(seed)
        self.stopped: list[threading.Timer] = []
        self.faults: list[Callable[[], None]] = [
            self.kill_a_working_child,
            self.kill_a_working_child,
            self.stop_a_working_child,
            self.kill_a_worker,
            house.redis.flushall,
            self.restart_redis,
            self.restart_qdrant,
            self.fill_the_disk,
            self.restart_the_database,
        ]

    def blow(self, faults: int) -> None:
        for _ in range(faults):
            time.sleep(self.random.uniform(0.5, 2))
            self.random.choice(self.faults)()
        for timer in self.stopped:
            timer.join()

    def kill_a_working_child(self) -> None:
        self._signal(SIGKILL)

    def stop_a_working_child(self) -> None:
        """For longer than a lease, or shorter."""
        pid = self._signal(SIGSTOP)
        if pid:
            self.stopped.append(threading.Timer(self.random.choice((2, 14)), self._go_on, [pid]))
            self.stopped[-1].start()

    def kill_a_worker(self) -> None:
        worker = self.random.choice((self.house.worker, self.house.bulk))
        worker.kill()
        self.house.run(worker)

    def restart_redis(self) -> None:
        self.house.redis.kill()
        self.house.redis.start()

    def restart_qdrant(self) -> None:
        self.house.qdrant.kill()
        self.house.qdrant.start()

    def fill_the_disk(self) -> None:
        with self.house.qdrant.full():
            time.sleep(self.random.uniform(1, 4))

    def restart_the_database(self) -> None:
        if self.house.postgres:
            self.house.postgres.kill()
            self.house.postgres.start()
            return
        engine = create_engine(self.house.database_url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("BEGIN EXCLUSIVE"))
            time.sleep(self.random.uniform(0, 7))
            connection.execute(text("COMMIT"))
        engine.dispose()

    def _signal(self, how: int) -> int | None:
        """To a child that holds a turn, or to any, if none does."""
        holders = [int(owner.split(":")[1]) for _, owner in self.house.turns().values() if owner]
        mine = [*self.house.worker.children(), *self.house.bulk.children()]
        pid = self.random.choice([pid for pid in holders if pid in mine] or mine)
        with suppress(ProcessLookupError):
            os.kill(pid, how)
        return pid

    def _go_on(self, pid: int) -> None:
        """Its worker may have been killed meanwhile, and its number been given to somebody else."""
        if pid in (*self.house.worker.children(), *self.house.bulk.children()):
            os.kill(pid, SIGCONT)


def weather(house: Installation, seed: int, deployments: int, faults: int) -> None:
    """A row exists before the first fault: an application's own message is its own to repeat."""
    aliases = [f"storm-{seed}-{number}" for number in range(deployments)]
    house.make_live(*aliases)
    for alias in aliases:
        house.deploy(alias, soak=SOAK)
    Storm(house, seed).blow(faults)
    for alias in aliases:
        row = house.ended(alias, 180)
        events = [event.event for event in house.events(alias)]
        assert row.status == "live", (house.database, seed, alias, row.message)
        assert house.count(row.green) == RECORDS
        assert house.aliases()[alias] == row.green
        assert events.count("alias.switched") == 1
        for step in row.steps:
            assert events.count(f"{step.name}.done") == 1
        assert {name for name in house.collections() if name.startswith(alias)} == {blue(alias), row.green}


def test_whatever_dies_in_whatever_order_every_deployment_ends_live(houses: Houses, effort: Callable[[int, int], int]):
    for seed in range(effort(1, 25)):
        everywhere(houses, lambda house, seed=seed: weather(house, seed, effort(4, 8), effort(6, 15)))
