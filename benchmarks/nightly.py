"""A night's rebuild of 100,000 records of which none, or 1 %, have changed since the last one.

On a real Qdrant server, with hashed words instead of a model, so that no model is in it: what it
saves besides is in ``rebuild``. With nothing changed, what is timed is the whole look that finds it
out; else the turns of all steps. Texts are words at random, which no index can search well: whether
it does is not asked here.
"""

import random
import tempfile
from pathlib import Path

from benchmarks.installation import Installation, declare, settings, write_records
from benchmarks.results import Result, Size, rates, seconds
from qdrant_rollouts.core.deployments.commands.rebuilding import Unchanged, rebuild_index
from tests.servers import Qdrant

RECORDS = {Size.FULL: 100_000, Size.CI: 10_000, Size.SMALLEST: 500}
ALIAS = "nightly"
INDEX = {
    "embedding": {"model": "hashing:256", "text": "{text}"},
    "validation": {
        "checks": {
            "self_retrieval": False,
            "ann_recall@10": False,
            "overlap": False,
            "score_shift": False,
        }
    },
}
_WORDS = 5_000
_LENGTH = 20
#: As many looks, of which the median is told.
_LOOKS = 5


def run(size: Size) -> list[Result]:
    count = RECORDS[size]
    with tempfile.TemporaryDirectory(prefix="rollouts-nightly-") as name, Qdrant() as server:
        folder = Path(name)
        declare(folder, {ALIAS: {"source": f"jsonl:{folder}/texts.jsonl", **INDEX}})
        installation = Installation(settings(folder, server.url, server.grpc_port))
        _write(folder, count, changed=0)
        full = installation.deploy(ALIAS)
        looks = sorted(seconds(lambda: _nothing_to_do(installation)) for _ in range(_LOOKS))
        _write(folder, count, changed=count // 100)
        partial = installation.deploy(ALIAS)
        installation.close()
    whole = f"{sum(full.values()):.1f} s in the turns of a full one"
    return [
        Result(
            f"none of {count:,} changed",
            f"{looks[_LOOKS // 2]:.3f} s ({looks[0]:.3f} to {looks[-1]:.3f})",
            whole,
        ),
        Result(
            f"1 % of {count:,} changed",
            f"{sum(partial.values()):.1f} s in the turns of all steps",
            whole,
        ),
        Result(
            f"1 % of {count:,} changed, populate alone",
            rates(count, [partial["populate"]], "records"),
            rates(count, [full["populate"]], "records"),
        ),
    ]


def _nothing_to_do(installation: Installation) -> None:
    found = rebuild_index(installation.services, ALIAS, actor="benchmark")
    if not isinstance(found, Unchanged):
        raise TypeError(f"deployment {found} was begun, though nothing has changed")


def _write(folder: Path, count: int, *, changed: int) -> None:
    """Evenly spread, so many records have another text than without a change."""
    draw = random.Random(7)
    step = count // changed if changed else count + 1
    texts = (
        " ".join(f"word{draw.randrange(_WORDS)}" for _ in range(_LENGTH)) for _ in range(count)
    )
    anew = (
        f"{text} anew" if number % step == step - 1 else text for number, text in enumerate(texts)
    )
    write_records(
        folder / "texts.jsonl", ({"id": number, "text": text} for number, text in enumerate(anew))
    )
