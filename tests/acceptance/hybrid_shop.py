"""``python -m tests.acceptance.hybrid_shop FOLDER``: a process of an application with hybrid
search. Its environment says whether it reaches its routes in the database, or by HTTP.

Its users search one after the other through ``Router.call``, with the application's own client. Of
the searches in the collection whose name ends in ``green``, one in ten fails. What became of every
search is recorded in FOLDER.
"""

import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from qdrant_client import QdrantClient, models

from qdrant_rollouts import open_router
from qdrant_rollouts.core.routing import RoutedArm

USERS = 200
FAILING = 0.1
_PAUSE = 0.02
DENSE = [1.0, 0.0, 0.0, 0.0]
SPARSE = models.SparseVector(indices=[1], values=[1.0])


@dataclass(frozen=True)
class Search:
    """``began``: the wall clock. ``variant`` is that of the first arm that was asked; ``failed``:
    whether it raised an error."""

    began: float
    process: int
    user: str
    variant: str
    failed: bool
    found: int
    error: str = ""


def searches(folder: Path) -> Iterator[Search]:
    """Returns what all processes have recorded so far, without a line that is still being
    written."""
    for file in sorted(folder.glob("*.searches")):
        yield from (Search(**json.loads(line)) for line in file.read_text().split("\n")[:-1])


class Shop:
    def __init__(self, client: QdrantClient, rng: random.Random) -> None:
        self._client = client
        self._rng = rng
        self.asked: list[str] = []
        self.failed = False

    def search(self, arm: RoutedArm) -> Any:
        self.asked.append(arm.variant)
        if arm.collection.endswith("green") and self._rng.random() < FAILING:
            self.failed = True
            raise ConnectionError("this collection fails now and then")
        return self._client.query_points(
            arm.collection,
            prefetch=[
                models.Prefetch(query=DENSE, using="dense", limit=5),
                models.Prefetch(query=SPARSE, using="words", limit=5),
            ],
            query=models.FusionQuery(fusion=models.Fusion.RRF),
            limit=3,
        )


def main(folder: str) -> None:
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    client = QdrantClient(url=os.environ["ROLLOUTS_QDRANT_URL"], trust_env=False)
    rng = random.Random(os.getpid())
    with (
        open_router() as router,
        (Path(folder) / f"{os.getpid()}.searches").open("a", buffering=1) as journal,
    ):
        while not stopped.wait(_PAUSE):
            shop = Shop(client, rng)
            began = time.time()
            user = f"user-{rng.randrange(USERS)}"
            found = 0
            error = ""
            try:
                found = len(router.call("shop", shop.search, user).points)
            except Exception as fault:  # noqa: BLE001 - every failure is a result of the test
                error = repr(fault)
            seen = Search(began, os.getpid(), user, shop.asked[0], shop.failed, found, error)
            journal.write(json.dumps(asdict(seen)) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
