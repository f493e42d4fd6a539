"""Four search processes and five canaries at the same time, with everything going wrong that may.

The search processes reach Qdrant through a proxy, which makes the greens of ``slow`` and ``failing`` what their names
say. Afterwards the route of ``steady`` is moved to and fro, with Redis and without, the database goes away, and a
search process is killed.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.lifecycle import Status
from core.models import Deployment, EventRow, TrafficRow
from core.routing import table
from core.services import Services
from core.settings import Settings
from core.tally import Tally
from tests.acceptance.crowd import Search, searches
from tests.acceptance.installation import ENDED, Installation, Watch
from tests.acceptance.proxy import Fault, Proxy
from tests.acceptance.traps import KILL
from tests.servers import free_ports
from wiring import build

PROCESSES = 4
#: Searches a second of each, over all aliases.
RATE = 80.0
SEARCHED = ("healthy", "slow", "failing", "killed", "steady")
#: Whom each process searches in turn.
TURN = ("healthy", "killed", "failing", "healthy", "killed", "slow", "failing", "steady")
SHARES = (20, 50, 100)
CANARY = {
    "stages": [{"percentage": share, "duration_minutes": 0.2 if share < 100 else 0} for share in SHARES],
    "look_seconds": 1.0,
    "min_searches": 20,
    "min_users": 20,
    # The time of a stage is seconds here, and two cores are shared by all: only gross harm can be told.
    "margins": {"p95": 4.0, "error_rate": 0.4},
    "breakers": {"looks": 3, "calls": 60, "errors": 6},
}
#: Where the worker of ``killed`` dies: on its way into the stages, in each of them, and in the switch.
DEATHS = ("health.before", "health.after")
ON_THE_WAY = ("knock-shift.before", "knock-switch.before", "point_alias.after")
CHANGES = 10


@dataclass
class Season:
    house: Installation
    deployments: dict[str, Deployment] = field(default_factory=dict)
    moves: dict[str, list[str]] = field(default_factory=dict)
    events: dict[str, list[EventRow]] = field(default_factory=dict)
    searches: list[Search] = field(default_factory=list)
    deaths: int = 0
    #: Seconds until the last search by the route before, of each process at each change.
    delays: dict[str, list[float]] = field(default_factory=dict)
    #: Wall clock, from and to.
    redis_away: tuple[float, float] = (0, 0)
    database_away: tuple[float, float] = (0, 0)
    #: Searches that are in the traffic log.
    counted: int = 0

    def of(self, alias: str) -> list[Search]:
        return [search for search in self.searches if search.alias == alias]

    def between(self, span: tuple[float, float]) -> list[Search]:
        return [search for search in self.searches if span[0] <= search.at <= span[1]]


def season(house: Installation) -> Season:
    found = Season(house)
    house.make_live(*SEARCHED, "idle")
    with ExitStack() as stack:
        for alias in (*SEARCHED, "idle"):
            house.deploy(alias)
        for alias in (*SEARCHED, "idle"):
            assert house.ended(alias).status == Status.LIVE
        watch = stack.enter_context(Watch(house))
        faults = (Fault("slow_", delay=0.3), Fault("failing_", failing=0.1))
        blues = house.aliases()
        crowd = stack.enter_context(_searching(house, faults, blues))
        _canaries(house, found)
        _disturb(house, found)
        _kill(crowd[0])
        time.sleep(3)
    found.moves = {alias: watch.moves(alias) for alias in house.aliases()}
    found.searches = sorted(searches(house.folder), key=lambda search: search.at)
    found.counted = _counted(house)
    return found


# --- canaries ---------------------------------------------------------------------------------------------------------


def _canaries(house: Installation, found: Season) -> None:
    aliases = ("healthy", "slow", "failing", "killed", "idle")
    with ThreadPoolExecutor(1) as pool:
        dying = pool.submit(_die, house)
        for alias in aliases:
            house.deploy(alias, strategy="canary", canary=CANARY, grace_period_minutes=60)
        for alias in aliases:
            found.deployments[alias] = house.until(lambda alias=alias: _over(house, alias), 120, f"the end of {alias}")
        found.deaths = dying.result()
    found.events = {alias: house.events(alias) for alias in aliases}


def _over(house: Installation, alias: str) -> Deployment | None:
    row = house.deployment(alias)
    return row if row and row.strategy == "canary" and row.status in (*ENDED, Status.PAUSED) else None


def _die(house: Installation) -> int:
    for place in ON_THE_WAY:
        house.traps.set("killed", place, KILL)
    for stage, place in enumerate(DEATHS):
        house.until(lambda stage=stage: _in_stage(house, stage), 60, f"stage {stage} of killed")
        house.traps.set("killed", place, KILL)
        house.sprung("killed", place)
    return len({house.sprung("killed", place).pid for place in (*ON_THE_WAY, *DEATHS)})


def _in_stage(house: Installation, stage: int) -> bool:
    row = house.deployment("killed")
    steps = [step for step in row.steps if step.name == "shift"] if row else []
    return len(steps) > stage and steps[stage].started_at is not None


# --- disturbances -----------------------------------------------------------------------------------------------------


def _disturb(house: Installation, found: Season) -> None:
    services = _services(house)
    blue, green = house.aliases()["steady"], found.deployments["healthy"].green
    found.delays["with Redis"] = _to_and_fro(services, house, blue, green)
    began = time.time()
    with house.redis.stopped():
        found.delays["by looking"] = _to_and_fro(services, house, blue, green)
        time.sleep(max(0.0, began + 20 - time.time()))
        found.redis_away = (began, time.time())
    began = time.time()
    assert house.postgres
    with house.postgres.stopped():
        time.sleep(4)
        found.database_away = (began, time.time())
    time.sleep(1)


def _to_and_fro(services: Services, house: Installation, blue: str, green: str) -> list[float]:
    """All of steady's searches to green and back, again and again; what each process needed to follow."""
    changes = []
    for change in range(CHANGES):
        changes.append((time.time(), blue if change % 2 == 0 else green))
        share = 10_000 if change % 2 == 0 else 0
        table.put(services, "steady", stage="steady", salt="steady", blue=blue, green=green, share=share)
        time.sleep(1.6)
    table.clear(services, "steady")
    seen = [search for search in searches(house.folder) if search.alias == "steady"]
    ends = [at for at, _ in changes[1:]] + [time.time()]
    return [
        delay
        for (began, before), end in zip(changes, ends, strict=True)
        for delay in _late([search for search in seen if began < search.at < end], began, before)
    ]


