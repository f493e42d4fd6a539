"""Many deployments at once, written as rows: each of an index of its own, with the six steps of a
rebuild, in the middle of filling its new collection."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.models import AliasState, Deployment, StepRow, Version
from qdrant_rollouts.core.lifecycle import Place, Status, StepStatus
from qdrant_rollouts.core.ports import VectorStore

STEPS = ("create", "populate", "validate", "catch_up", "switch", "soak")
#: The first deployment was begun this long ago, each other one a second after the one before.
AGE = timedelta(days=1)
MODEL = "sentence-transformers/all-MiniLM-L6-v2"


class ServingStore:
    """A store in which each index of the crowd serves, as ``write_served`` says; for all else it is
    the wrapped one."""

    def __init__(self, store: VectorStore, numbers: Iterable[int]) -> None:
        self._store = store
        self._aliases = {name_alias(number): f"{name_alias(number)}_1" for number in numbers}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def aliases(self) -> dict[str, str]:
        return dict(self._aliases)

    def collections(self) -> list[str]:
        return list(self._aliases.values())


def name_alias(number: int) -> str:
    return f"index-{number:05d}"


def name_deployment(number: int) -> str:
    return f"{number:012x}"


def write_waiting(
    session: Session, now: datetime, numbers: Iterable[int], due_in: timedelta
) -> None:
    """Writes deployments whose last turn has ended a moment ago, and whose next one is due after
    ``due_in``; that is before now if it is negative."""
    told = {"knocked_at": now + min(due_in, timedelta()) - timedelta(seconds=10)}
    _write(session, now, numbers, {**told, "wake_at": now + due_in}, begun=2)


def write_queued(session: Session, now: datetime, numbers: Iterable[int]) -> None:
    """Writes deployments that wait for a place among the rebuilds."""
    rows = {"place": Place.WAITING, "models": [MODEL], "records": 1000}
    _write(session, now, numbers, {**rows, "status": Status.PENDING, "wake_at": now - AGE}, begun=0)


def write_ended(session: Session, now: datetime, count: int, indexes: int) -> None:
    """Writes ``count`` deployments that went live, of the first ``indexes`` indexes in turn."""
    ended = {"status": Status.LIVE, "finished_at": now - AGE, "wake_at": now - AGE}
    numbers = range(count)
    aliases = [name_alias(number % indexes) for number in numbers]
    rows = [
        _deployment(number, now, {**ended, "alias": alias})
        for number, alias in zip(numbers, aliases, strict=True)
    ]
    session.execute(insert(Deployment), rows)
    steps = [row for number in numbers for row in _steps(number, now, len(STEPS) + 1)]
    session.execute(insert(StepRow), steps)


def write_served(session: Session, now: datetime, numbers: Iterable[int]) -> None:
    """Writes what serves each index while its deployment is under way."""
    rows = [(name_alias(number), f"{name_alias(number)}_1") for number in numbers]
    versions = [
        {"collection": blue, "alias": alias, "number": 1, "created_at": now - AGE, "facts": {}}
        for alias, blue in rows
    ]
    session.execute(insert(Version), versions)
    states = [
        {"alias": alias, "desired": blue, "settled": True, "changed_at": now - AGE}
        for alias, blue in rows
    ]
    session.execute(insert(AliasState), states)


def _write(
    session: Session, now: datetime, numbers: Iterable[int], values: dict[str, Any], *, begun: int
) -> None:
    """``begun``: how many steps are done or under way."""
    listed = list(numbers)
    session.execute(insert(Deployment), [_deployment(one, now, values) for one in listed])
    session.execute(insert(StepRow), [row for one in listed for row in _steps(one, now, begun)])


def _deployment(number: int, now: datetime, values: dict[str, Any]) -> dict[str, Any]:
    alias = name_alias(number)
    return {
        "id": name_deployment(number),
        "alias": alias,
        "kind": "rollout",
        "strategy": "blue_green",
        "status": Status.RUNNING,
        "blue": f"{alias}_1",
        "green": f"{alias}_2",
        "source": "jsonl:docs.jsonl",
        "spec": {},
        "actor": "schedule",
        "message": "",
        "number": 2,
        "created_at": now - AGE + timedelta(seconds=number),
        "turn": 7,
        **values,
    }


def _steps(number: int, now: datetime, begun: int) -> Iterator[dict[str, Any]]:
    for position, name in enumerate(STEPS):
        status = StepStatus.PENDING
        if position < begun:
            status = StepStatus.DONE if position < begun - 1 else StepStatus.WAITING
        yield {
            "deployment_id": name_deployment(number),
            "position": position,
            "name": name,
            "queue": "bulk" if name in ("populate", "validate", "catch_up") else "control",
            "status": status,
            "started_at": now - AGE if position < begun else None,
            "finished_at": now - AGE if status == StepStatus.DONE else None,
            "state": {},
            "output": {},
        }
