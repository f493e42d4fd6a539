"""Four search processes and five canaries at the same time, with many faults.

The search processes reach Qdrant through a proxy, which makes the greens of ``slow`` and
``failing`` slow and failing. At the same time the route of ``steady`` is moved back and forth.
Afterwards Redis is stopped and the route is moved again, then the database is stopped, and finally
a search process is killed.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from pydantic import SecretStr
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.database.models import Deployment, EventRow, TrafficRow
from qdrant_rollouts.core.lifecycle import Status
from qdrant_rollouts.core.routing import table
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.statistics.traffic_sketch import TrafficSketch
from qdrant_rollouts.wiring import build_services
from tests.acceptance.crowd import Search, searches
from tests.acceptance.installation import ENDED, OPTIONS, Installation, Watch
from tests.acceptance.proxy import Fault, Proxy
from tests.acceptance.traps import KILL
from tests.own_time import OwnTimes
from tests.servers import free_ports

PROCESSES = 4
#: Searches per second of each process, over all aliases.
RATE = 60.0
SEARCHED = ("healthy", "slow", "failing", "killed", "steady")
ALIASES = (*SEARCHED, "idle")
#: The users of each process, in turn.
TURN = ("healthy", "killed", "failing", "healthy", "killed", "slow", "failing", "steady")
SHARES = (20, 50, 100)
#: Seconds of each stage. A harmful green is removed long before its stage is over, and a green
#: without searches waits for the end of its stage.
SECONDS = {
    "healthy": (12, 12, 0),
    "slow": (60, 1, 0),
    "failing": (60, 1, 0),
    "killed": (6, 6, 0),
    "idle": (4, 1, 0),
}
#: A stage lasts only seconds, and all processes share two cores, so only gross harm can be
#: measured.
RULES = {
    "look_seconds": 1.0,
    "min_searches": 20,
    "min_users": 20,
    "margins": {"p95": 9.0, "error_rate": 0.4},
}
BREAKERS = {"looks": 3, "calls": 60, "errors": 6}
#: If the machine is busy with other work, blue and green become slow alike; green does no harm.
PATIENT = {"extension": 4, "breakers": {**BREAKERS, "mean_latency_ms": 2000}}
OWN = {
    "healthy": PATIENT,
    "slow": {"breakers": BREAKERS},
    "failing": {"breakers": {**BREAKERS, "mean_latency_ms": 2000}},
    "killed": PATIENT,
    "idle": {},
}
#: Where the worker of ``killed`` dies: in looks at 20 % and at 50 %, on its way into the stages, at
#: 100 % after the commit and before any message, and in the switch.
DEATHS = ("health.before", "health.after")
ON_THE_WAY = ("knock-shift.before", "knock-switch.before", "point_alias.after")
#: How many times a route is changed, with Redis and without.
CHANGES = {"with Redis": 26, "by looking": 12}


@dataclass(frozen=True)
class Change:
    """A change of the route of ``steady``: the wall clock when it was committed and when the next
    one was, and the collection that answered until then."""

    at: float
    until: float
    before: str


@dataclass
class Season:
    house: Installation
    deployments: dict[str, Deployment] = field(default_factory=dict)
    moves: dict[str, list[str]] = field(default_factory=dict)
    events: dict[str, list[EventRow]] = field(default_factory=dict)
    searches: list[Search] = field(default_factory=list)
    deaths: int = 0
    changes: dict[str, list[Change]] = field(default_factory=dict)
    own_times: OwnTimes = field(init=False)
    #: Wall clock, from and to.
    redis_away: tuple[float, float] = (0, 0)
    database_away: tuple[float, float] = (0, 0)
    #: How many searches the traffic log has.
    counted: int = 0

    def of(self, alias: str) -> list[Search]:
        return [search for search in self.searches if search.alias == alias]

    def measure_lag(self, search: Search, changed: float) -> float:
        """Returns how many of its own seconds the process had had from the change of a route until
        it began the search; negative if the search began before."""
        return self.own_times.measure(search.process, changed, search.began)

    def find_delays(self, how: str) -> list[float]:
        """Returns for each process and each change after how many of its own seconds it began its
        last search by the former route. A process that did not search in time shows nothing."""
        return [
            max((self.measure_lag(s, change.at) for s in by_former), default=0.0)
            for change in self.changes[how]
            for by_former in self._by_former_route(change)
        ]

    def _by_former_route(self, change: Change) -> list[list[Search]]:
        """Returns for each process its searches by the former route, before the next change."""
        found: dict[int, list[Search]] = {}
        for search in self.of("steady"):
            if change.at < search.began and search.at < change.until:
                former = found.setdefault(search.process, [])
                if search.collection == change.before:
                    former.append(search)
        return list(found.values())

    def rate(self, began: float, ended: float) -> float:
        """Returns the answers per second."""
        return sum(began <= search.at <= ended for search in self.searches) / (ended - began)


def season(house: Installation) -> Season:
    found = Season(house)
    house.make_live(*ALIASES)
    for alias in ALIASES:
        house.deploy(alias)
    blues = {house.ended(alias).green for alias in ALIASES}
    faults = (Fault("slow_", delay=0.3), Fault("failing_", failing=0.1))
    with Watch(house) as watch, ThreadPoolExecutor(2) as pool:
        dying = pool.submit(_die, house)
        canaries = pool.submit(_canaries, house, found)
        with _searching(house, faults, frozenset(blues)) as crowd:
            found.changes["with Redis"] = _to_and_fro(house, CHANGES["with Redis"])
            canaries.result()
            found.deaths = dying.result()
            _disturb(house, found)
            _kill(crowd[0])
    found.moves = {alias: watch.moves(alias) for alias in house.aliases()}
    found.searches = sorted(searches(house.folder), key=lambda search: search.at)
    found.own_times = OwnTimes(house.folder)
    found.counted = _counted(house)
    return found


# --- canaries -------------------------------------------------------------------------------------


def _canaries(house: Installation, found: Season) -> None:
    for alias in SECONDS:
        _start(house, alias)
    for alias in SECONDS:
        found.deployments[alias] = house.until(
            lambda alias=alias: _over(house, alias), 150, f"the end of {alias}"
        )
    found.events = {alias: house.events(alias) for alias in SECONDS}


def _start(house: Installation, alias: str) -> None:
    """Starts a canary as an application does."""
    stages = [
        {"percentage": share, "duration_minutes": seconds / 60}
        for share, seconds in zip(SHARES, SECONDS[alias], strict=True)
    ]
    options = {**OPTIONS, "canary": {**RULES, **OWN[alias]}}
    house.ask(
        "deployments.start_canary",
        alias_name=alias,
        data_source="jsonl:docs.jsonl",
        stages=stages,
        options=options,
    )


def _over(house: Installation, alias: str) -> Deployment | None:
    row = house.deployment(alias)
    return (
        row if row and row.strategy == "canary" and row.status in (*ENDED, Status.PAUSED) else None
    )


def _die(house: Installation) -> int:
    """Waits until as many workers were killed."""
    for place in ON_THE_WAY:
        house.traps.set("killed", place, KILL)
    for stage, place in enumerate(DEATHS):
        house.until(lambda stage=stage: _in_stage(house, stage), 90, f"stage {stage} of killed")
        house.traps.set("killed", place, KILL)
        house.sprung("killed", place)
    return len({house.sprung("killed", place).pid for place in (*DEATHS, *ON_THE_WAY)})


def _in_stage(house: Installation, stage: int) -> bool:
    row = house.deployment("killed")
    steps = [step for step in row.steps if step.name == "shift"] if row else []
    return len(steps) > stage and steps[stage].started_at is not None


# --- disturbances ---------------------------------------------------------------------------------


def _disturb(house: Installation, found: Season) -> None:
    began = time.time()
    with house.redis.stopped():
        found.changes["by looking"] = _to_and_fro(house, CHANGES["by looking"])
        time.sleep(max(0.0, began + 20 - time.time()))
        found.redis_away = (began, time.time())
    began = time.time()
    assert house.postgres
    with house.postgres.stopped():
        time.sleep(4)
        found.database_away = (began, time.time())
    time.sleep(2)


def _to_and_fro(house: Installation, changes: int) -> list[Change]:
    """Moves all searches of ``steady`` to another collection and back, again and again."""
    blue = house.aliases()["steady"]
    green = house.aliases()["idle"]
    made: list[tuple[float, str]] = []
    with _services(house) as services:
        for change in range(changes):
            share = 0 if change % 2 else 10_000
            with _noting_commits(services) as commits:
                table.set_route(
                    services,
                    "steady",
                    stage="steady",
                    salt="steady",
                    blue=blue,
                    green=green,
                    share=share,
                )
            made.append((commits[0], green if change % 2 else blue))
            time.sleep(1.5)
        over = time.time()
        table.clear_route(services, "steady")
    ends = [at for at, _ in made[1:]] + [over]
    return [Change(at, end, before) for (at, before), end in zip(made, ends, strict=True)]


@contextmanager
def _noting_commits(services: Services) -> Iterator[list[float]]:
    """Yields the wall clock times of the commits in the block. What follows a commit, such as an
    announcement over a Redis that is away, may last."""
    commits: list[float] = []

    def note(session: Session) -> None:
        commits.append(time.time())

    event.listen(services.sessions, "after_commit", note)
    try:
        yield commits
    finally:
        event.remove(services.sessions, "after_commit", note)


@contextmanager
def _services(house: Installation) -> Iterator[Services]:
    settings = Settings(
        database_url=SecretStr(house.database_url),
        broker_url=SecretStr(house.redis.url),
        qdrant_url=house.qdrant.url,
        qdrant_grpc_port=house.qdrant.grpc_port,
        config=house.folder / "rollouts.yaml",
    )
    services = build_services(settings)
    yield services
    services.close()


def _kill(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


# --- search processes -----------------------------------------------------------------------------


@contextmanager
def _searching(
    house: Installation, faults: tuple[Fault, ...], spared: frozenset[str]
) -> Iterator[list["subprocess.Popen[bytes]"]]:
    proxy = Proxy(free_ports(1)[0], house.qdrant.port, faults, spared)
    with proxy, ExitStack() as ends:
        processes = [ends.enter_context(_process(house, proxy.url)) for _ in range(PROCESSES)]
        house.until(
            lambda: len({s.process for s in searches(house.folder)}) == PROCESSES,
            60,
            "the search processes",
        )
        yield processes


@contextmanager
def _process(house: Installation, qdrant: str) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "tests.acceptance.crowd", str(house.folder), str(RATE), *TURN]
    environment = {**house.environment, "ROLLOUTS_QDRANT_URL": qdrant}
    log = (house.folder / "crowd.log").open("ab")
    with (
        log,
        subprocess.Popen(
            command, cwd=house.folder, env=environment, stdout=log, stderr=log
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()


def _counted(house: Installation) -> int:
    with Session(house.engine) as session:
        rows = session.scalars(select(TrafficRow).where(TrafficRow.kind == "real"))
        return sum(TrafficSketch.from_json(row.tally).calls for row in rows)
