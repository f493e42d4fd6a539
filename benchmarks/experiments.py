"""The report of an experiment with 10 million observations of 1 million users, and what writing
them down costs.

Users lie in the database as an experiment keeps them, as sums for each of the three default
metrics, with a sketch of latencies for p95 (``observations``); no Qdrant search and no user is in
it. A process of its own asks for the report, once with a tenth of the users and once with all: its
memory must not grow with their number, but for sketches that are fuller until all their cells are
in use. Bounds: 5 s on each database (issue 5); 16 MB more than for a tenth.

Recording is what a search process does each second: a batch of 1,000 users whom the experiment does
not know, and of the same ones again, written beside the million.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from benchmarks.installation import Installation, declare, settings
from benchmarks.observations import SEARCHES, fill
from benchmarks.results import Result, Size, seconds
from qdrant_rollouts.core.experiments import commands
from qdrant_rollouts.core.routing import exposures
from qdrant_rollouts.core.routing.exposures import Person, UserSearches, unit_of_user
from qdrant_rollouts.core.services import Services
from tests.servers import Postgres, Qdrant

BOUND = 5.0
MOST_OVER_TENTH = 16.0
BATCH_SECONDS = 1.0
USERS = {Size.FULL: 1_000_000, Size.CI: 100_000, Size.SMALLEST: 1_000}
METRICS = ("latency", "relevance", "clicks", "latency_p95")
_SCHEMA = {"params": {"vectors": {"size": 4, "distance": "Cosine"}}, "payload_schema": {}}
REPORTS = {Size.FULL: 3, Size.CI: 3, Size.SMALLEST: 1}
_BATCH = 1000
_BATCHES = 10
_ROOT = Path(__file__).parents[1]


def run(size: Size) -> list[Result]:
    with Qdrant() as server:
        return [result for name in ("sqlite", "postgres") for result in _on(name, server, size)]


def _on(name: str, server: Qdrant, size: Size) -> list[Result]:
    users = USERS[size]
    with (
        tempfile.TemporaryDirectory(prefix="rollouts-experiments-") as folder,
        _database(name, Path(folder)) as url,
    ):
        declare(Path(folder), {})
        arguments = [folder, server.url, str(server.grpc_port), url]
        installation = open_installation(*arguments)
        tenth, whole = (
            _filled(installation.services, f"{name}_{of}", of) for of in (users // 10, users)
        )
        few, all_of_them = (
            [_analysed(arguments, one) for _ in range(REPORTS[size])] for one in (tenth, whole)
        )
        recording = _recording(installation.services, whole)
        installation.close()
    return [*_results(name, users, few, all_of_them), *_written(name, recording)]


def open_installation(
    folder: str, qdrant_url: str, grpc_port: str, database_url: str
) -> Installation:
    configured = settings(Path(folder), qdrant_url, int(grpc_port))
    return Installation(configured.model_copy(update={"database_url": SecretStr(database_url)}))


@contextmanager
def _database(name: str, folder: Path) -> Iterator[str]:
    if name == "sqlite":
        yield f"sqlite:///{folder / 'state.db'}"
        return
    with Postgres() as server:
        yield server.url


def _filled(services: Services, name: str, users: int) -> str:
    for arm in ("a", "b"):
        services.store.create(f"{name}_{arm}", _SCHEMA, {})
    experiment = commands.create_experiment(
        services,
        name,
        f"{name}_a",
        [f"{name}_b"],
        actor="benchmark",
        metrics=METRICS,
        options={"n_star": users},
    )
    with services.sessions() as session:
        now = services.clock.now(session)
    fill(services.sessions, experiment, users, now)
    return experiment


def _analysed(arguments: list[str], experiment: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.analysing", *arguments, experiment]
    done = subprocess.run(command, cwd=_ROOT, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _results(
    name: str, users: int, few: list[dict[str, Any]], whole: list[dict[str, Any]]
) -> list[Result]:
    taken, briefly = (sorted(one["seconds"] for one in runs) for runs in (whole, few))
    less, most = (max(one["most"] for one in runs) for runs in (few, whole))
    start = max(one["before"] for one in whole)
    units = sum(whole[0]["units"].values())
    about = f"report of {users * SEARCHES:,} observations of {units:,} users on {name}"
    return [
        Result(
            about,
            f"{statistics.median(taken):.2f} s",
            f"{taken[0]:.2f} to {taken[-1]:.2f} s; {statistics.median(briefly):.2f} s for a tenth",
            bound=f"under {BOUND:g} s",
            ok=units == users and taken[-1] < BOUND,
        ),
        Result(
            "its process, at most, over that of a tenth",
            f"{most - less:.1f} MB",
            f"{most:.0f} MB, {start:.0f} MB before the report",
            bound=f"under {MOST_OVER_TENTH:g} MB",
            ok=most - less < MOST_OVER_TENTH,
        ),
    ]


# --- recording ------------------------------------------------------------------------------------


def _recording(services: Services, experiment: str) -> dict[str, list[float]]:
    """Seconds for each batch: of users seen for the first time, and of those seen before."""
    batches = [_batch(experiment, first) for first in range(0, _BATCH * _BATCHES, _BATCH)]
    return {
        seen: [seconds(lambda: _write(services, batch)) for batch in batches]  # noqa: B023 - called at once
        for seen in ("first", "again")
    }


def _write(services: Services, batch: dict[Person, UserSearches]) -> None:
    with services.sessions.begin() as session:
        exposures.write_exposures(session, services.clock.now(session), batch)


def _batch(experiment: str, first: int) -> dict[Person, UserSearches]:
    return {
        Person(experiment, unit_of_user(experiment, str(user))): UserSearches(
            ("control", "treatment")[user % 2],
            1,
            "a",
            1,
            user % 512,
            log_ms=3.0,
            latencies=Counter((600 + user % 99,)),
        )
        for user in range(first, first + _BATCH)
    }


def _written(name: str, recording: dict[str, list[float]]) -> Iterator[Result]:
    for seen, taken in recording.items():
        yield Result(
            f"a batch of {_BATCH:,} users, seen {seen}, written on {name}",
            f"{statistics.median(taken) * 1000:.0f} ms",
            f"{min(taken) * 1000:.0f} to {max(taken) * 1000:.0f} ms",
            bound=f"under {BATCH_SECONDS:g} s",
            ok=statistics.median(taken) < BATCH_SECONDS,
        )
