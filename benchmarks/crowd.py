"""What is looked at every second, and what people look at, with 10,000 deployments that wait,
against the same with 200.

Each is of an index of its own. Half of them wait for their next turn, half for a place among the
rebuilds. Nothing is due, so a sweep should cost the same whatever waits. The pages are bounded:
what grows is the look at which index comes first. Then the home page and the list with 10,000
deployments that ended, of 200 indexes; and the home page of 200 indexes with 1,000 deployments,
searched and sorted, against that of 25, which are one page of it. The seconds of what people look
at are shown, and how much they are of those that were asked for; no bound is held against them,
because a busy machine alone could break it. Then 5,000 turns are due at once, and 500 schedules in
one minute: how many sweeps it takes until the last one is sent.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import cast

import httpx
from sqlalchemy import create_engine, func, make_url, select, text

from benchmarks.results import Result, Size, median_ratio, seconds
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.database.schedule_rows import ScheduleRun
from qdrant_rollouts.core.deployments import engine
from qdrant_rollouts.core.operations.schedules import sweep
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.ports import VectorStore
from qdrant_rollouts.interfaces.http import serving
from qdrant_rollouts.interfaces.http.app import make_app
from tests import crowds, plans
from tests.servers import Postgres
from tests.world import World

MANY = {Size.FULL: 10_000, Size.CI: 10_000, Size.SMALLEST: 200}
FEW = {Size.FULL: 200, Size.CI: 200, Size.SMALLEST: 20}
SCHEDULES = {Size.FULL: 500, Size.CI: 500, Size.SMALLEST: 20}
ROUNDS = {Size.FULL: 15, Size.CI: 7, Size.SMALLEST: 1}
#: Deployments that ended, of each index of the home page.
EACH = 5
#: Indexes of one page of it.
PAGE = 25
#: How many times as long with many as with few.
SWEEP = 2.0
HOME = 2.0
#: Seconds that were asked for.
LOOK = 0.3


def run(size: Size) -> list[Result]:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        urls = [f"sqlite:///{folder}/{name}.db" for name in ("few", "many", "due", "schedules")]
        homes = [f"sqlite:///{folder}/{name}.db" for name in ("page", "home")]
        found += _measure("SQLite", urls, size)
        found += _look_back("SQLite", f"sqlite:///{folder}/ended.db", size)
        found += _compare_homes("SQLite", homes, size)
    with Postgres() as server:
        *urls, ended, page, home = _create_databases(server.url)
        found += _measure("PostgreSQL", urls, size)
        found += _look_back("PostgreSQL", ended, size)
        found += _compare_homes("PostgreSQL", [page, home], size)
    return found


def _create_databases(url: str) -> list[str]:
    names = ("few", "many", "due", "schedules", "ended", "page", "home")
    made = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with made.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for name in names:
            connection.execute(text(f"CREATE DATABASE {name}"))
    made.dispose()
    return [make_url(url).set(database=name).render_as_string() for name in names]


def _measure(database: str, urls: list[str], size: Size) -> list[Result]:
    few, many, due, schedules = urls
    with _open_crowd(few, FEW[size]) as small, _open_crowd(many, MANY[size]) as large:
        counts = f"{MANY[size]:,} waiting", f"{FEW[size]:,} waiting"
        found = [
            _compare(f"{name}, {database}", counts, work(large), work(small), size, bound)
            for name, work, bound in _LOOKS
        ]
    return [*found, _drain(database, due, MANY[size] // 2), _fire(database, schedules, size)]


@contextmanager
def _open_crowd(url: str, count: int) -> Iterator[tuple[World, httpx.Client]]:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), url)
        world.over(cast("VectorStore", crowds.ServingStore(world.store, range(count))))
        now = world.clock.moment
        with world.services.sessions.begin() as session:
            crowds.write_waiting(session, now, range(0, count, 2), timedelta(hours=1))
            crowds.write_queued(session, now, range(1, count, 2))
            crowds.write_served(session, now, range(count))
        # what builds already: nobody else can have a place
        while engine.knock_overdue_turns(world.services):
            pass
        with _open_pages(world) as client:
            yield world, client
        world.close()


@contextmanager
def _open_pages(world: World) -> Iterator[httpx.Client]:
    plans.analyze(world.engine)
    settings = Settings(_env_file=None)
    with (
        serving.bind_socket(world.services, settings, "127.0.0.1", 0) as door,
        serving.serve_beside(make_app(world.services, settings), door),
        httpx.Client(base_url=serving.socket_url(door), timeout=60) as client,
    ):
        yield client


def _look_back(database: str, url: str, size: Size) -> list[Result]:
    """Looks at the deployments that ended, of indexes that are declared and serve."""
    count, indexes = MANY[size], FEW[size]
    looks = [("home page", _page("/")), ("list of deployments", _list)]
    counts = f"{count:,} ended, of {indexes} indexes"
    with _open_past(url, count, indexes) as crowd:
        return [
            _look(f"{name} of {indexes} indexes, {database}", counts, work(crowd), size)
            for name, work in looks
        ]


def _compare_homes(database: str, urls: list[str], size: Size) -> list[Result]:
    """Compares the home page of many indexes with that of as many as it shows."""
    of_page, of_all = urls
    few, many = min(PAGE, FEW[size] // 4), FEW[size]
    counts = [f"{EACH * one:,} ended, of {one} indexes" for one in (many, few)]
    with (
        _open_past(of_page, EACH * few, few) as small,
        _open_past(of_all, EACH * many, many) as large,
    ):
        return [
            _compare(f"{name}, {database}", counts, work(large), work(small), size, HOME)
            for name, work in _HOMES
        ]


@contextmanager
def _open_past(url: str, count: int, indexes: int) -> Iterator[tuple[World, httpx.Client]]:
    """Opens the pages of indexes that are declared and serve, with deployments that ended."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), url)
        world.over(cast("VectorStore", crowds.ServingStore(world.store, range(indexes))))
        for number in range(indexes):
            world.declare(crowds.name_alias(number), source="jsonl:docs.jsonl", rebuild="0 2 * * *")
        with world.services.sessions.begin() as session:
            crowds.write_ended(session, world.clock.moment, count, indexes)
            crowds.write_served(session, world.clock.moment, range(indexes))
        with _open_pages(world) as client:
            yield world, client
        world.close()


