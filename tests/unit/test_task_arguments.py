"""Arguments of tasks are JSON, of the kinds that are written down, or refused before anything is looked at."""

import pytest
from celery import Celery

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.tasks import commands

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
}


def untouched():
    raise AssertionError("a server was looked for")


@pytest.fixture(scope="module")
def app():
    with Celery(set_as_current=False) as app:
        commands.register(app, untouched)
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
    ],
)
def test_an_argument_of_another_kind_is_refused_by_name_and_value(app, task, argument, value):
    with pytest.raises(Refused, match=f"{argument}: found {value!r}; "):
        app.tasks[task].run(**{**OF[task], argument: value})


@pytest.mark.parametrize("task", sorted(OF))
def test_arguments_of_the_right_kind_reach_the_command(app, task):
    with pytest.raises(AssertionError, match="looked for"):
        app.tasks[task].run(**OF[task])
