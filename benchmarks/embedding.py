"""Embedding population against ``model.encode`` on the same texts, in turn, in one process with the
model loaded.

Ours is everything the turns of the populate step do: read, parse, hash, embed, count truncated
texts, write to a real Qdrant server, save the state in the database. The baseline is one call with
all texts and the library's own defaults. What the step waits for between its last looks at the
index (5 s, whatever the size) is not counted.
"""

import tempfile
from pathlib import Path

from benchmarks import texts
from benchmarks.installation import Installation, declare, settings, write_records
from benchmarks.results import Result, Size, median_ratio, rates, ratio_of_at_least, seconds
from tests.servers import Qdrant

BOUND = 0.9
TEXTS = {Size.FULL: 600, Size.CI: 600, Size.SMALLEST: 20}
ROUNDS = {Size.FULL: 7, Size.CI: 1, Size.SMALLEST: 1}


def run(size: Size) -> list[Result]:
    count = TEXTS[size]
    records = texts.records(count)
    model = texts.plain_model()
    texts.load_product_model()
    encode: list[float] = []
    populate: list[float] = []
    with tempfile.TemporaryDirectory(prefix="rollouts-embedding-") as name, Qdrant() as server:
        folder = Path(name)
        source = write_records(folder / "texts.jsonl", records)
        aliases = [f"texts_{number}" for number in range(ROUNDS[size])]
        declare(
            folder, {alias: {"source": source, "embedding": texts.EMBEDDING} for alias in aliases}
        )
        installation = Installation(settings(folder, server.url, server.grpc_port))
        for alias in aliases:  # a first deployment each time, which finds no vector to take over
            encode.append(seconds(lambda: model.encode([record["text"] for record in records])))
            populate.append(installation.deploy(alias)["populate"])
        installation.close()
    return [
        ratio_of_at_least(
            f"populate step on {count} docstrings, against model.encode",
            rates(count, populate, "texts"),
            rates(count, encode, "texts"),
            median_ratio(encode, populate),
            BOUND,
        )
    ]
