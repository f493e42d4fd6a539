"""What an application asks for by name while the database is away or busy: it is not thrown
away."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from sqlalchemy import create_engine

from qdrant_rollouts.adapters.celery_returns import GiveBack
from qdrant_rollouts.adapters.database import open_read_only, open_sessions
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.errors import Misconfigured, Unavailable
from qdrant_rollouts.tasks.factory import create_app
from qdrant_rollouts.wiring import PerProcess
from tests.world import World, texts

TASK = "deployments.deploy_new_version"


@pytest.fixture
def world(sqlite_url: str, tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, sqlite_url)
    yield made
    made.close()


def build_app(services: Any, sqlite_url: str) -> Celery:
    settings = Settings(_env_file=None, broker_url="memory://", database_url=sqlite_url)
    return create_app(settings, services=PerProcess(services))


def declare(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(3)))


def ask(app: Celery) -> Any:
    return app.tasks[TASK](alias_name="docs")


def test_a_request_that_meets_a_database_that_somebody_else_writes_to_goes_back_to_its_queue(
    world: World, sqlite_url: str
) -> None:
    declare(world)
    app = build_app(lambda: world.services, sqlite_url)
    somebody = create_engine(sqlite_url, isolation_level="AUTOCOMMIT")
    with somebody.connect() as writing:
        writing.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(GiveBack, match="is busy: another process writes") as raised:
            ask(app)
        writing.exec_driver_sql("ROLLBACK")
    somebody.dispose()
    assert (
        raised.value.counted
    )  # so it is refused in words after an hour, and the worker takes other messages
    assert ask(app)["alias"] == "docs"


def test_so_does_one_that_finds_no_database_when_its_worker_begins(
    world: World, sqlite_url: str
) -> None:
    declare(world)
    found = iter([Unavailable("the database at db:5432 did not answer; is it running?")])

    def services() -> Any:
        for away in found:
            raise away
        return world.services

    app = build_app(services, sqlite_url)
    with pytest.raises(GiveBack, match="db:5432 did not answer") as raised:
        ask(app)
    assert raised.value.counted
    assert ask(app)["alias"] == "docs"


def test_one_that_meets_a_setting_that_is_wrong_fails_in_words(
    world: World, sqlite_url: str
) -> None:
    """Waiting would not mend it."""
    declare(world)
    read_only = dataclasses.replace(
        world.services, sessions=open_sessions(open_read_only(sqlite_url))
    )
    app = build_app(lambda: read_only, sqlite_url)
    with pytest.raises(Misconfigured, match="may only be read"):
        ask(app)
    read_only.engine.dispose()