def _look(name: str, counts: str, work: Callable[[], object], size: Size) -> Result:
    _time(work)
    taken = tuple(_time(work) for _ in range(ROUNDS[size]))
    return Result(name, f"{_describe(taken)} with {counts}", bound=_compare_with_wanted(taken))


Crowd = tuple[World, httpx.Client]


def _sweep(crowd: Crowd) -> Callable[[], object]:
    return lambda: engine.knock_overdue_turns(crowd[0].services)


def _list(crowd: Crowd) -> Callable[[], object]:
    return lambda: queries.list_deployments(crowd[0].services)


def _page(path: str) -> Callable[[Crowd], Callable[[], object]]:
    return lambda crowd: lambda: crowd[1].get(path).raise_for_status()


#: What is measured, and whether the ratio has a bound.
_LOOKS: tuple[tuple[str, Callable[[Crowd], Callable[[], object]], float | None], ...] = (
    ("sweep", _sweep, SWEEP),
    ("list of deployments", _list, None),
    ("home page", _page("/"), None),
    ("page of deployments", _page("/deployments"), None),
    ("GET /api/v1/indexes", _page("/api/v1/indexes"), None),
)


#: The home page, asked for in ways that read other columns of all indexes.
_HOMES = (
    ("home page", _page("/")),
    ("home page, searched and sorted", _page("/?q=index&sort=points")),
    ("home page, last rebuilds in groups", _page("/?sort=last&group=prefix")),
)


def _compare(
    name: str,
    counts: Sequence[str],
    many: Callable[[], object],
    few: Callable[[], object],
    size: Size,
    bound: float | None,
) -> Result:
    """Holds the ratio against ``bound``; without one, it is only shown."""
    _time(many), _time(few)
    pairs = [(_time(many), _time(few)) for _ in range(ROUNDS[size])]
    above, below = zip(*pairs, strict=True)
    ratio = median_ratio([one.wall for one in above], [one.wall for one in below])
    value = f"{_describe(above)} with {counts[0]}"
    baseline = f"{_describe(below)} with {counts[1]}"
    if bound is not None:
        return Result(name, value, baseline, ratio, f"at most {bound:g}", ratio <= bound)
    return Result(name, value, baseline, ratio, _compare_with_wanted(above))


def _compare_with_wanted(taken: "tuple[_Taken, ...]") -> str:
    wall = statistics.median(one.wall for one in taken) / LOOK
    worked = statistics.median(one.worked for one in taken) / LOOK
    return f"{LOOK:g} s wanted; {wall:.2f} of it taken, {worked:.2f} of the processor"


@dataclass(frozen=True, slots=True)
class _Taken:
    """Seconds on the wall, and of this process' processor time, in which PostgreSQL's is not."""

    wall: float
    worked: float


def _time(work: Callable[[], object]) -> _Taken:
    before = time.process_time()
    wall = seconds(work)
    return _Taken(wall, time.process_time() - before)


def _describe(taken: tuple[_Taken, ...]) -> str:
    wall = statistics.median(one.wall for one in taken) * 1000
    worked = statistics.median(one.worked for one in taken) * 1000
    return f"{wall:.0f} ms, {worked:.0f} of the processor,"


def _drain(database: str, url: str, count: int) -> Result:
    """Counts the sweeps, one second apart, until each of ``count`` due turns was asked for."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), url)
        world.change_services(times=replace(world.services.times, holds_waits=False))
        with world.services.sessions.begin() as session:
            crowds.write_waiting(session, world.clock.moment, range(count), timedelta(seconds=-1))
        sizes: list[int] = []
        taken = seconds(lambda: _sweep_until_sent(world, count, sizes))
        world.close()
    value = f"{len(sizes)} sweeps of at most {max(sizes):,}; they took {taken:.1f} s"
    return Result(f"{count:,} turns due at once, {database}", value)


def _sweep_until_sent(world: World, count: int, sizes: list[int]) -> None:
    while sum(sizes) < count:
        sizes.append(len(engine.knock_overdue_turns(world.services)))
        world.clock.move(1)


def _fire(database: str, url: str, size: Size) -> Result:
    """Counts the sweeps until each of the schedules of one minute has its run."""
    count = SCHEDULES[size]
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), url)
        source = world.write("docs.jsonl", [{"id": 1, "text": "a text about python"}])
        for number in range(count):
            world.declare(crowds.name_alias(number), source=source, rebuild="0 2 * * *")
        sweep.sweep_schedules(world.services)
        world.clock.moment += timedelta(days=1)
        sizes: list[int] = []
        taken = seconds(lambda: _sweep_until_fired(world, count, sizes))
        world.close()
    value = f"{len(sizes)} sweeps; they took {taken:.1f} s"
    return Result(f"{count:,} schedules of one minute, {database}", value)


def _sweep_until_fired(world: World, count: int, sizes: list[int]) -> None:
    fired = 0
    while fired < count:
        sweep.sweep_schedules(world.services)
        with world.services.sessions() as session:
            fired = session.scalar(select(func.count()).select_from(ScheduleRun)) or 0
        sizes.append(fired)
