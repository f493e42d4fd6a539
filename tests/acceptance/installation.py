"""A whole installation that a test can disturb: Redis, Qdrant, a database, and the processes of the
Procfile.

The installation owns all of them and ends them by their process ids. A test uses it from outside,
like an application: it sends tasks by name, reads the database and asks Qdrant.
"""

import json
import math
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
import psutil
from celery import Celery
from celery.exceptions import TimeoutError as NoResult
from celery.result import AsyncResult
from sqlalchemy import NullPool, create_engine, inspect, select
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.orm import Session, selectinload

from qdrant_rollouts.core.database.models import Deployment, EventRow
from qdrant_rollouts.core.lifecycle import Status
from tests.acceptance.traps import HOLD, Sprung, Traps
from tests.clocks import FakeClock, MovedPostgres
from tests.pooler import PGBOUNCER, PgBouncer
from tests.servers import FRESH, Postgres, Qdrant, Redis, free_ports
from tests.world import DIMENSION, EMBEDDING, texts

ROOT = Path(__file__).parents[2]
#: Short waits, for tests that do not measure them. A lease must not be much shorter:
#: ``core.collections.aliases.ACT_SECONDS`` of it must be left before an act that would do harm if
#: it came late.
BRISK = {
    "lease": 12.0,
    "renew_every": 1.0,
    "knock_again_after": 2.0,
    "first_retry": 0.5,
    "longest_retry": 2.0,
    "turn_time": 2.0,
    "ready_look": 0.1,
}
RECORDS = 300
#: The queue that only the worker of a newer release consumes.
NEWER = "newer"
#: No deployment waits for another one, except in tests of that.
UNLIMITED = {"rebuilds": 1000, "per_model": 1000}
#: The login for Flower.
WATCHER = ("night", "watch")
QUERY = "text asyncio python"
OPTIONS = {
    "embedding": EMBEDDING,
    # An old collection of another program: its model is unknown, and its texts do not match its
    # vectors.
    "accept_new_model": True,
    # The gate is passed many times here; it has its own tests.
    "validation": {
        "min_top_score": 0.1,
        "samples": {"records": 20, "queries": 20},
        "live_searches_per_second": 10_000,
        # So only the soak uses ``search``.
        "checks": {"latency_p50": False, "latency_p95": False},
    },
    "soak": {"seconds": 0.4, "interval_seconds": 0.2},
}
#: Places in every step. The first two are on the control worker; the others keep four children of
#: the bulk worker busy.
HELD = (
    "point_alias.before",
    "search.before",
    "create.before",
    "create.after",
    "upsert.before",
    "search_many.before",
)
ENDED = (Status.LIVE, Status.ROLLED_BACK, Status.NEEDS_OPERATOR)
#: Errors of a look while a server is stopped, or before the first worker has created the tables.
AWAY = (OperationalError, ProgrammingError, httpx.TransportError, httpx.HTTPStatusError)
#: While other tests run, everything may take this many times as long without a fault.
BUSY = 3
_LOOK = 0.1
_TAIL = 40
#: Seconds that remain to report a failure and to end the installations, before pytest-timeout ends
#: the test.
_LEFT_FOR_THE_STORY = 30.0
T = TypeVar("T")


class Patience:
    """The time at which the present test must be over. If a test takes longer, pytest-timeout ends
    it without saying what it waited for, and ends every test that shares its fixture. So each wait
    ends earlier, and says what did not come."""

    def __init__(self) -> None:
        self._over = math.inf

    def begin(self, seconds: float) -> None:
        """Begins a test with ``seconds`` for it and for the fixtures that it needs first."""
        self._over = time.monotonic() + seconds - _LEFT_FOR_THE_STORY

    def cut(self, seconds: float) -> float:
        """Returns how long a wait may last that would take ``seconds`` on an idle machine."""
        return max(0.0, min(seconds * BUSY, self._over - time.monotonic()))


#: The patience of the present test in this process; its threads share it.
PATIENCE = Patience()


