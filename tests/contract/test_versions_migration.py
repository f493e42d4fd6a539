"""Versions that were written down before anything but their names was known of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, text

from qdrant_rollouts import migrations
from qdrant_rollouts.adapters.database import open_engine
from qdrant_rollouts.adapters.migrate import migrate_database
from qdrant_rollouts.adapters.releases import find

BEFORE = "0004"
DEPLOYMENT = (
    "INSERT INTO deployments (id, alias, strategy, status, green, spec, actor, message, number, "
    "created_at, turn, "
    "wake_at, knocks) VALUES ('d', 'docs', 'blue_green', 'live', 'docs_1', '{}', 'anna', '', 1, "
    "'2026-11-02 02:00:00', 9, '2026-11-02 02:00:00', 0)"
)
VERSION = (
    "INSERT INTO versions (collection, alias, number, deployment_id, created_at) "
    "VALUES ('docs_1', 'docs', 1, 'd', '2026-11-02 02:00:00')"
)
ADOPTED = (
    "INSERT INTO versions (collection, alias, number, created_at) VALUES ('a', 'docs', 2, "
    "'2026-11-03 02:00:00')"
)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A database as the release before left it, with one version."""
    opened = open_engine(database_url)
    moved(opened, BEFORE)
    with opened.begin() as connection:
        connection.execute(text(DEPLOYMENT))
        connection.execute(text(VERSION))
    yield opened
    opened.dispose()


def moved(engine: Engine, to: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        before = find(connection).revision
        (command.upgrade if before is None or before < to else command.downgrade)(config, to)


def rows(engine: Engine, columns: str) -> list[tuple[object, ...]]:
    with engine.begin() as connection:
        found = connection.execute(text(f"SELECT {columns} FROM versions ORDER BY number"))  # noqa: S608 - our own
        return [tuple(row) for row in found]


def test_a_version_of_before_keeps_its_row_and_nothing_is_known_of_it_besides(
    engine: Engine,
) -> None:
    migrate_database(engine)
    ((collection, deployment, facts),) = rows(engine, "collection, deployment_id, facts")
    assert (collection, deployment) == ("docs_1", "d")
    assert facts in ({}, "{}")


def test_the_way_back_forgets_what_was_adopted_and_keeps_the_rest(engine: Engine) -> None:
    migrate_database(engine)
    with engine.begin() as connection:
        connection.execute(text(ADOPTED))
    moved(engine, BEFORE)
    assert rows(engine, "collection, deployment_id") == [("docs_1", "d")]
    migrate_database(engine)
    assert rows(engine, "collection, deployment_id") == [("docs_1", "d")]
