"""Each command of the table, sent by one message that comes twice: what the message began is all
there is, and its answer names it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from sqlalchemy import select

from qdrant_rollouts.core.collections.deletion import retention_policy
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.database.models import Base, Deployment
from qdrant_rollouts.core.deployments import commands as deployments
from qdrant_rollouts.core.experiments import commands as experiments
from qdrant_rollouts.core.lifecycle import MOVING, Event
from qdrant_rollouts.tasks.commands import COMMANDS
from qdrant_rollouts.tasks.factory import create_app
from qdrant_rollouts.wiring import PerProcess
from tests.saved_worlds import SavedWorlds
from tests.world import World, texts

Arguments = dict[str, Any]

STAGES = [{"percentage": share, "duration_minutes": 1} for share in (5, 20, 50, 100)]
#: Tested elsewhere: backups need a server (``tests/integration/test_backups.py``), and a record
#: that is written twice is the same record (``tests/integration/test_records.py``).
ELSEWHERE = {"backups.create", "backups.verify", "backups.restore", "indexes.write_records"}


def build_versions_and_canary(world: World) -> None:
    """``docs`` has had three versions; a canary of ``shop`` waits for a person, and would after
    each stage."""
    for alias in ("docs", "shop"):
        world.declare(
            alias, source=world.write(f"{alias}.jsonl", texts(3)), canary={"stages": STAGES}
        )
        world.deploy(alias)
        rest(world)
    for _ in range(2):
        world.deploy("docs")
        rest(world)
    world.deploy("shop", strategy="canary")
    rest(world)


def rest(world: World) -> None:
    """Runs until every deployment has ended, or waits for a person."""

    def rests() -> bool:
        moving = select(Deployment.id).where(
            Deployment.status.in_(MOVING) | Deployment.requested.is_not(None)
        )
        with world.services.sessions() as session:
            return session.scalars(moving.limit(1)).first() is None

    world.run(until=rests)


@pytest.fixture
def world(tmp_path: Path, ready_sqlite_url: str, saved_worlds: SavedWorlds) -> Iterator[World]:
    made = World(tmp_path, ready_sqlite_url)
    saved_worlds.begin(made, build_versions_and_canary)
    yield made
    made.close()


@pytest.fixture
def app(world: World, ready_sqlite_url: str) -> Celery:
    settings = Settings(_env_file=None, broker_url="memory://", database_url=ready_sqlite_url)
    return create_app(settings, services=PerProcess(lambda: world.services))


def name_docs(world: World) -> Arguments:
    return {"alias_name": "docs"}


def change_docs(world: World) -> Arguments:
    world.write("docs.jsonl", texts(4))
    return {"alias_name": "docs"}


def name_canary(world: World) -> Arguments:
    [canary] = [row["id"] for row in read_rows(world)["deployments"] if row["strategy"] == "canary"]
    return {"deployment_id": canary}


def begin_deployment(world: World) -> Arguments:
    return {"deployment_id": world.deploy("docs")}


def pause_deployment(world: World) -> Arguments:
    begun = begin_deployment(world)
    deployments.request_action(world.services, **begun, event=Event.PAUSE, actor="anna")
    rest(world)
    return begun


def describe_experiment(world: World) -> Arguments:
    found = world.store.aliases()
    return {
        "experiment_name": "colours",
        "control_collection": found["docs"],
        "treatment_collection": find_version(world, 2),
        "start": False,
    }


def draft_experiment(world: World) -> Arguments:
    made = experiments.create_experiment(
        world.services,
        "colours",
        world.store.aliases()["docs"],
        [find_version(world, 2)],
        options={"coverage": 1000},
        start=False,
        actor="anna",
    )
    return {"experiment_id": made}


def start_experiment(world: World) -> Arguments:
    drafted = draft_experiment(world)
    experiments.start_experiment(world.services, drafted["experiment_id"], actor="anna")
    return drafted


def widen_experiment(world: World) -> Arguments:
    return {**start_experiment(world), "coverage": 2000}


def free_old_version(world: World) -> Arguments:
    return {"collection_name": find_version(world, 1)}


def mark_version(world: World) -> Arguments:
    return {"alias_name": "docs", "version": "1", "reason": "wrong prices"}


def name_new_alias(world: World) -> Arguments:
    return {"alias_name": "more", "collection_name": find_version(world, 2)}


def name_older_version(world: World) -> Arguments:
    return {"alias_name": "docs", "new_collection": find_version(world, 2)}


BEGINS: dict[str, Callable[[World], Arguments]] = {
    "deployments.deploy_new_version": name_docs,
    "deployments.start_canary": name_docs,
    "deployments.rollback": name_docs,
    "indexes.rebuild": change_docs,
    "deployments.promote": name_canary,
    "deployments.retry": name_canary,
    "deployments.resume": pause_deployment,
    "deployments.abort": name_canary,
    "deployments.pause": begin_deployment,
    "experiments.create_experiment": describe_experiment,
    "experiments.start_experiment": draft_experiment,
    "experiments.stop_experiment": start_experiment,
    "experiments.widen_experiment": widen_experiment,
    "collections.safe_delete_collection": free_old_version,
}
#: They say how something is to be: the second time it is so, and only the record grows.
SETTLES: dict[str, Callable[[World], Arguments]] = {
    "versions.mark": mark_version,
    "aliases.create_alias": name_new_alias,
    "aliases.switch_alias": name_older_version,
    "aliases.delete_alias": name_docs,
    "experiments.analyze_experiment": start_experiment,
}


def find_version(world: World, number: int) -> str:
    [found] = [
        row["collection"]
        for row in read_rows(world)["versions"]
        if (row["alias"], row["number"]) == ("docs", number)
    ]
    return str(found)


def read_rows(world: World) -> dict[str, list[dict[str, Any]]]:
    with world.engine.connect() as connection:
        return {
            table.name: [dict(row) for row in connection.execute(select(table)).mappings()]
            for table in Base.metadata.sorted_tables
        }


def send(app: Celery, name: str, arguments: Arguments) -> Any:
    return app.tasks[name].apply(kwargs=arguments, task_id="message").get()


def read_id(answer: Any) -> Any:
    return answer.get("deployment_id") or answer.get("experiment_id")


def test_each_command_of_the_table_is_tried_here_or_where_it_says() -> None:
    assert {*BEGINS, *SETTLES, *ELSEWHERE} == set(COMMANDS)


@pytest.mark.parametrize("name", BEGINS)
def test_a_command_whose_message_comes_twice_begins_one_thing(
    world: World, app: Celery, name: str
) -> None:
    arguments = BEGINS[name](world)
    before = read_rows(world)
    first = send(app, name, arguments)
    rest(world)
    begun = read_rows(world)
    assert begun != before

    second = send(app, name, arguments)
    rest(world)

    assert read_rows(world) == begun
    assert read_id(second) == read_id(first)


def test_another_command_under_the_same_id_is_not_taken_for_the_first(
    world: World, app: Celery
) -> None:
    deploy = "deployments.deploy_new_version"
    first = send(app, deploy, BEGINS[deploy](world))
    rest(world)
    other = send(app, "deployments.rollback", name_docs(world))
    assert read_id(other) != read_id(first)
    assert world.status(read_id(other))["strategy"] == "rollback"


@pytest.mark.parametrize("name", SETTLES)
def test_what_only_says_how_something_is_to_be_is_so_the_second_time(
    world: World, app: Celery, name: str
) -> None:
    arguments = SETTLES[name](world)
    send(app, name, arguments)
    settled = {**read_rows(world), "events": []}
    aliases = world.store.aliases()

    send(app, name, arguments)

    assert {**read_rows(world), "events": []} == settled
    assert world.store.aliases() == aliases


def test_a_deletion_that_a_person_has_stopped_is_not_scheduled_again_by_the_same_message(
    world: World, app: Celery
) -> None:
    arguments = free_old_version(world)
    assert send(app, "collections.safe_delete_collection", arguments)["scheduled"]
    retention_policy.keep_collection(
        world.services, arguments["collection_name"], actor="anna", reason="needed"
    )

    again = send(app, "collections.safe_delete_collection", arguments)

    assert (again["scheduled"], again["reason"]) == (
        False,
        f"the deletion of {arguments['collection_name']} was scheduled before, and is kept",
    )


def test_a_message_that_two_workers_have_at_once_answers_both_with_the_same(
    world: World, app: Celery
) -> None:
    answers: list[Any] = []

    def read_indexes() -> dict[str, IndexSpec]:
        if not answers:
            answers.append(None)
            answers[0] = send(app, "deployments.deploy_new_version", name_docs(world))
        return world.indexes

    world.change_services(indexes=read_indexes)
    own = send(app, "deployments.deploy_new_version", name_docs(world))
    assert own == answers[0]
