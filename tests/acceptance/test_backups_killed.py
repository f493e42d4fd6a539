"""``kill -9`` in every step of a backup, of a verification and of a restore, with real workers.

There are six indexes, and in each one the worker is killed at other places. First a backup and a
verification run at the same time; then the collection is deleted and restored.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session, selectinload

from qdrant_rollouts.adapters.shelf import FolderShelf
from qdrant_rollouts.core.collections import manifests
from qdrant_rollouts.core.database.models import Deployment
from tests.acceptance.installation import BRISK, ENDED, OPTIONS, QUERY, RECORDS, Installation
from tests.acceptance.traps import KILL

#: Place -> what the worker is doing there.
BACKUP = {
    "make_snapshot.after": "snapshot: it is made, nobody has written down its name",
    "knock-fetch.before": "between snapshot and fetch",
    "write.after": "fetch: bytes are on the shelf, the position is not saved",
    "knock-seal.before": "between fetch and seal",
    "seal.after": "seal: the manifest is there, the server's copy too",
    "drop_snapshot.after": "seal: the server's copy is gone, the step is not committed",
}
VERIFICATION = {
    "upload_snapshot.before": "recover: before the upload",
    "upload_snapshot.after": "recover: the server has all bytes, nobody has written it down",
    "set_metadata.after": "recover: the collection is stamped, the step is not committed",
    "fetch.before": "compare: before the points are looked at",
    "drop.before": "drop: before the collection goes",
    "drop.after": "drop: it is gone, the step is not committed",
}
RESTORE = {
    "upload_snapshot.after": "recover: the server has all bytes, nobody has written it down",
    "set_metadata.before": "recover: the collection is there, but not stamped",
    "knock-validate.before": "between compare and validate",
    "point_alias.before": "switch: the intent is committed, Qdrant is not told",
    "point_alias.after": "switch: the alias has moved, nobody has written it down",
    "search.before": "soak: in the middle of a look",
}
PLACES = list(zip(BACKUP, VERIFICATION, RESTORE, strict=True))
ALIASES = [f"docs{number}" for number in range(len(PLACES))]


@dataclass(frozen=True)
class Story:
    """The results of one index. ``left`` has the collections that are named like its
    verification's."""

    backup: Deployment
    verification: Deployment
    restore: Deployment
    left: set[str]
    snapshots: list[str]
    count: int
    served_by: str
    switched: int


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("backups") / "house"
    with Installation(folder, "sqlite", times=BRISK, tick=1.0, children=6) as running:
        validation = {**OPTIONS["validation"], "queries": [QUERY]}
        index = {**OPTIONS, "source": "jsonl:docs.jsonl", "validation": validation}
        running.declare(dict.fromkeys(ALIASES, index))
        running.run()
        yield running


@pytest.fixture(scope="module")
def stories(house: Installation) -> dict[str, Future[Story]]:
    """Futures that have ended. The test of each index reports what went wrong there."""
    with ThreadPoolExecutor(len(ALIASES)) as pool:
        told = {
            alias: pool.submit(story, house, alias, *PLACES[at]) for at, alias in enumerate(ALIASES)
        }
        wait(told.values())
    return told


def story(
    house: Installation, alias: str, in_backup: str, in_verification: str, in_restore: str
) -> Story:
    house.send("indexes.rebuild", alias_name=alias)
    house.until(lambda: alias in house.aliases(), 90, f"{alias} to serve")
    first = house.ask("backups.create", alias_name=alias)["backup_id"]
    whole = ended(house, first)
    assert whole.status == "live", whole.message

    house.traps.set(alias, in_backup, KILL)
    house.traps.set(f"{alias}_verify", in_verification, KILL)
    second = house.ask("backups.create", alias_name=alias)["backup_id"]
    tried = house.ask("backups.verify", backup_id=first)["verification_id"]
    backup = ended(house, second)
    verification = ended(house, tried)
    assert house.traps.sprung(alias, in_backup), f"nobody died at {in_backup}"
    assert house.traps.sprung(f"{alias}_verify", in_verification), (
        f"nobody died at {in_verification}"
    )
    snapshots = (
        house.web.get(f"/collections/{backup.green}/snapshots").raise_for_status().json()["result"]
    )

    house.web.delete(f"/collections/{backup.green}").raise_for_status()
    house.traps.set(alias, in_restore, KILL)
    back = ended(house, house.ask("backups.restore", backup_id=second)["deployment_id"])
    assert house.traps.sprung(alias, in_restore), f"nobody died at {in_restore}"
    left = {name for name in house.collections() if name.startswith(f"{alias}_verify")}
    moves = [event for event in house.events(alias) if event.event == "alias.switched"]
    switched = sum(event.deployment_id == back.id for event in moves)
    served_by = house.aliases()[alias]
    return Story(
        backup, verification, back, left, snapshots, house.count(served_by), served_by, switched
    )


def ended(house: Installation, run: str) -> Deployment:
    def over() -> Deployment | None:
        with Session(house.engine) as session:
            row = session.get(Deployment, run, options=[selectinload(Deployment.steps)])
            return row if row and row.status in ENDED else None

    return house.until(over, 120, f"the end of {run}")


def by_place(places: dict[str, str]) -> Any:
    return pytest.mark.parametrize(
        "alias", [pytest.param(a, id=p) for a, p in zip(ALIASES, places, strict=True)]
    )


@by_place(BACKUP)
def test_a_backup_whose_worker_was_killed_is_whole_and_leaves_nothing_on_the_server(
    stories, house, alias
):
    seen = stories[alias].result()
    shelf = FolderShelf(house.folder / ".rollouts" / "backups")
    assert seen.backup.status == "live", seen.backup.message
    manifest = manifests.read_manifest(shelf, seen.backup.id)
    assert (manifest.alias, manifest.low, manifest.high) == (alias, RECORDS, RECORDS)
    assert manifests.find_damage(shelf, manifest) == ""
    lost = house.traps.sprung(alias, "make_snapshot.after") is not None
    assert len(seen.snapshots) <= lost, "only one whose name nobody has heard stays"


@by_place(VERIFICATION)
def test_a_verification_whose_worker_was_killed_comes_to_its_verdict_and_leaves_no_collection(
    stories, alias
):
    seen = stories[alias].result()
    assert seen.verification.status == "live", seen.verification.message
    assert seen.verification.message.startswith(f"verified: {RECORDS} points")
    assert seen.left == set()


@by_place(RESTORE)
def test_a_deleted_index_comes_back_whole_through_the_gate_though_its_worker_was_killed(
    stories, alias
):
    seen = stories[alias].result()
    assert seen.restore.status == "live", seen.restore.message
    assert (seen.count, seen.served_by, seen.switched) == (RECORDS, seen.restore.green, 1)
    gate = next(step for step in seen.restore.steps if step.name == "validate")
    assert gate.output["gate"]["verdict"] == "pass"


def test_there_is_no_half_file_on_the_shelf(stories, house):
    assert all(story.exception() is None for story in stories.values())
    shelf = FolderShelf(house.folder / ".rollouts" / "backups")
    assert len(shelf.backups()) == 2 * len(ALIASES)
    for folder in Path(shelf.address).iterdir():
        named = {str(file["name"]) for file in manifests.read_manifest(shelf, folder.name).files}
        assert {path.name for path in folder.iterdir()} == {*named, "manifest.json"}