class Program:
    """A process of the Procfile. It runs as written there except for the app, the number of
    children, the port and the log. ``called`` is an additional name, for a second process of the
    same entry; ``more`` are additional options."""

    def __init__(
        self,
        entry: str,
        folder: Path,
        environment: Mapping[str, str],
        app: str,
        concurrency: int,
        *,
        called: str = "",
        more: Sequence[str] = (),
    ) -> None:
        self.entry = entry
        self._folder = folder
        self._called = called or entry
        (self._port,) = free_ports(1)
        variables, self._command = _procfile(
            entry, app, {"concurrency": concurrency, "port": self._port}
        )
        end = self._command.index("--") if "--" in self._command else len(self._command)
        # The last option counts.
        self._command[end:end] = [*([f"--hostname={called}@%h"] if called else []), *more]
        self._environment = {**environment, **variables}
        self._process: subprocess.Popen[bytes] | None = None
        self._read_from = 0

    @property
    def url(self) -> str:
        """The address of a process that serves pages."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def log_file(self) -> Path:
        return self._folder / f"{self._called}.log"

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.entry} is not running"
        return self._process.pid

    def launch(self) -> Self:
        assert not self.alive(), f"{self.entry} is running already"
        self._read_from = len(self.log)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (
            f"{self.entry} ended with {self._process.returncode}: {self.log[-3000:]}"
        )
        said = self.log[self._read_from :]
        return any(word in said for word in (" ready.", "beat: Starting", "Visit me "))

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def children(self) -> list[int]:
        return [child.pid for child in psutil.Process(self.pid).children()] if self.alive() else []

    def kill(self) -> None:
        """Sends ``kill -9`` to the main process; its children die with it."""
        process = self._process
        self._process = None
        if process is None:
            return
        children = (
            psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        )
        process.kill()
        process.wait()
        deadline = time.monotonic() + 10
        while any(map(_lives, children)):
            assert time.monotonic() < deadline, f"children of {self.entry} outlived it: {children}"
            time.sleep(0.02)


class Installation:
    """``app`` is the product itself, or the product with traps. With traps, ``times`` are the
    engine's times and ``tick`` the seconds between beat's ticks, if they differ from the product's.
    With ``clocks``, each process and PostgreSQL have a clock that a test can set. With ``pooled``,
    PgBouncer (if it is installed) shares that many connections to PostgreSQL."""

    def __init__(
        self,
        folder: Path,
        database: str,
        *,
        app: str = "tests.acceptance.faulty",
        times: Mapping[str, float] | None = None,
        tick: float | None = None,
        children: int = 4,
        clocks: bool = False,
        pooled: int = 0,
    ) -> None:
        self.folder = folder
        self.database = database
        self._app = app
        self._children = children
        #: The clocks that a test may set, by entry of the Procfile.
        self.clocks: dict[str, FakeClock] = {}
        self.newer: Program | None = None
        self._has_clocks = clocks
        self._pooled = pooled
        self._times = times or {}
        self._tick = tick
        folder.mkdir()
        self._stack = ExitStack()
        self.traps = Traps(folder / "traps")

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        RUNNING.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        RUNNING.remove(self)
        self._stack.close()

    def _start(self) -> None:
        self.redis = self._stack.enter_context(Redis())
        self.qdrant = self._stack.enter_context(Qdrant())
        server = MovedPostgres if self._has_clocks else Postgres
        self.postgres = self._stack.enter_context(server()) if self.database == "postgres" else None
        self.database_url = (
            self.postgres.url if self.postgres else f"sqlite:///{self.folder / 'state.db'}"
        )
        self.pooler = self._start_pooler()
        self.engine = create_engine(self.database_url, poolclass=NullPool)
        client = httpx.Client(base_url=self.qdrant.url, trust_env=False, timeout=10, limits=FRESH)
        self.web = self._stack.enter_context(client)
        self.write_documents()
        self.declare({})
        (self.folder / ".rollouts").mkdir()
        entries = ("worker", "worker-bulk", "beat", "flower")
        self.worker, self.bulk, self.beat, self.flower = map(self._program, entries)
        self.foreign = Celery(
            "foreign",
            broker=self.redis.url,
            backend="db+" + self.database_url,
            set_as_current=False,
        )
        self._stack.callback(self.foreign.close)

    def _start_pooler(self) -> PgBouncer | None:
        if not self._pooled or self.postgres is None or PGBOUNCER is None:
            return None
        return self._stack.enter_context(PgBouncer(self.database_url, self._pooled))

    def join_newer(self, tree: Path) -> None:
        """Brings the database to the release in ``tree``, and starts a worker of that release. It
        consumes all queues beside the other workers, and one of its own."""
        path = {"PYTHONPATH": f"{tree / 'src'}{os.pathsep}{tree}"}
        environment = self.environment | self.make_clock(NEWER) | path
        command = [sys.executable, "-m", "qdrant_rollouts.interfaces.cli", "migrate"]
        subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            check=True,
            capture_output=True,
            timeout=120 * BUSY,
        )
        queues = [f"--queues=control,celery,rouse,bulk,{NEWER}"]
        worker = Program(
            "worker", self.folder, environment, self._app, self._children, called=NEWER, more=queues
        )
        self.newer = self.keep(worker)
        self.run(worker)

    @property
    def workers(self) -> tuple[Program, ...]:
        return (self.worker, self.bulk, *([self.newer] if self.newer else []))

    def _program(self, entry: str) -> Program:
        environment = self.environment | self.make_clock(entry)
        return self.keep(Program(entry, self.folder, environment, self._app, self._children))

    def keep(self, program: Program) -> Program:
        """Returns the program, and ends it together with the installation."""
        self._stack.callback(program.kill)
        return program

    def make_clock(self, entry: str) -> dict[str, str]:
        """Returns the environment for processes that read a clock; empty if there are no clocks to
        set."""
        if not self._has_clocks:
            return {}
        folder = self.folder / f"{entry}-clock"
        folder.mkdir()
        clock = self.clocks[entry] = FakeClock(folder)
        clock.set(0)
        return clock.environment

    @property
    def environment(self) -> dict[str, str]:
        """Returns the environment, without the developer's own settings."""
        settings = {
            "ROLLOUTS_DATABASE_URL": self.pooler.url if self.pooler else self.database_url,
            "ROLLOUTS_BROKER_URL": self.redis.url,
            "ROLLOUTS_QDRANT_URL": self.qdrant.url,
            "ROLLOUTS_QDRANT_GRPC_PORT": str(self.qdrant.grpc_port),
            "ROLLOUTS_CONFIG": str(self.folder / "rollouts.yaml"),
            "ROLLOUTS_TEST_TRAPS": str(self.folder / "traps"),
            "FLOWER_BASIC_AUTH": ":".join(WATCHER),
        }
        settings["ROLLOUTS_TEST_TIMES"] = json.dumps(self._times)
        settings |= {"ROLLOUTS_TEST_BEAT": str(self._tick)} if self._tick else {}
        path = {
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": str(ROOT),
            "NO_PROXY": "127.0.0.1",
        }
        return {**path, **settings, "HF_HUB_OFFLINE": "1"}

    def run(self, *programs: Program) -> None:
        """Starts these processes (by default those that run deployments) and waits until they
        answer."""
        started = [program.launch() for program in programs or (self.worker, self.bulk, self.beat)]
        for program in started:
            self.until(program.ready, 60, f"{program.entry} ready")

    def is_migrated(self) -> bool:
        """Returns whether the tables exist. The first turn of a worker creates them."""
        return inspect(self.engine).has_table(Deployment.__tablename__)

    # --- as an application ------------------------------------------------------------------------

    def send(self, task: str, **arguments: Any) -> AsyncResult:
        return self.foreign.send_task(task, kwargs=arguments)

    def ask(self, task: str, **arguments: Any) -> Any:
        return self.answer(self.send(task, **arguments), f"an answer to {task}")

    def deploy(self, alias: str, source: str = "docs.jsonl", **options: Any) -> str:
        accepted = self.answer(self.start(alias, source, **options), f"{alias} accepted")
        return str(accepted["deployment_id"])

    def start(self, alias: str, source: str = "docs.jsonl", **options: Any) -> AsyncResult:
        return self.send(
            "deployments.deploy_new_version",
            alias_name=alias,
            data_source=f"jsonl:{source}",
            validation_queries=[QUERY],
            options={**OPTIONS, **options},
        )

    def declare(
        self,
        indexes: Mapping[str, Any],
        concurrency: Mapping[str, int] = UNLIMITED,
        **more: Mapping[str, Any],
    ) -> None:
        """Writes the index file."""
        content = {"concurrency": dict(concurrency), "indexes": dict(indexes), **more}
        (self.folder / "rollouts.yaml").write_text(json.dumps(content))

    def write_documents(self, name: str = "docs.jsonl", count: int = RECORDS) -> None:
        lines = [json.dumps(record) for record in texts(count)]
        (self.folder / name).write_text("\n".join(lines) + "\n")

    # --- as a bystander ---------------------------------------------------------------------------

    def deployment(self, alias: str) -> Deployment | None:
        """Returns the newest deployment of the alias, with its steps."""
        query = (
            select(Deployment)
            .where(Deployment.alias == alias)
            .options(selectinload(Deployment.steps))
        )
        with Session(self.engine) as session:
            return session.scalars(query.order_by(Deployment.number.desc()).limit(1)).first()

    def turns(self) -> dict[str, tuple[int, str | None]]:
        """Returns the turn and the holder of each alias's newest deployment."""
        query = select(Deployment.alias, Deployment.turn, Deployment.lease_owner).order_by(
            Deployment.created_at
        )
        with Session(self.engine) as session:
            return {alias: (turn, owner) for alias, turn, owner in session.execute(query)}

    def events(self, alias: str) -> list[EventRow]:
        with Session(self.engine) as session:
            return list(
                session.scalars(
                    select(EventRow).where(EventRow.alias == alias).order_by(EventRow.id)
                )
            )

    def journal(self, alias: str) -> list[dict[str, Any]]:
        """Returns the changes that Qdrant acknowledged to a worker, in order."""
        file = self.folder / "journal"
        lines = file.read_text().splitlines() if file.exists() else []
        return [entry for entry in map(json.loads, lines) if entry["alias"] == alias]

    def aliases(self) -> dict[str, str]:
        found = self.web.get("/aliases").raise_for_status().json()["result"]["aliases"]
        return {alias["alias_name"]: alias["collection_name"] for alias in found}

    def collections(self) -> set[str]:
        found = self.web.get("/collections").raise_for_status().json()["result"]["collections"]
        return {collection["name"] for collection in found}

    def count(self, collection: str) -> int:
        answer = self.web.post(f"/collections/{collection}/points/count", json={"exact": True})
        return int(answer.raise_for_status().json()["result"]["count"])

    def point(self, alias: str, collection: str) -> None:
        """Moves an alias as a person does who does not use this product."""
        action = {"create_alias": {"alias_name": alias, "collection_name": collection}}
        self.web.post("/collections/aliases", json={"actions": [action]}).raise_for_status()

    def make_collection(self, name: str, points: int = 20) -> str:
        self.web.put(
            f"/collections/{name}", json={"vectors": {"size": DIMENSION, "distance": "Cosine"}}
        ).raise_for_status()
        content = [
            {"id": id, "vector": [1.0] * DIMENSION, "payload": {"old": True}}
            for id in range(points)
        ]
        self.web.put(
            f"/collections/{name}/points", params={"wait": "true"}, json={"points": content}
        ).raise_for_status()
        return name

    def drop_collections(self) -> None:
        """Drops all collections that other tests left. A server that was killed reads each of them
        again, which takes half a second on a slow disk."""
        for name in self.collections():
            self.web.delete(f"/collections/{name}").raise_for_status()

    def make_live(self, *aliases: str) -> None:
        """Creates a collection of another program behind each alias."""
        known = self.collections()
        for alias in aliases:
            if blue(alias) not in known:
                self.point(alias, self.make_collection(blue(alias)))

    def hold(self, kind: str) -> dict[str, str]:
        """Starts a deployment that is held in each place of ``HELD``; returns their aliases by
        place. Those of the control worker are first, because they must pass the bulk worker while
        it still has a free child."""
        aliases = {place: named(kind, place) for place in HELD}
        self.make_live(*aliases.values())
        for places in (HELD[:2], HELD[2:]):
            for place in places:
                self.traps.set(aliases[place], place, HOLD)
                self.deploy(aliases[place])
            for place in places:
                self.sprung(aliases[place], place)
        return aliases

    def release(self, aliases: Mapping[str, str]) -> None:
        for place, alias in aliases.items():
            self.traps.release(alias, place)

    # --- waiting ----------------------------------------------------------------------------------

    def until(self, found: Callable[[], T], seconds: float, what: str) -> T:
        return until(found, seconds, what, self.story)

    def answer(self, asked: AsyncResult, what: str, *, propagate: bool = True) -> Any:
        """Returns the result of the task. An error of the task is raised, or returned without
        ``propagate``."""
        seconds = PATIENCE.cut(60)
        try:
            return asked.get(timeout=seconds, interval=0.05, propagate=propagate)
        except NoResult as error:
            raise AssertionError(f"not within {seconds:.0f} s: {what}\n{self.story()}") from error

    def ended(self, alias: str, seconds: float = 90) -> Deployment:
        def over() -> Deployment | None:
            row = self.deployment(alias)
            return row if row and row.status in ENDED else None

        return self.until(over, seconds, f"the end of {alias}")

    def at_step(self, alias: str, step: str, seconds: float = 60) -> None:
        def begun() -> bool:
            row = self.deployment(alias)
            return row is not None and any(one.name == step and one.started_at for one in row.steps)

        self.until(begun, seconds, f"{alias} in {step}")

    def sprung(self, alias: str, place: str, seconds: float = 60) -> Sprung:
        return self.until(
            lambda: self.traps.sprung(alias, place), seconds, f"a worker at {place} of {alias}"
        )

    def story(self) -> str:
        """Returns what helps to understand a failure."""
        tails = [
            f"--- {program.entry}, "
            f"{'alive' if program.alive() else 'not running'}\n{_tail(program.log)}"
            for program in (*self.workers, self.beat)
        ]
        return "\n".join([f"--- {self.database}", *self._told_of_deployments(), *tails])

    def _told_of_deployments(self) -> list[str]:
        """Returns a line for each of the newest deployments; earlier tests have made many."""
        try:
            with Session(self.engine) as session:
                query = select(Deployment).order_by(Deployment.created_at.desc()).limit(_TAIL)
                rows = reversed(session.scalars(query).all())
                return [
                    f"{r.alias} {r.status} turn {r.turn} at {r.lease_owner}: {r.message}"
                    for r in rows
                ]
        except AWAY as error:
            return [f"the database does not tell of deployments: {error}"]