def _late(seen: list[Search], began: float, before: str) -> list[float]:
    processes = {search.process for search in seen}
    return [
        max((s.at - began for s in seen if s.process == process and s.collection == before), default=0.0)
        for process in processes
    ]


def _services(house: Installation) -> Services:
    return build(
        Settings(
            database_url=SecretStr(house.database_url),
            broker_url=SecretStr(house.redis.url),
            qdrant_url=house.qdrant.url,
            qdrant_grpc_port=house.qdrant.grpc_port,
            config=house.folder / "rollouts.yaml",
        )
    )


def _kill(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


# --- search processes -------------------------------------------------------------------------------------------------


@contextmanager
def _searching(
    house: Installation, faults: tuple[Fault, ...], blues: dict[str, str]
) -> Iterator[list["subprocess.Popen[bytes]"]]:
    proxy = Proxy(free_ports(1)[0], house.qdrant.port, faults, spared=frozenset(blues.values()))
    with proxy, ExitStack() as ends:
        processes = [ends.enter_context(_process(house, proxy.url)) for _ in range(PROCESSES)]
        house.until(lambda: len({s.process for s in searches(house.folder)}) == PROCESSES, 60, "the search processes")
        yield processes


@contextmanager
def _process(house: Installation, qdrant: str) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "tests.acceptance.crowd", str(house.folder), str(RATE), *TURN]
    environment = {**house.environment, "ROLLOUTS_QDRANT_URL": qdrant}
    log = (house.folder / "crowd.log").open("ab")
    with log, subprocess.Popen(command, cwd=house.folder, env=environment, stdout=log, stderr=log) as process:
        try:
            yield process
        finally:
            process.terminate()


def _counted(house: Installation) -> int:
    with Session(house.engine) as session:
        rows = session.scalars(select(TrafficRow).where(TrafficRow.kind == "real"))
        return sum(Tally.from_json(row.tally).calls for row in rows)
