"""A backup, its verification and a restore of 100,000 points of 384 numbers with their index, on a
real Qdrant server.

What is timed is everything from the request to the end of the run, with the waits between looks and
all checksums; of the restore also ``recover`` alone, for its gate and its soak are those of any
deployment. Beside the backup stands a plain copy of the same snapshot on the same disk; beside
verification and restore a copy of the points by our own stream, which has no index yet when it
ends.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.gate import fill, until_ready
from benchmarks.installation import Installation, declare, settings
from benchmarks.results import Result, Size, median_ratio, rates, seconds
from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.deployments import backups
from tests.servers import Qdrant

POINTS = {Size.FULL: 100_000, Size.CI: 20_000, Size.SMALLEST: 1_000}
ROUNDS = {Size.FULL: 3, Size.CI: 1, Size.SMALLEST: 1}
ALIAS = "texts"
#: Whether it can be searched well is not asked here.
CHECKS = {"self_retrieval": False, "ann_recall@10": False, "overlap": False, "score_shift": False}
_MEGA = 1_000_000


class Ground:
    """A collection that serves, with its index."""

    def __init__(self, folder: Path, server: Qdrant, points: int) -> None:
        self.folder = folder
        self.points = points
        self.store = ServerStore(server.url, grpc_port=server.grpc_port)
        fill(self.store, "live", points)
        until_ready(self.store, "live")
        self.store.point_alias(ALIAS, "live")
        declare(folder, {ALIAS: {"source": "collection:live", "validation": {"checks": CHECKS}}})
        self.installation = Installation(settings(folder, server.url, server.grpc_port))
        self.services = self.installation.services

    def back_up(self) -> float:
        return self._timed(
            lambda: backups.create_backup(self.services, ALIAS, actor="benchmark", keep=1)
        )

    def verify(self) -> float:
        return self._timed(
            lambda: backups.verify_backup(self.services, alias=ALIAS, actor="benchmark")
        )

    def restore(self) -> tuple[float, float]:
        """Seconds of all, and of the turns of ``recover``."""
        spent: dict[str, float] = {}

        def work() -> None:
            begun = backups.restore_backup(self.services, alias=ALIAS, actor="benchmark")
            spent.update(self.installation.through(begun))

        return seconds(work), spent["recover"]

    def copy_file(self) -> float:
        [snapshot] = (self.folder / "backups").glob("*/*.snapshot")
        target = self.folder / "copy"

        def work() -> None:
            shutil.copyfile(snapshot, target)
            with target.open("rb") as file:
                os.fsync(file.fileno())

        return seconds(work)

    def copy_points(self) -> float:
        self.store.create("copied", self.store.schema("live"), {})
        taken = seconds(self._stream)
        self.store.drop("copied")
        return taken

    def size(self) -> int:
        return int(backups.list_backups(self.services, ALIAS)[0]["bytes"])

    def _stream(self) -> None:
        after = None
        while True:
            _, after = self.store.copy("live", "copied", after, 20.0)
            if after is None:
                return

    def _timed(self, start: Callable[[], str]) -> float:
        return seconds(lambda: self.installation.through(start()))


def run(size: Size) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="rollouts-backup-") as name, Qdrant() as server:
        ground = Ground(Path(name), server, POINTS[size])
        made = []
        copied = []
        verified = []
        streamed = []
        for _ in range(ROUNDS[size]):
            made.append(ground.back_up())
            copied.append(ground.copy_file())
            verified.append(ground.verify())
            streamed.append(ground.copy_points())
        whole, recovered = ground.restore()
        results = _results(ground, made, copied, verified, streamed, [whole], [recovered])
        ground.installation.close()
    return results


def _results(ground: Ground, *taken: list[float]) -> list[Result]:
    made, copied, verified, streamed, whole, recovered = taken
    megabytes = ground.size() / _MEGA
    points = ground.points

    def rate(seconds_taken: list[float]) -> str:
        return (
            f"{rates(round(megabytes), seconds_taken, 'MB')}, "
            f"{rates(points, seconds_taken, 'points')}"
        )

    by_copy = f"{rate(copied)} for a plain copy of the file"
    by_stream = f"{rate(streamed)} for a copy of the points"
    named = f"of {points:,} points, {megabytes:,.0f} MB"
    one = f"{rate(streamed[-1:])} for a copy of the points"
    return [
        Result(f"backup {named}", rate(made), by_copy, median_ratio(copied, made)),
        Result(
            f"verification {named}", rate(verified), by_stream, median_ratio(streamed, verified)
        ),
        Result(
            f"restore {named}, gate and soak with it", rate(whole), one, streamed[-1] / whole[0]
        ),
        Result(
            f"restore {named}, turns of recover alone",
            rate(recovered),
            one,
            streamed[-1] / recovered[0],
        ),
    ]
