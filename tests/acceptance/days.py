"""Changes that people make to the records of an index from one day to the next."""

from collections.abc import Iterator

import numpy as np

from tests.acceptance.corpora import Record

#: The shares of changed records, from a quiet day to a busy one.
EDITED = (0.01, 0.05)
DELETED = (0.003, 0.03)
ADDED = (0.0, 0.04)


def days(
    records: list[Record], reserve: list[Record], seed: int
) -> Iterator[tuple[list[Record], list[Record]]]:
    """Yields the records before and after each of the requested number of days; ``reserve`` has the
    records that will be added."""
    rng = np.random.default_rng(seed)
    now = list(records)
    coming = list(reserve)
    while True:
        before = now
        now = list(now)
        for at in _some(rng, now, EDITED):
            now[at] = _edited(rng, now, at)
        gone = set(_some(rng, now, DELETED))
        now = [record for at, record in enumerate(now) if at not in gone]
        new = len(_some(rng, now, ADDED))
        now += coming[:new]
        # A record that left may come back later, with other content.
        coming = coming[new:] + [
            {**before[at], "id": f"{before[at]['id']} again"} for at in gone if at < len(before)
        ]
        yield before, now


def _some(
    rng: np.random.Generator, records: list[Record], shares: tuple[float, float]
) -> list[int]:
    most = max(1, int(len(records) * rng.uniform(*shares)))
    return rng.permutation(len(records))[:most].tolist()


def _edited(rng: np.random.Generator, records: list[Record], at: int) -> Record:
    """Cuts its text, continues it with another one's, or replaces its beginning."""
    words = records[at]["text"].split()
    other = records[int(rng.integers(len(records)))]["text"].split()
    half = max(1, len(words) // 2)
    text = (words[:half], words + other[:20], other[:10] + words[half:])[int(rng.integers(3))]
    return {**records[at], "text": " ".join(text)}
