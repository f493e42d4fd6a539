"""A night in which 1 % of the records changed: a clone of the live collection that is brought up to
date, against a full rebuild, in the same run on a real Qdrant server.

First hashed words of 384 dimensions instead of a model, so that embedding costs nothing. What is
timed is the whole step `populate`, from its beginning until the index is ready. Both nights have as
many changes; the full one takes over the vectors of what did not change, as it always does. Then
the small model, and a full build is one from nothing. There the turns of `populate` are timed; what
it waits for between its looks at the server (some seconds, whatever the size) is counted on neither
side. Texts of the first part are words at random, which no index can search well: whether it does
is not asked.
"""

import random
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks import texts
from benchmarks.installation import Installation, declare, settings, write_records
from benchmarks.results import Result, Size, median_ratio, rates, ratio_of_at_least
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.operations.views import queries
from tests.servers import Qdrant

RECORDS = {Size.FULL: 100_000, Size.CI: 40_000, Size.SMALLEST: 500}
#: There are not many more real texts.
EMBEDDED = {Size.FULL: 1_400, Size.CI: 1_200, Size.SMALLEST: 100}
BOUND = 5.0
BOUND_EMBEDDED = 20.0
#: Of so many records one changes.
ONE_IN = 100
ALIAS = "nightly"
_HASHED = {"model": "hashing:384", "text": "{text}"}
_WORDS = 5_000
_LENGTH = 20
_UNASKED = dict.fromkeys(
    ("self_retrieval", "ann_recall@10", "overlap", "score_shift", "score_floor"), False
)
_FULL = {"populate": {"delta_at_most": 0.0}}

Records = Iterator[dict[str, Any]]


def run(size: Size) -> list[Result]:
    return [_without_embedding(RECORDS[size]), _with_model(EMBEDDED[size])]


def _without_embedding(count: int) -> Result:
    with tempfile.TemporaryDirectory(prefix="rollouts-delta-") as name, Qdrant() as server:
        folder = Path(name)
        _declare(folder, _HASHED)
        installation = Installation(settings(folder, server.url, server.grpc_port))
        write_records(folder / "texts.jsonl", _hashed_records(count, night=0))
        _deploy(installation, "records")
        write_records(folder / "texts.jsonl", _hashed_records(count, night=1))
        delta, _ = _deploy(installation, "delta")
        _declare(folder, _HASHED, **_FULL)
        write_records(folder / "texts.jsonl", _hashed_records(count, night=2))
        full, _ = _deploy(installation, "records")
        installation.close()
    return ratio_of_at_least(
        f"{count // ONE_IN:,} of {count:,} records changed, until the index is ready",
        rates(count, [delta], "records"),
        rates(count, [full], "records"),
        median_ratio([full], [delta]),
        BOUND,
    )


def _with_model(count: int) -> Result:
    records = texts.records(count)
    texts.load_product_model()
    with tempfile.TemporaryDirectory(prefix="rollouts-delta-") as name, Qdrant() as server:
        folder = Path(name)
        _declare(folder, texts.EMBEDDING)
        installation = Installation(settings(folder, server.url, server.grpc_port))
        write_records(folder / "texts.jsonl", records)
        _, full = _deploy(installation, "records")
        write_records(
            folder / "texts.jsonl",
            (
                {**record, "text": f"{record['text']} Changed."} if at % ONE_IN == 0 else record
                for at, record in enumerate(records)
            ),
        )
        _, delta = _deploy(installation, "delta")
        installation.close()
    return ratio_of_at_least(
        f"{count // ONE_IN:,} of {count:,} records with {texts.MODEL.rpartition('/')[2]} changed",
        rates(count, [delta], "records"),
        rates(count, [full], "records"),
        median_ratio([full], [delta]),
        BOUND_EMBEDDED,
    )


def _declare(folder: Path, embedding: dict[str, Any], **populate: Any) -> None:
    index = {
        "source": f"jsonl:{folder}/texts.jsonl",
        "embedding": embedding,
        "validation": {"checks": _UNASKED},
    }
    declare(folder, {ALIAS: {**index, **populate}})


def _deploy(installation: Installation, way: str) -> tuple[float, float]:
    """Returns the seconds that `populate` took, and those of its turns. Raises RuntimeError if it
    took another way."""
    run = commands.start_deployment(installation.services, ALIAS, actor="benchmark")
    turns = installation.through(run)["populate"]
    steps = queries.get_deployment(installation.services, run)["steps"]
    step = next(step for step in steps if step["name"] == "populate")
    if step["output"]["way"] != way:
        raise RuntimeError(f"filled by {step['output']['summary']}, not by {way}")
    took = _parse(step["finished_at"]) - _parse(step["started_at"])
    return took.total_seconds(), turns


def _parse(moment: str | None) -> datetime:
    assert moment is not None
    return datetime.fromisoformat(moment)


def _hashed_records(count: int, night: int) -> Records:
    """Evenly spread, one in a hundred has another text each night."""
    draw = random.Random(7)
    for number in range(count):
        text = " ".join(f"word{draw.randrange(_WORDS)}" for _ in range(_LENGTH))
        anew = f" night{night}" if night and number % ONE_IN == ONE_IN - 1 else ""
        yield {"id": number, "text": text + anew}
