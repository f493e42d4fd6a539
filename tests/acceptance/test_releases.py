"""Workers of three releases use one database, as during an upgrade: nothing is lost, and nothing
stops permanently.

The next releases are changed copies of this tree; see ``releases``. Everything runs as processes.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from celery.result import AsyncResult
from redis import Redis
from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.alert_rows import NoticeRow
from qdrant_rollouts.core.lifecycle import Status
from tests.acceptance.installation import BRISK, OPTIONS, QUERY, ROOT, Installation, Program
from tests.acceptance.releases import AFTER_NEXT, NEXT, THIS, next_release, release_after_next
from tests.acceptance.traps import HOLD

#: Where a deployment of this release is held while the database changes.
HELD = ("upsert.before", "point_alias.before")
MADE = {"held": len(HELD), "after": 4, "named": 3, "urgent": 3, "late": 3}
STOPPED = "this worker takes no messages"
GOES_ON = "this worker takes messages again"
AT_ONCE = "deployments.deploy_at_once"
WITH_URGENCY = {"urgency": "high"}

#: The form for `make proof` takes longer.
pytestmark = pytest.mark.timeout(1800)


@dataclass
class Upgrade:
    house: Installation
    next: Path
    after_next: Path
    olds: list[Program]
    news: list[Program] = field(default_factory=list)
    requests: dict[str, AsyncResult] = field(default_factory=dict)
    said: list[dict[str, Any]] = field(default_factory=list)

    def program(self, tree: Path, entry: str, called: str) -> Program:
        environment = {**self.house.environment, "PYTHONPATH": f"{tree / 'src'}{os.pathsep}{tree}"}
        return Program(
            entry, self.house.folder, environment, "tests.acceptance.faulty", 2, called=called
        )

    def rollouts(self, tree: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
        environment = {**self.house.environment, "PYTHONPATH": f"{tree / 'src'}{os.pathsep}{tree}"}
        command = [sys.executable, "-m", "qdrant_rollouts.interfaces.cli", *arguments]
        return subprocess.run(
            command,
            cwd=self.house.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def ask(self, alias: str, task: str = "deployments.deploy_new_version", **more: Any) -> None:
        self.requests[alias] = self.house.send(
            task,
            alias_name=alias,
            data_source="jsonl:few.jsonl",
            validation_queries=[QUERY],
            options=OPTIONS,
            **more,
        )

    def wait(self) -> None:
        """Waits for every answer and every deployment."""
        for alias, answer in self.requests.items():
            assert self.house.answer(answer, f"an answer for {alias}")["alias"] == alias
            assert self.house.ended(alias).status == Status.LIVE
            assert not [
                one.detail
                for one in self.house.events(alias)
                if one.event.endswith((".failed", "rolled_back"))
            ]

    def waiting(self) -> int:
        """Returns the requests in the queue that no worker has taken."""
        with Redis(port=self.house.redis.port) as client:
            return int(client.llen("celery"))


@pytest.fixture(scope="module")
def upgraded(
    tmp_path_factory: pytest.TempPathFactory, effort: Callable[[int, int], int]
) -> Iterator[Upgrade]:
    """This release works, then the database is brought to the next one, and workers of both
    releases run. Half of the requests come before, half after; only the next release knows some of
    them."""
    folder = tmp_path_factory.mktemp("releases")
    before = effort(10, 100)
    with Installation(folder / "house", "postgres", times=BRISK) as house:
        house.write_documents("few.jsonl", 40)
        aliases = [f"{kind}-{number}" for kind, count in MADE.items() for number in range(count)]
        aliases += [f"before-{number}" for number in range(before)]
        declared = {alias: {"source": "jsonl:few.jsonl", **OPTIONS} for alias in aliases}
        (house.folder / "rollouts.yaml").write_text(yaml.safe_dump({"indexes": declared}))
        # Children are replaced all the time, as each of them would be after a day.
        old = Program(
            "worker",
            house.folder,
            house.environment,
            "tests.acceptance.faulty",
            2,
            more=["--max-tasks-per-child=4"],
        )
        bulk = Program("worker-bulk", house.folder, house.environment, "tests.acceptance.faulty", 3)
        one = next_release(folder / "next")
        made = Upgrade(house, one, release_after_next(one, folder / "after-next"), [old, bulk])
        house.run(house.keep(old), house.keep(bulk), house.beat)
        upgrade(made, before)
        yield made


def upgrade(run: Upgrade, before: int) -> None:
    house = run.house
    aliases = [f"held-{number}" for number in range(len(HELD))]
    for alias, place in zip(aliases, HELD, strict=True):
        house.traps.set(alias, place, HOLD)
        run.ask(alias)
    for alias, place in zip(aliases, HELD, strict=True):
        house.sprung(alias, place)
    run.news = [
        run.program(run.next, entry, f"next-{entry}") for entry in ("worker", "worker-bulk")
    ]
    house.run(*map(house.keep, run.news))
    for number in range(before):
        run.ask(f"before-{number}")
    house.until(lambda: STOPPED in run.news[0].log, 60, "the newer worker waiting for its tables")
    run.said.append(json.loads(run.rollouts(run.next, "migrate", "--json").stdout))
    for number in range(MADE["after"]):
        run.ask(f"after-{number}")
    for number in range(MADE["named"]):
        run.ask(f"named-{number}", AT_ONCE)
        run.ask(f"urgent-{number}", **WITH_URGENCY)
    for alias, place in zip(aliases, HELD, strict=True):
        house.traps.release(alias, place)
    house.until(lambda: GOES_ON in run.news[0].log, 60, "the newer worker going on by itself")
    run.wait()


@pytest.mark.proof
def test_no_request_and_no_deployment_is_lost_while_two_releases_work(upgraded: Upgrade) -> None:
    house, (old, bulk) = upgraded.house, upgraded.olds
    assert (upgraded.said[0]["from"], upgraded.said[0]["to"]) == (THIS, NEXT)
    assert len(upgraded.requests) >= 22
    steps = {
        alias: [step.name for step in house.deployment(alias).steps] for alias in upgraded.requests
    }
    assert all("polish" in steps[alias] for alias in steps if alias.startswith(("named", "urgent")))
    for program in (old, bulk):
        assert program.alive()
        assert STOPPED not in program.log
        assert "newer than this program's" not in program.log
    assert upgraded.waiting() == 0


SEARCHES = """
from qdrant_rollouts import open_router
with open_router() as router:
    print(router.search("named-0", [1.0] * 64, user_id="anna").collection)
