"""One index filled by 1, 2, 4 and 8 children of a worker, with an embedding endpoint on loopback
that answers each batch after 250 ms.

Everything is real: Celery's worker processes, Redis, Qdrant and the database. Each child sends one
request at a time, so that the children are compared and not their threads. The seconds are those of
the step ``populate`` until its index is ready.

``python -m benchmarks.slices`` runs it.
"""

import statistics
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from benchmarks.alone import run_alone
from benchmarks.results import Result, Size, ratio_of_at_least
from tests.acceptance.installation import OPTIONS, Installation
from tests.endpoint import Endpoint

#: Batches of 16 texts.
RECORDS = {Size.FULL: 8192, Size.CI: 4096, Size.SMALLEST: 128}
CHILDREN = {Size.FULL: (1, 2, 4, 8), Size.CI: (1, 2, 4, 8), Size.SMALLEST: (1, 2)}
ROUNDS = {Size.FULL: 3, Size.CI: 1, Size.SMALLEST: 1}
#: The turns are as long as in the product; only the looks at the index are not waited for.
TIMES = {"ready_look": 0.1}
ANSWER = 0.25
BATCH = 16
#: Of the speed that so many children would have if nothing were lost.
LEAST = 0.85
_VALIDATION = {
    **OPTIONS["validation"],
    "checks": {**OPTIONS["validation"]["checks"], "self_retrieval": False},
}


def run(size: Size) -> list[Result]:
    taken: dict[int, list[float]] = {children: [] for children in CHILDREN[size]}
    endpoint = Endpoint()
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            Installation(
                Path(folder) / "house", "postgres", times=TIMES, tick=1.0, children=max(taken)
            ) as house,
        ):
            house.write_documents("many.jsonl", RECORDS[size])
            provider = {"url": endpoint.url, "batch": BATCH, "concurrency": 1}
            house.declare({}, providers={"loop": provider})
            house.run()
            endpoint.seconds = ANSWER
            for number in range(ROUNDS[size]):
                for children, seconds in taken.items():
                    seconds.append(_fill(house, f"index-{number}-{children}", children))
    finally:
        endpoint.close()
    alone = taken.pop(1)
    return [
        _compare(RECORDS[size], children, seconds, alone) for children, seconds in taken.items()
    ]


def _fill(house: Installation, alias: str, children: int) -> float:
    house.make_live(alias)
    house.deploy(
        alias,
        "many.jsonl",
        embedding={"model": "loop:words-64", "text": "{text}"},
        populate={"parallel": children},
        validation=_VALIDATION,
    )
    row = house.ended(alias, 900)
    if row.status != "live":
        raise RuntimeError(f"{alias}: {row.message}")
    step = next(one for one in row.steps if one.name == "populate")
    assert step.started_at is not None
    assert step.finished_at is not None
    return (step.finished_at - step.started_at) / timedelta(seconds=1)


def _compare(records: int, children: int, taken: list[float], alone: list[float]) -> Result:
    mine, other = statistics.median(taken), statistics.median(alone)
    return ratio_of_at_least(
        f"{records:,} records by {children} children",
        f"{mine:.1f} s",
        f"{other:.1f} s by one child",
        other / mine,
        LEAST * children,
    )


if __name__ == "__main__":
    sys.exit(run_alone("slices", run))
