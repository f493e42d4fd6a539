"""Arguments of tasks are JSON of the declared types, or are refused before anything is read; and
what the release before sends is taken."""

import json
from inspect import signature
from pathlib import Path

import pytest
from celery import Celery

from qdrant_rollouts.adapters.celery_returns import GiveBack
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.services import Standing
from qdrant_rollouts.tasks import commands
from qdrant_rollouts.tasks.factory import create_app

OF = {
    "collections.safe_delete_collection": {"collection_name": "old"},
    "aliases.create_alias": {"alias_name": "docs", "collection_name": "new"},
    "aliases.switch_alias": {"alias_name": "docs", "new_collection": "new"},
    "deployments.deploy_new_version": {"alias_name": "docs"},
    "experiments.create_experiment": {
        "experiment_name": "one",
        "control_collection": "old",
        "treatment_collection": "new",
    },
    "indexes.write_records": {"alias_name": "docs", "records": [{"id": 1, "text": "x"}]},
}


#: Each task that revision 0012 of this program knew, and its arguments: messages of it may still be
#: on their way.
BEFORE = json.loads((Path(__file__).parents[1] / "frozen/tasks_0012.json").read_text())


class Untouched:
    """No server is looked for but to know whether a newer release is about."""

    def __init__(self):
        self.behind = False

    def standing(self):
        return Standing(behind=self.behind)

    def __getattr__(self, name):
        raise AssertionError(f"a server was looked for: {name}")


HOUSE = Untouched()


def untouched():
    return HOUSE


@pytest.fixture
def newer_about(monkeypatch):
    monkeypatch.setattr(HOUSE, "behind", True)


@pytest.fixture(scope="module")
def app():
    with Celery(set_as_current=False) as app:
        commands.register_commands(app, untouched)
        yield app


@pytest.mark.parametrize(
    ("task", "argument", "value"),
    [
        ("collections.safe_delete_collection", "grace_period_minutes", "60"),
        ("collections.safe_delete_collection", "grace_period_minutes", True),
        ("aliases.create_alias", "force", "no"),
        ("aliases.switch_alias", "delete_old", "false"),
        ("deployments.deploy_new_version", "alias_name", None),
        ("deployments.deploy_new_version", "options", "soak"),
        ("deployments.deploy_new_version", "validation_queries", "python"),
        ("experiments.create_experiment", "traffic_split", "half"),
        ("indexes.write_records", "action", "replace"),
        ("indexes.write_records", "records", "text"),
    ],
)
def test_an_argument_of_another_kind_is_refused_by_name_and_value(app, task, argument, value):
    with pytest.raises(Refused, match=f"{argument}: found {value!r}; "):
        app.tasks[task].run(**{**OF[task], argument: value})


@pytest.mark.parametrize("task", sorted(OF))
def test_arguments_of_the_right_kind_reach_the_command(app, task):
    with pytest.raises(AssertionError, match="looked for"):
        app.tasks[task].run(**OF[task])


@pytest.mark.parametrize("task", sorted(OF))
def test_what_only_a_newer_program_may_know_is_left_to_it(app, newer_about, task):
    for unknown in ({"of_the_next_release": 1}, {"reason": {"more": 1}}):
        with pytest.raises(GiveBack) as given:
            app.tasks[task].run(**OF[task], **unknown)
        assert given.value.counted


@pytest.mark.parametrize("task", sorted(OF))
def test_an_argument_that_nobody_knows_is_refused_at_once(app, task):
    with pytest.raises(Refused, match="of_the_next_release"):
        app.tasks[task].run(**OF[task], of_the_next_release=1)


@pytest.fixture(scope="module")
def every_task():
    app = create_app(Settings(_env_file=None))
    yield app.tasks
    app.close()


@pytest.mark.parametrize("task", BEFORE)
def test_a_message_of_the_release_before_is_taken(every_task, task):
    takes = signature(commands.COMMANDS.get(task, every_task[task].run))
    before = [None] * (task in commands.COMMANDS)
    required = dict.fromkeys(BEFORE[task]["required"])
    for given in (required, required | dict.fromkeys(BEFORE[task]["optional"])):
        takes.bind(*before, **given)