"""


def test_an_application_with_the_older_package_searches_the_newer_database(
    upgraded: Upgrade,
) -> None:
    house = upgraded.house
    command = [sys.executable, "-c", SEARCHES]
    done = subprocess.run(
        command,
        cwd=house.folder,
        env=house.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout.strip() == house.aliases()["named-0"], done.stderr


def test_a_worker_that_cannot_work_on_the_database_stops_gives_back_and_says_so(
    upgraded: Upgrade,
) -> None:
    """The second release after this one requires a column that only the next release writes."""
    house, (old, bulk) = upgraded.house, upgraded.olds
    worker, next_bulk = upgraded.news
    for program in upgraded.news:
        program.kill()
    said = upgraded.rollouts(upgraded.after_next, "migrate", "--json")
    assert json.loads(said.stdout)["to"] == AFTER_NEXT, said.stderr
    late = [f"late-{number}" for number in range(MADE["late"])]
    for alias in late:
        upgraded.ask(alias)
    house.until(lambda: STOPPED in old.log, 60, "the old worker stopping")
    house.until(lambda: upgraded.waiting() == len(late), 60, "every request back in its queue")
    assert not any(upgraded.requests[alias].ready() for alias in late)

    house.run(worker)
    house.until(lambda: STOPPED in bulk.log, 60, "the old bulk worker stopping")
    found = json.loads(upgraded.rollouts(upgraded.after_next, "doctor", "--json").stdout)["checks"]
    bad = {check["name"]: check["value"] for check in found if check["name"].startswith("worker ")}
    assert sorted(name.split("@")[0] for name in bad) == [
        "worker bulk",
        "worker next-worker",
        "worker worker",
    ]
    for name, value in bad.items():
        assert ("takes no messages" in value) == ("next" not in name), value
    healthy = {name: is_healthy(house, name.removeprefix("worker ")) for name in bad}
    assert healthy == {name: "next" in name for name in bad}
    names = {name.removeprefix("worker ") for name in bad if "next" not in name}
    house.until(lambda: stopped(house) >= names, 60, "an alert for each")

    house.run(next_bulk)
    upgraded.wait()
    for program in (old, bulk):
        assert program.alive()
        assert program.log.count(STOPPED) == 1
    told = upgraded.rollouts(ROOT, "list")
    assert (told.returncode, f"revision {AFTER_NEXT}, newer" in told.stderr) == (2, True), (
        told.stderr
    )


def is_healthy(house: Installation, worker: str) -> bool:
    """Returns the result of the health check in docker-compose.yml."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    (_, line) = compose["services"]["worker"]["healthcheck"]["test"]
    line = line.replace(
        "celery -A qdrant_rollouts.tasks", f"{sys.executable} -m celery -A tests.acceptance.faulty"
    )
    line = re.sub(r"--destination=\S+", f"--destination={worker}", line)
    done = subprocess.run(
        ["/bin/sh", "-c", line], cwd=house.folder, env=house.environment, check=False, timeout=120
    )
    return done.returncode == 0


def stopped(house: Installation) -> set[str]:
    """Returns the workers that an alert reports as taking nothing."""
    with Session(house.engine) as session:
        return set(
            session.scalars(select(NoticeRow.alias).where(NoticeRow.what == "worker.stopped"))
        )
