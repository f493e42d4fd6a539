"""The database says which programs still work on it, and each program keeps to that."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from qdrant_rollouts import migrations
from qdrant_rollouts.adapters.database import open_engine
from qdrant_rollouts.adapters.migrate import (
    describe_missing_tables,
    migrate_database,
    plan_migration,
    prepare,
)
from qdrant_rollouts.adapters.releases import Found, find, judge, look
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.deployments import engine as turns
from qdrant_rollouts.core.errors import OtherRelease
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.services import Standing
from qdrant_rollouts.wiring import build_read_only, build_services
from tests.contract.test_versions_migration import moved
from tests.world import World, texts

#: The first whose programs ask the database.
ASKING = "0013"
FILES = sorted((Path(migrations.__file__).parent / "versions").glob("[0-9]*.py"))
NEXT = "9001"
DECLARED = {
    file.stem[:4]: import_module(f"migrations.versions.{file.stem}").oldest_program
    for file in FILES
    if file.stem[:4] >= ASKING
}


def left_by_the_next_release(engine, oldest):
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE alembic_version SET version_num = '{NEXT}'"))  # noqa: S608 - our own
        connection.execute(
            text("UPDATE works_with SET oldest_program = :oldest"), {"oldest": oldest}
        )


@pytest.fixture
def engine(ready_url):
    opened = open_engine(ready_url)
    yield opened
    opened.dispose()


# --- the rule -------------------------------------------------------------------------------------


def test_every_migration_says_which_programs_still_work():
    """Without it ``env.py`` writes that none does, and the next upgrade stops every older
    worker."""
    assert DECLARED
    revisions = [file.stem[:4] for file in FILES]
    for revision, oldest in DECLARED.items():
        assert oldest in revisions, f"{revision}: {oldest} is no revision"
        assert ASKING <= oldest <= revision, f"{revision} works with programs of {oldest}"
    assert list(DECLARED.values()) == sorted(DECLARED.values()), (
        "what a program cannot do without stays away"
    )
    assert revisions[-1] == migrations.HEAD
    assert migrations.OLDEST in DECLARED


@pytest.mark.parametrize(
    ("revision", "oldest_program", "fits", "behind"),
    [
        (None, None, True, False),
        ("0019", None, False, False),
        ("0020", None, True, False),
        ("0021", None, True, False),
        ("0022", None, True, False),
        ("0023", "0022", True, True),
        ("0023", "0020", True, True),
        ("0023", "0023", False, True),
        ("0023", None, False, True),
        ("0024", "0022", True, True),
    ],
)
def test_a_program_of_0022_that_needs_0020_works_on(revision, oldest_program, fits, behind):
    standing = judge(Found(revision, oldest_program), "0022", "0020")
    assert (not standing.unfit, standing.behind) == (fits, behind)
    if not fits:
        assert str(revision) in standing.unfit
        assert ("update the program" if behind else "`rollouts migrate`") in standing.unfit


# --- the database ---------------------------------------------------------------------------------


def test_a_migration_leaves_what_it_declares_and_so_does_the_way_back(engine):
    with engine.connect() as connection:
        assert (
            connection.scalar(text("SELECT oldest_program FROM works_with"))
            == DECLARED[migrations.HEAD]
        )
    moved(engine, "0012")
    with engine.connect() as connection:
        assert find(connection) == Found("0012")
    migrate_database(engine)
    with engine.connect() as connection:
        assert connection.scalars(text("SELECT oldest_program FROM works_with")).all() == [
            DECLARED[migrations.HEAD]
        ]


def test_a_database_that_a_newer_release_has_grown_is_worked_on_and_left_alone(engine, tmp_path):
    left_by_the_next_release(engine, migrations.HEAD)
    assert look(engine) == Standing(behind=True)
    prepare(engine)
    assert describe_missing_tables(engine) == ""
    assert migrate_database(engine) == plan_migration(engine)
    assert migrate_database(engine).changed is False
    with engine.connect() as connection:
        assert find(connection) == Found(NEXT, migrations.HEAD)


def test_a_database_that_a_newer_release_has_shrunk_is_refused_and_left_alone(engine):
    left_by_the_next_release(engine, NEXT)
    for use in (prepare, describe_missing_tables, migrate_database, plan_migration):
        with pytest.raises(
            OtherRelease, match=rf"{NEXT}, newer .* from revision {NEXT} on: update the program"
        ):
            use(engine)
    with engine.connect() as connection:
        assert find(connection) == Found(NEXT, NEXT)


def test_nobody_but_migrate_changes_a_postgresql_that_has_tables(ready_postgres_url, monkeypatch):
    engine = open_engine(ready_postgres_url)
    moved(engine, "0012")
    settings = Settings(_env_file=None, database_url=ready_postgres_url)
    for use in (build_services, build_read_only):
        with pytest.raises(OtherRelease, match=r"0012, older than .*`rollouts migrate`"):
            use(settings)
    with engine.connect() as connection:
        assert find(connection) == Found("0012")
    assert (plan_migration(engine).before, plan_migration(engine).after) == (
        "0012",
        migrations.HEAD,
    )
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: migrate_database(engine), range(4)))
    assert sorted(one.changed for one in done) == [False, False, False, True]
    build_services(settings).engine.dispose()
    engine.dispose()


def test_an_empty_database_gets_its_tables_from_whoever_comes_first(database_url):
    services = build_services(Settings(_env_file=None, database_url=database_url))
    with services.sessions() as session:
        assert find(session.connection()) == Found(migrations.HEAD)
    services.engine.dispose()


# --- a turn ---------------------------------------------------------------------------------------


class Failing:
    """A store whose every look fails as a statement does whose column is gone."""

    def __init__(self, store):
        self._store = store

    def __getattr__(self, name):
        def fail(*_, **__):
            raise ProgrammingError("SELECT gone", {}, Exception("column gone does not exist"))

        found = getattr(self._store, name)
        return fail if callable(found) and name != "close" else found


@pytest.fixture
def world(tmp_path, ready_url):
    made = World(tmp_path, ready_url)
    made.services = replace(made.services, standing=lambda: look(made.engine))
    made.declare("docs", source=made.write("docs.jsonl", texts(20)))
    yield made
    made.close()


@pytest.mark.parametrize(
    ("oldest", "status"), [(NEXT, "running"), (migrations.HEAD, "rolling_back")]
)
def test_a_step_that_fails_on_tables_of_another_release_is_not_rolled_back(world, oldest, status):
    deployment = world.deploy("docs")
    world.run(until=world.at(deployment, "validate"))
    left_by_the_next_release(world.engine, oldest)
    world.over(Failing(world.store))
    world.turn(world.broker.take_next())
    assert world.status(deployment)["status"] == status
    assert (f"is at revision {NEXT}, newer" in world.step(deployment, "validate")["message"]) == (
        oldest == NEXT
    )


UNKNOWN = {
    "status": "UPDATE deployments SET status = 'polishing' WHERE alias = 'docs'",
    "step": "UPDATE steps SET name = 'polish' WHERE name = 'validate' AND deployment_id = :id",
    "state of a step": "UPDATE steps SET status = 'resting' WHERE name = 'validate' AND "
    "deployment_id = :id",
    "wish": "UPDATE deployments SET requested = 'hurry', requested_by = 'anna' WHERE alias = "
    "'docs'",
    "spec": "UPDATE deployments SET spec = '{\"soak\": \"long\"}' WHERE alias = 'docs'",
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_a_newer_release_has_planned_is_left_to_it(world, what):
    deployment = world.deploy("docs")
    world.run(until=world.at(deployment, "validate"))
    with world.engine.begin() as connection:
        statement = text(UNKNOWN[what])
        connection.execute(
            statement.bindparams(id=deployment) if ":id" in str(statement) else statement
        )
    knock = world.broker.take_next()
    before = rows(world)
    written = world.turn(knock)
    assert written.foreign
    assert written.line.startswith("left to a newer program: ")
    assert rows(world) == before
    world.clock.move(60)
    assert [one.deployment_id for one in turns.knock_overdue_turns(world.services)] == [
        deployment
    ] * (what != "status")


def test_a_step_that_is_not_known_stops_nothing_before_it(world):
    deployment = world.deploy("docs")
    world.run(until=world.at(deployment, "validate"))
    with world.engine.begin() as connection:
        connection.execute(text("UPDATE steps SET name = 'polish' WHERE name = 'soak'"))
    while not (written := world.turn(world.broker.take_next())).foreign:
        pass
    assert "step polish" in written.line
    assert world.step(deployment, "switch")["status"] == "done"
    turns.store_request(
        world.services, deployment, Event.ABORT, "anna", "the way back to this release"
    )
    world.run()
    assert world.status(deployment)["status"] == "rolled_back"


def test_a_deployment_of_a_newer_release_holds_up_no_other(world):
    world.declare("other", source="jsonl:docs.jsonl")
    paused = world.deploy("docs")
    other = world.deploy("other")
    with world.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE steps SET name = 'polish', started_at = CURRENT_TIMESTAMP WHERE position = "
                "0"
                " AND deployment_id = :id"
            ).bindparams(id=paused)
        )
        connection.execute(
            text("UPDATE deployments SET status = 'paused' WHERE id = :id").bindparams(id=paused)
        )
    world.run()
    assert world.status(other)["status"] == "live"
    assert world.status(paused)["status"] == "paused"


def rows(world):
    with world.engine.connect() as connection:
        tables = ("deployments", "steps", "events")
        return [connection.execute(text(f"SELECT * FROM {table}")).all() for table in tables]  # noqa: S608 - our own
