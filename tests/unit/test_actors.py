"""Every change records its actor and may record a reason: at the command line, in a message, in
Python."""

import ast
import inspect
import sys

import pytest

from qdrant_rollouts.core.alerts import deliveries
from qdrant_rollouts.core.collections.deletion import garbage_collection, retention_policy
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.deployments.backups import commands as backup_commands
from qdrant_rollouts.core.deployments.commands import adoption, rebuilding
from qdrant_rollouts.core.experiments import commands as experiment_commands
from qdrant_rollouts.core.operations.schedules import commands as schedule_commands
from qdrant_rollouts.interfaces.cli import main
from qdrant_rollouts.interfaces.cli.groups import walk_verbs
from qdrant_rollouts.tasks.commands import COMMANDS

MODULES = (
    adoption,
    backup_commands,
    garbage_collection,
    commands,
    deliveries,
    retention_policy.keep_collection,
    rebuilding,
    schedule_commands,
    experiment_commands,
)
#: Every verb of the command line.
VERBS = dict(walk_verbs(main, "rollouts"))


def asks_who_it_is(command):
    body = ast.parse(inspect.getsource(sys.modules[command.callback.__wrapped__.__module__]))
    return any(
        isinstance(call, ast.Call) and ast.unparse(call) == "actor()" for call in ast.walk(body)
    )


def test_the_verbs_that_ask_who_it_is_are_found():
    asking = {
        name.removeprefix("rollouts ") for name, command in VERBS.items() if asks_who_it_is(command)
    }
    assert {
        "gc",
        "adopt",
        "experiment start",
        "deploy",
        "alias switch",
        "token create",
        "schedule pause",
    } <= asking
    assert asking & {"list", "status", "versions", "experiment plan"} == set()


@pytest.mark.parametrize("verb", VERBS, ids=lambda name: name.replace(" ", "-"))
def test_a_verb_that_changes_something_takes_a_reason(verb):
    command = VERBS[verb]
    parameters = {parameter.name for parameter in command.params}
    body = command.callback.__wrapped__
    requests = "send_request(" in inspect.getsource(body)
    assert "reason" in parameters or not (asks_who_it_is(command) or requests)


def functions(module):
    if inspect.isfunction(module):
        return [module]
    return [
        one
        for name, one in vars(module).items()
        if inspect.isfunction(one) and not name.startswith("_")
    ]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_what_takes_an_actor_takes_a_reason(module):
    taking = [one for one in functions(module) if "actor" in inspect.signature(one).parameters]
    assert taking
    without = {
        f"{one.__module__}.{one.__name__}"
        for one in taking
        if "reason" not in inspect.signature(one).parameters
    }
    assert without == set()


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_task_that_takes_an_actor_takes_a_reason(name):
    takes = inspect.signature(COMMANDS[name]).parameters
    assert ("actor" in takes) == ("reason" in takes)
