"""What a world has become, kept for the next test: to copy it takes a tenth of the time of the
deployments that made it."""

import os
import shutil
import tempfile
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, insert, select, text

from qdrant_rollouts.core.database.models import Base, WorksWith
from tests.world import World


class SavedWorlds:
    """What happens in a new world, on each database, happens once; the next worlds become copies of
    the first. ``folder`` has a folder for each kind: the product remembers the paths of the files
    that it has read, so they are the same in each copy."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._saved: dict[tuple[Callable[[World], object], str], SavedWorld] = {}

    def begin(self, world: World, happen: Callable[[World], object]) -> None:
        """Leaves the new ``world`` as ``happen`` leaves it, which uses nothing but the world."""
        key = (happen, world.engine.dialect.name)
        if key in self._saved:
            self._saved[key].copy_into(world)
            return
        world.move(Path(tempfile.mkdtemp(dir=self._folder)))
        happen(world)
        self._saved[key] = SavedWorld(world)


class SavedWorld:
    def __init__(self, world: World) -> None:
        store = world.store
        self._folder = world.folder
        self._files = [
            (path, path.read_bytes(), path.stat().st_mtime_ns) for path in world.folder.iterdir()
        ]
        self._moment = world.clock.moment
        self._waiting = list(world.broker.waiting)
        self._indexes = dict(world.indexes)
        self._aliases = store.aliases()
        self._collections = [
            (
                name,
                store.schema(name),
                store.metadata(name),
                store.scroll(name, None, store.count(name))[0],
            )
            for name in store.collections()
        ]
        with world.engine.begin() as connection:
            self._rows = {
                table: [dict(row) for row in connection.execute(select(table)).mappings()]
                for table in Base.metadata.sorted_tables
                if table is not WorksWith.__table__  # the migration wrote it
            }

    def copy_into(self, world: World) -> None:
        self._write_files()
        world.move(self._folder)
        world.clock.moment = self._moment
        world.broker.waiting = list(self._waiting)
        world.indexes = dict(self._indexes)
        for name, schema, metadata, points in deepcopy(self._collections):
            world.store.create(name, schema, metadata)
            world.store.upsert(name, points)
        for alias, collection in self._aliases.items():
            world.store.point_alias(alias, collection)
        with world.engine.begin() as connection:
            for table, rows in self._rows.items():
                if rows:
                    _write_rows(connection, table, rows)

    def _write_files(self) -> None:
        shutil.rmtree(self._folder)
        self._folder.mkdir()
        for path, content, changed in self._files:
            path.write_bytes(content)
            os.utime(path, ns=(changed, changed))


def _write_rows(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    connection.execute(insert(table), rows)
    counter = table.autoincrement_column
    if counter is not None and connection.dialect.name == "postgresql":
        connection.execute(
            text("SELECT setval(pg_get_serial_sequence(:table, :column), :last)"),
            {
                "table": table.name,
                "column": counter.name,
                "last": max(row[counter.name] for row in rows),
            },
        )
