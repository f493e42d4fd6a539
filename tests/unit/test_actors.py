"""Every change records its actor and may record a reason: at the command line, in a message, in
Python."""

import ast
import inspect
from pathlib import Path

import click
import pytest

from qdrant_rollouts.core.alerts import deliveries
from qdrant_rollouts.core.collections.deletion import garbage_collection as collecting
from qdrant_rollouts.core.collections.deletion import retention_policy as keeping
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.deployments.backups import commands as backups
from qdrant_rollouts.core.deployments.commands import adoption, rebuilding
from qdrant_rollouts.core.experiments import commands as trials
from qdrant_rollouts.core.operations.schedules import commands as schedules
from qdrant_rollouts.interfaces.cli import main
from qdrant_rollouts.tasks.commands import COMMANDS

ROOT = Path(__file__).parents[2]
MODULES = (adoption, backups, collecting, commands, deliveries, keeping.keep_collection, rebuilding, schedules, trials)
#: Verbs whose module function asks who it is, by the name it is called with.
ASKING = {
    f"{path.stem}.{node.name}"
    for path in (ROOT / "interfaces" / "cli").glob("*.py")
    for node in ast.parse(path.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef)
    and any(isinstance(call, ast.Call) and ast.unparse(call) == "actor()" for call in ast.walk(node))
}


def verbs(group=main, path=()):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from verbs(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def target(command):
    """``module.function``, as the verb's own code names it."""
    code = command.callback.__code__
    return next((text for text in code.co_consts if isinstance(text, str) and text in ASKING), None)


def test_the_verbs_that_ask_who_it_is_are_found():
    assert {
        "collecting.collect_garbage",
        "versioning.adopt_alias",
        "experimenting.start_experiment",
        "deploying.deploy_index",
    } <= ASKING


@pytest.mark.parametrize(
    "verb", [name for name, command in verbs() if target(command)], ids=lambda name: name.replace(" ", "-")
)
def test_a_verb_that_changes_something_takes_a_reason(verb):
    command = dict(verbs())[verb]
    assert "reason" in {parameter.name for parameter in command.params}


def functions(module):
    if inspect.isfunction(module):
        return [module]
    return [one for name, one in vars(module).items() if inspect.isfunction(one) and not name.startswith("_")]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_what_takes_an_actor_takes_a_reason(module):
    taking = [one for one in functions(module) if "actor" in inspect.signature(one).parameters]
    assert taking
    without = {
        f"{one.__module__}.{one.__name__}" for one in taking if "reason" not in inspect.signature(one).parameters
    }
    assert without == set()


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_task_that_takes_an_actor_takes_a_reason(name):
    takes = inspect.signature(COMMANDS[name]).parameters
    assert ("actor" in takes) == ("reason" in takes)
