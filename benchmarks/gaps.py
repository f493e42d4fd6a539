"""The gap between the end of a step and the start of the next: real Celery workers, Redis, and each
of the databases.

The processes are those of the Procfile with the product's own numbers. Deployments of hashed text
run one after the other; the gaps are read from their steps' rows, ``finished_at`` to the next
``started_at``, by the database's clock.
"""

import statistics
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from benchmarks.results import Result, Size
from qdrant_rollouts.core.database.models import StepRow
from tests.acceptance.installation import Installation

#: Seconds at the median (issue 2).
BOUND = 0.3
DEPLOYMENTS = {Size.FULL: 10, Size.CI: 2, Size.SMALLEST: 1}


def run(size: Size) -> list[Result]:
    return [_on(database, DEPLOYMENTS[size]) for database in ("sqlite", "postgres")]


def _on(database: str, deployments: int) -> Result:
    with (
        tempfile.TemporaryDirectory(prefix="rollouts-gaps-") as folder,
        Installation(Path(folder) / "house", database, app="tasks") as house,
    ):
        house.run()
        found = sorted(
            gap for number in range(deployments) for gap in _gaps(house, f"index-{number}")
        )
    median = statistics.median(found)
    return Result(
        f"gap between steps on {database}, median of {len(found)}",
        f"{median:.3f} s",
        f"{found[0]:.3f} to {found[-1]:.3f} s",
        bound=f"under {BOUND} s",
        ok=median < BOUND,
    )


def _gaps(house: Installation, alias: str) -> list[float]:
    house.make_live(alias)
    house.deploy(alias)
    ended = house.ended(alias)
    if ended.status != "live":
        raise RuntimeError(f"the deployment of {alias} ended {ended.status}: {ended.message}")
    return between(ended.steps)


def between(steps: Sequence[StepRow]) -> list[float]:
    """Seconds from the end of each step to the start of the next."""
    return [
        (after.started_at - before.finished_at).total_seconds()
        for before, after in pairwise(steps)
        if before.finished_at and after.started_at
    ]