def until(found: Callable[[], T], seconds: float, what: str, story: Callable[[], str] = str) -> T:
    """Returns the first true answer of ``found``. ``seconds`` is for an idle machine. While a
    database or Qdrant does not answer, it is called again."""
    allowed = PATIENCE.cut(seconds)
    deadline = time.monotonic() + allowed
    while True:
        try:
            answer = found()
        except AWAY:
            answer = None
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {allowed:.0f} s: {what}\n{story()}"
        time.sleep(_LOOK)


#: Threads of this process.
RUNNING: list[Installation] = []


class Watch:
    """Watches from outside when each deployment's turn and each alias's target change."""

    def __init__(self, house: Installation) -> None:
        self._house = house
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._keep, args=(look,))
            for look in (self._turns, self._aliases)
        ]
        #: By alias: the wall clock with the turn and its holder, and the wall clock with the
        #: collection.
        self.turns: dict[str, list[tuple[float, tuple[int, str | None]]]] = {}
        self.targets: dict[str, list[tuple[float, str]]] = {}

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def claimed_after(self, alias: str, died: Sprung) -> float:
        """Returns the seconds from the worker's death until another worker took the next turn. It
        may be too long by one look."""
        seen = self.turns[alias]
        held = died.turn
        if held is None:
            held = max(turn for _, (turn, owner) in seen if (owner or "").endswith(f":{died.pid}"))
        return self.claimed(alias, held) - died.at

    def claimed(self, alias: str, held: int) -> float:
        """Returns the wall clock time at which a turn after ``held`` was taken."""
        return next(at for at, (turn, _) in self.turns[alias] if turn > held)

    def moves(self, alias: str) -> list[str]:
        return [collection for _, collection in self.targets.get(alias, [])]

    def _keep(self, look: Callable[[], None]) -> None:
        while not self._stopped.wait(_LOOK / 2):
            try:
                look()
            except AWAY:
                continue

    def _turns(self) -> None:
        _note(self.turns, self._house.turns())

    def _aliases(self) -> None:
        _note(self.targets, self._house.aliases())


