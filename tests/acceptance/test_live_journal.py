"""Applications write through our clients and by HTTP all the time while real workers rebuild the
index, go back, and are killed, as are the applications themselves: nothing that was acknowledged is
missing, stale or back from the dead."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.lifecycle import Status
from tests.acceptance.installation import BRISK, ENDED, ROOT, Installation
from tests.acceptance.test_live_writes import ALIAS, SETTINGS, VALIDATION, read_points
from tests.journal_writer import read_log
from tests.journaled import KINDS
from tests.servers import free_ports
from tests.writers import Truth, compare_with

RECORDS = 800
JOURNAL = {**SETTINGS, "writes": {"way": "journal", "fence_seconds": 10}}
#: Each stage ends without searches, so the test promotes it.
CANARY = {
    "strategy": "canary",
    "canary": {
        "stages": [{"percentage": 50, "duration_minutes": 0.05}],
        "look_seconds": 1,
        "extension": 0,
    },
}
_SHARE = 90
#: Bytes of a log.
_SOME = 2000


@dataclass
class Application:
    """A writer in a process of its own. Killed, it begins again with ids that it had not before."""

    house: Installation
    kind: str
    url: str
    number: int
    pause: float = 0.005
    logs: list[Path] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        life = len(self.logs)
        first = self.number * _SHARE if not life else 10_000 * life + self.number * _SHARE
        self.logs.append(self.house.folder / f"writer-{self.number}-{life}.log")
        port = self.house.qdrant.grpc_port
        arguments = (self.kind, self.url, port, ALIAS, first, _SHARE, self.pause, self.logs[-1])
        with (self.house.folder / f"writer-{self.number}.err").open("ab") as told:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.journal_writer", *map(str, arguments)],
                cwd=ROOT,
                env={**os.environ, **self.house.environment, "PYTHONPATH": f"{ROOT}:{ROOT}/src"},
                stdin=subprocess.PIPE,
                stderr=told,
            )

    def has_written(self) -> bool:
        return self.logs[-1].exists() and self.logs[-1].stat().st_size > _SOME

    def kill(self) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()

    def stop(self) -> None:
        """Lets it end its last write."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(60) == 0

    def read(self) -> Truth:
        whole = Truth()
        for log in filter(Path.exists, self.logs):
            truth = read_log(log)
            whole.texts |= truth.texts
            whole.unknown |= truth.unknown
            whole.writes += truth.writes
        return whole


@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_nothing_is_lost_forward_or_back_whoever_is_killed(
    tmp_path: Path, effort: Callable[[int, int], int], figure: Callable[[str], None]
) -> None:
    kinds = effort(1, 8)
    for seed in range(effort(1, 40)):
        with Installation(tmp_path / f"house{seed}", "postgres", times=BRISK, tick=0.5) as house:
            told = run(house, seed, many=kinds > 1)
        figure(f"run {seed}: {told}")


def run(house: Installation, seed: int, *, many: bool) -> str:
    """A rebuild and a way back under writers and faults."""
    prepare(house)
    with open_web(house) as web:
        return live_through(house, seed, web, many=many)


def live_through(house: Installation, seed: int, web: str, *, many: bool) -> str:
    generator = random.Random(seed)
    kinds = [*KINDS, *KINDS[::2], "HTTP", "HTTP"] if many else [KINDS[0], KINDS[3], "HTTP"]
    applications = [
        Application(house, kind, web if kind == "HTTP" else house.qdrant.url, number)
        for number, kind in enumerate(kinds)
    ]
    faults = list_faults(house, applications)
    for application in applications:
        application.start()
    try:
        house.until(lambda: all(one.has_written() for one in applications), 60, "writers")
        options: dict[str, Any] = CANARY if many and seed % 2 else {}
        begun = house.ask("deployments.deploy_new_version", alias_name=ALIAS, options=options)
        chosen = faults[:2]
        if many:
            chosen = [faults[0], *generator.sample(faults, 2)]
        forward = disturb(house, begun, chosen, generator)
        assert forward.status == "live", house.story()
        begun = house.ask("deployments.rollback", alias_name=ALIAS)
        back = disturb(house, begun, faults[:1], generator)
        assert back.status == "live", house.story()
    finally:
        for application in applications:
            application.stop()
    truths = [application.read() for application in applications]
    found = read_points(house)
    wrong = compare_with(truths, found)
    assert wrong == {"missing": [], "stale": [], "resurrected": []}
    writes = sum(truth.writes for truth in truths)
    unknown = sum(len(truth.unknown) for truth in truths)
    assert writes > 100
    return f"{writes} writes, {unknown} unknown, {forward.strategy}"


def prepare(house: Installation) -> None:
    house.write_documents(count=RECORDS)
    house.declare({ALIAS: JOURNAL})
    house.run()
    house.deploy(ALIAS, validation=VALIDATION)
    first = house.ended(ALIAS)
    assert first.status == "live", house.story()


@contextmanager
def open_web(house: Installation) -> Iterator[str]:
    """``rollouts web``; returns its address."""
    (port,) = free_ports(1)
    with (house.folder / "web.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "qdrant_rollouts.interfaces.cli", "web", f"--port={port}"],
            cwd=house.folder,
            env={**house.environment, "PYTHONPATH": str(ROOT / "src")},
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        house.until(lambda: _answers(url), 60, "the HTTP API")
        yield url
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez", trust_env=False).status_code < 500
    except httpx.TransportError:
        return False


def list_faults(house: Installation, applications: list[Application]) -> list[Callable[[], None]]:
    def kill_bulk() -> None:
        house.bulk.kill()
        house.run(house.bulk)

    def kill_application() -> None:
        applications[0].kill()
        applications[0].start()

    def empty_redis() -> None:
        house.redis.flushall()

    def restart_qdrant() -> None:
        house.qdrant.restart()

    def restart_database() -> None:
        assert house.postgres is not None
        house.postgres.restart()

    return [kill_bulk, kill_application, empty_redis, restart_qdrant, restart_database]


def disturb(
    house: Installation,
    accepted: dict[str, Any],
    faults: list[Callable[[], None]],
    generator: random.Random,
) -> Deployment:
    """Waits for the end of the deployment, and lets these faults happen meanwhile. Whoever waits
    for a person is promoted."""
    coming = list(faults)

    def look() -> Deployment | None:
        with Session(house.engine) as session:
            row = session.get_one(Deployment, accepted["deployment_id"])
        if row.status in ENDED:
            return row
        if row.status == Status.PAUSED:
            house.ask("deployments.promote", deployment_id=row.id, reason="a test")
        time.sleep(generator.uniform(1, 3))
        if coming:
            coming.pop()()
        return None

    return house.until(look, 300, "the end of the deployment")
