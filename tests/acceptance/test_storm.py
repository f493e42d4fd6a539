"""All faults at once, at random. The message of a failure has the seed.

On PostgreSQL, the installation is in the middle of an upgrade, behind a connection pooler: workers
of this release, one worker of the next release, and a database of the next release. On SQLite,
everything is on one machine and replaced at once. Every process has a wrong clock.
``ROLLOUTS_TEST_STORM=4`` sets another number of seeds for the long form.
"""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from signal import SIGCONT, SIGKILL, SIGSTOP

import pytest
from sqlalchemy import create_engine, text

from tests.acceptance.conftest import Houses
from tests.acceptance.installation import (
    BRISK,
    BUSY,
    NEWER,
    OPTIONS,
    RECORDS,
    Installation,
    blue,
    both,
    everywhere,
)
from tests.acceptance.releases import next_release
from tests.clocks import MovedPostgres
from tests.pooler import PGBOUNCER

pytestmark = [pytest.mark.proof, pytest.mark.timeout(3600)]

#: A restart of Qdrant costs two of these looks, and five errors are tolerated.
SOAK = {"seconds": 4, "interval_seconds": 2}
#: By how many seconds a clock is ahead.
WRONG = (0, 40, -40, 7200, -7200)
#: Connections to PostgreSQL that all processes share; this is PgBouncer's default.
SHARED = 20


@pytest.fixture(scope="module")
def houses(
    tmp_path_factory: pytest.TempPathFactory, figure: Callable[[str], None]
) -> Iterator[Houses]:
    folder = tmp_path_factory.mktemp("storm")
    newer = next_release(folder / "newer")
    if PGBOUNCER is None:
        figure("storm: no pooler stood before PostgreSQL, for PgBouncer is not installed")
    with both(folder, times=BRISK, children=2, clocks=True, pooled=SHARED) as running:
        running["postgres"].join_newer(newer)
        yield running


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
            self.set_a_clock,
            self.set_a_clock,
            *([self.restart_the_pooler] if house.pooler else []),
        ]

    def blow(self, faults: int) -> None:
        """Runs the faults at random. Each kind comes once before any kind comes again."""
        coming: list[Callable[[], None]] = []
        for _ in range(faults):
            time.sleep(self.random.uniform(0.2, 1.2))
            coming = coming or self.random.sample(self.faults, len(self.faults))
            coming.pop()()
        for timer in self.stopped:
            timer.join()

    def kill_a_working_child(self) -> None:
        self._signal(SIGKILL)

    def stop_a_working_child(self) -> None:
        """Stops a child that works, for longer or shorter than a lease."""
        pid = self._signal(SIGSTOP)
        if pid:
            self.stopped.append(threading.Timer(self.random.choice((2, 14)), self._go_on, [pid]))
            self.stopped[-1].start()

    def kill_a_worker(self) -> None:
        worker = self.random.choice(self.house.workers)
        worker.kill()
        self.house.run(worker)

    def restart_redis(self) -> None:
        self.house.redis.kill()
        self.house.redis.start()

    def restart_qdrant(self) -> None:
        self.house.qdrant.kill()
        self.house.qdrant.start()

    def restart_the_pooler(self) -> None:
        if self.house.pooler:
            self.house.pooler.kill()
            self.house.pooler.start()

    def set_a_clock(self) -> None:
        """Sets the clock of one machine, or of PostgreSQL. With SQLite all processes are on one
        machine."""
        seconds = self.random.choice(WRONG)
        every = [clock for name, clock in self.house.clocks.items() if name != "flower"]
        if isinstance(self.house.postgres, MovedPostgres):
            every = [self.random.choice([*every, self.house.postgres.clock])]
        for clock in every:
            clock.set(seconds)

    def fill_the_disk(self) -> None:
        with self.house.qdrant.full():
            time.sleep(self.random.uniform(1, 4))

    def restart_the_database(self) -> None:
        if self.house.postgres:
            self.house.postgres.kill()
            self.house.postgres.start()
            return
        patient = {"timeout": 60 * BUSY}  # every other process wants this lock too
        engine = create_engine(
            self.house.database_url, isolation_level="AUTOCOMMIT", connect_args=patient
        )
        with engine.connect() as connection:
            connection.execute(text("BEGIN EXCLUSIVE"))
            time.sleep(self.random.uniform(0, 7))
            connection.execute(text("COMMIT"))
        engine.dispose()

    def _signal(self, how: int) -> int | None:
        """Sends the signal to a child that holds a turn, or to any child if none does."""
        holders = [int(owner.split(":")[1]) for _, owner in self.house.turns().values() if owner]
        mine = self._children()
        pid = self.random.choice([pid for pid in holders if pid in mine] or mine)
        with suppress(ProcessLookupError):
            os.kill(pid, how)
        return pid

    def _go_on(self, pid: int) -> None:
        """Continues the child. Its worker may have been killed meanwhile, and another process may
        have its number."""
        if pid in self._children():
            os.kill(pid, SIGCONT)

    def _children(self) -> list[int]:
        return [child for worker in self.house.workers for child in worker.children()]


def weather(house: Installation, seed: int, deployments: int, faults: int) -> str:
    """Runs the faults. A row exists before the first fault, because an application must repeat its
    own message. Returns how long the faults came, and how long it took from the last one until all
    deployments had ended."""
    aliases = [f"storm-{seed}-{number}" for number in range(deployments)]
    for alias in aliases:
        ask(house, alias, "deployments.deploy_new_version", "celery")
    if house.newer:
        aliases.append(f"storm-{seed}-{NEWER}")
        ask(house, aliases[-1], "deployments.deploy_at_once", NEWER)
    begun = time.monotonic()
    Storm(house, seed).blow(faults)
    over = time.monotonic()
    for alias in aliases:
        row = house.ended(alias, 180)
        events = [event.event for event in house.events(alias)]
        assert row.status == "live", (house.database, seed, alias, row.message)
        assert house.count(row.green) == RECORDS
        assert house.aliases()[alias] == row.green
        assert events.count("alias.switched") == 1
        for step in row.steps:
            assert events.count(f"{step.name}.done") == 1
        assert {name for name in house.collections() if name.startswith(f"{alias}_")} == {row.green}
        assert blue(alias) in house.collections()
        assert "polish" in [step.name for step in row.steps] or not alias.endswith(NEWER)
    blown = f"{len(aliases)} deployments, {faults} faults in {over - begun:.0f} s"
    return f"{house.database} seed {seed}: {blown}, all live {time.monotonic() - over:.0f} s later"


def ask(house: Installation, alias: str, task: str, queue: str) -> None:
    """Sends requests as an application does: again if the answer is that the database is busy. The
    task of the newer release plans a step that this release does not know."""
    house.make_live(alias)
    given = {
        "alias_name": alias,
        "data_source": "jsonl:docs.jsonl",
        "options": {**OPTIONS, "soak": SOAK},
    }

    def begun() -> bool:
        house.foreign.send_task(task, kwargs=given, queue=queue).get(
            timeout=60 * BUSY, propagate=False
        )
        return house.deployment(alias) is not None

    house.until(begun, 60, f"a deployment of {alias}")


def test_whatever_dies_in_whatever_order_every_deployment_ends_live(
    houses: Houses, effort: Callable[[int, int], int], figure: Callable[[str], None]
):
    for seed in range(effort(1, int(os.environ.get("ROLLOUTS_TEST_STORM", "25")))):
        told = everywhere(
            houses, lambda house, seed=seed: weather(house, seed, effort(3, 8), effort(12, 25))
        )
        for line in told.values():
            figure(f"storm: {line}")