def _note(history: dict[str, list[tuple[float, T]]], seen: Mapping[str, T]) -> None:
    now = time.time()
    for alias, value in seen.items():
        known = history.setdefault(alias, [])
        if not known or known[-1][1] != value:
            known.append((now, value))


def blue(alias: str) -> str:
    return f"{alias}-blue"


def named(kind: str, place: str) -> str:
    """Returns an alias for what happens at a place."""
    return re.sub(r"[._]", "-", f"{kind}-{place}")


def everywhere(
    houses: Mapping[str, Installation], scenario: Callable[[Installation], T]
) -> dict[str, T]:
    """Runs the scenario in all installations at the same time, so that their waits overlap; returns
    the results by database."""
    with ThreadPoolExecutor(len(houses)) as pool:
        running = {name: pool.submit(scenario, house) for name, house in houses.items()}
    return {name: future.result() for name, future in running.items()}


@contextmanager
def both(folder: Path, **arguments: Any) -> Iterator[dict[str, Installation]]:
    """Starts one installation on each database."""
    with ExitStack() as stack:
        houses = {
            name: Installation(folder / name, name, **arguments) for name in ("sqlite", "postgres")
        }
        with ThreadPoolExecutor(2) as pool:
            for house in pool.map(lambda house: house.__enter__(), houses.values()):
                stack.push(house)
        everywhere(houses, lambda house: house.run())
        yield houses


def _procfile(entry: str, app: str, instead: Mapping[str, int]) -> tuple[dict[str, str], list[str]]:
    lines = dict(
        line.split(": ", 1)
        for line in (ROOT / "Procfile").read_text().splitlines()
        if line[0] != "#"
    )
    words = shlex.split(lines[entry].split("&&")[-1])
    variables = dict(word.split("=", 1) for word in words[: words.index(".venv/bin/celery")])
    options = [_other(word, instead) for word in words[len(variables) + 1 :]]
    options[options.index("tasks")] = app
    options.insert(3, "--loglevel=INFO")
    return variables, [sys.executable, "-m", "celery", *options]


def _other(word: str, instead: Mapping[str, int]) -> str:
    name = word.removeprefix("--").partition("=")[0]
    return f"--{name}={instead[name]}" if name in instead else word


def _lives(process: psutil.Process) -> bool:
    """Returns whether the process lives. The process that adopts orphans may need some time until
    it removes a dead one."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _tail(log: str) -> str:
    return "\n".join(
        [
            line
            for line in log.splitlines()
            if "HTTP Request" not in line and "due task" not in line
        ][-_TAIL:]
    )
