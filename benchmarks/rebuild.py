"""A rebuild with 1 % of the records changed against a full one: same records, real model, real
Qdrant server.

In each round an index is built from nothing, then 1 % of its records change their text and it is
built again. What is compared are the turns of the populate step; what that step waits for between
its last looks at the index (5 s, whatever the size) is counted on neither side.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import texts
from benchmarks.installation import Installation, declare, settings, write_records
from benchmarks.results import Result, Size, median_ratio, rates, ratio_of_at_least
from tests.servers import Qdrant

BOUND = 10.0
RECORDS = {Size.FULL: 1_200, Size.CI: 1_200, Size.SMALLEST: 100}
ROUNDS = {Size.FULL: 3, Size.CI: 1, Size.SMALLEST: 1}
#: Of so many records one changes.
ONE_IN = 100

Records = Sequence[dict[str, Any]]


def run(size: Size) -> list[Result]:
    count = RECORDS[size]
    before = texts.records(count)
    after = _changed(before)
    texts.load_product_model()
    with tempfile.TemporaryDirectory(prefix="rollouts-rebuild-") as name, Qdrant() as server:
        folder = Path(name)
        aliases = [f"texts_{number}" for number in range(ROUNDS[size])]
        index = {"source": f"jsonl:{folder}/texts.jsonl", "embedding": texts.EMBEDDING}
        declare(folder, dict.fromkeys(aliases, index))
        installation = Installation(settings(folder, server.url, server.grpc_port))
        pairs = [_round(installation, alias, folder, before, after) for alias in aliases]
        installation.close()
    full, partial = zip(*pairs, strict=True)
    return [
        ratio_of_at_least(
            f"rebuild with {count // ONE_IN} of {count:,} records changed, against a full one",
            rates(count, partial, "records"),
            rates(count, full, "records"),
            median_ratio(full, partial),
            BOUND,
        )
    ]


def _round(
    installation: Installation, alias: str, folder: Path, before: Records, after: Records
) -> tuple[float, float]:
    write_records(folder / "texts.jsonl", before)
    full = installation.deploy(alias)["populate"]
    write_records(folder / "texts.jsonl", after)
    return full, installation.deploy(alias)["populate"]


def _changed(records: Records) -> Records:
    """The same records; evenly spread, one in a hundred has another text."""
    return [
        {**record, "text": f"{record['text']} Changed."} if number % ONE_IN == 0 else record
        for number, record in enumerate(records)
    ]
