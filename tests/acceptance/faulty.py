"""``celery -A tests.acceptance.faulty``: the product with a store, a shelf and a messenger that
react to traps.

Nothing is patched: this is a second composition root, which gives the engine the real objects in
wrappers. ``ROLLOUTS_TEST_TRAPS`` is the folder of the traps. ``ROLLOUTS_TEST_TIMES`` can hold other
times for the engine, as JSON. ``ROLLOUTS_TEST_BEAT`` can hold the seconds between beat's ticks, and
``ROLLOUTS_TEST_WALL`` the seconds by which this process's clock is ahead. A file ``clock`` in the
working folder can hold the seconds by which the database's clock is moved.
"""

import json
import os
import re
import time
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from qdrant_rollouts.adapters.celery import INTERRUPTIONS, CeleryKnocker
from qdrant_rollouts.adapters.sources import open_source
from qdrant_rollouts.core.config.settings import load_settings
from qdrant_rollouts.core.ports import Clock, Knock, Knocker, Shelf, VectorStore
from qdrant_rollouts.core.services import Services, Times
from qdrant_rollouts.tasks.factory import create_app
from qdrant_rollouts.wiring import PerProcess, build_services, source_roots
from tests.acceptance.traps import LOSE, Traps

_COLLECTION = re.compile(r"(.+)_\d{8}_\d{6}(_\d+)?")
_CHANGES = {"create", "upsert", "point_alias", "drop_alias", "drop"}


class TrappedStore:
    """The store, with a trap before and after every call about an alias or one of its collections;
    each change that Qdrant has acknowledged is recorded in a journal."""

    def __init__(self, store: VectorStore, traps: Traps, journal: Path) -> None:
        self._store = store
        self._traps = traps
        self._journal = journal

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return partial(self._call, name, found) if callable(found) else found

    def _call(self, name: str, method: Any, *arguments: Any, **named: Any) -> Any:
        alias = _alias(arguments[0]) if arguments else ""
        self._traps.step_on(alias, f"{name}.before")
        answer = method(*arguments, **named)
        if name in _CHANGES:
            self._enter(name, alias, arguments)
        self._traps.step_on(alias, f"{name}.after")
        return answer

    def _enter(self, name: str, alias: str, arguments: tuple[Any, ...]) -> None:
        points = len(arguments[1]) if name == "upsert" else 0
        entry = {
            "at": time.time(),
            "pid": os.getpid(),
            "call": name,
            "alias": alias,
            "points": points,
        }
        with self._journal.open("a") as journal:
            journal.write(json.dumps(entry) + "\n")


class TrappedShelf:
    """The shelf, with a trap before and after every call that names a backup."""

    def __init__(self, shelf: Shelf, traps: Traps) -> None:
        self._shelf = shelf
        self._traps = traps

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._shelf, name)
        return partial(self._call, name, found) if name in ("write", "seal") else found

    def _call(self, name: str, method: Any, backup: str, told: str, *arguments: Any) -> None:
        alias = (
            json.loads(told)["alias"]
            if name == "seal"
            else _alias(re.sub(r"-\d+-[-\d]+\.snapshot", "", told))
        )
        self._traps.step_on(alias, f"{name}.before")
        method(backup, told, *arguments)
        self._traps.step_on(alias, f"{name}.after")


class TrappedKnock:
    """The messenger, with a trap between the commit and the message and one after the message."""

    def __init__(self, knock: Knocker, traps: Traps) -> None:
        self._knock = knock
        self._traps = traps

    def __call__(self, knock: Knock) -> None:
        alias = knock.label.split(" turn ")[0]
        if self._traps.step_on(alias, f"knock-{knock.step}.before", knock.turn) == LOSE:
            return
        copies = self._traps.copies(alias)
        for _ in range(copies):
            self._knock(replace(knock, again=False) if copies > 1 else knock)
        self._traps.step_on(alias, f"knock-{knock.step}.after", knock.turn)


class MovedClock:
    def __init__(self, clock: Clock, file: Path) -> None:
        self._clock = clock
        self._file = file

    def now(self, session: Session) -> datetime:
        return self._clock.now(session) + self._moved()

    def stamp(self, connection: Connection) -> Any:
        return self._clock.stamp(connection) + self._moved()

    def _moved(self) -> timedelta:
        return timedelta(seconds=float(self._file.read_text()) if self._file.exists() else 0.0)


def _alias(name: str) -> str:
    made = _COLLECTION.fullmatch(name)
    return made[1] if made else name


def _services() -> Services:
    built = build_services(settings, CeleryKnocker(app), Times(**times), INTERRUPTIONS)
    traps = Traps(Path(os.environ["ROLLOUTS_TEST_TRAPS"]))
    store = TrappedStore(built.store, traps, Path.cwd() / "journal")
    source = partial(open_source, roots=source_roots(settings), store=store, shelf=built.shelf)
    clock = MovedClock(built.clock, Path.cwd() / "clock")
    knock = TrappedKnock(built.knock, traps)
    shelf = TrappedShelf(built.shelf, traps)
    return replace(built, store=store, source=source, clock=clock, knock=knock, shelf=shelf)


settings = load_settings()
times = json.loads(os.environ.get("ROLLOUTS_TEST_TIMES", "{}"))
ahead = float(os.environ.get("ROLLOUTS_TEST_WALL", "0"))
app = create_app(settings, services=PerProcess(_services), wall=lambda: time.time() + ahead)
if tick := os.environ.get("ROLLOUTS_TEST_BEAT"):
    ticks = {
        name: {**entry, "schedule": float(tick)} for name, entry in app.conf.beat_schedule.items()
    }
    app.conf.update(beat_schedule=ticks)
