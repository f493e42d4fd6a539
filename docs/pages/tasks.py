"""Every Celery task: what it takes, which queue it waits in, how often beat sends it."""

from inspect import Parameter, formatannotation, signature

from docs.pages.markdown import joined, table, value
from qdrant_rollouts.beat_schedule import SCHEDULE
from qdrant_rollouts.core.deployments.steps import STEPS
from qdrant_rollouts.tasks.commands import COMMANDS

_HEAD = """# Tasks

`python -m docs.make_reference` makes this page from the tables of `tasks/`.
[Celery](../celery.md) says what the tasks answer, [start a rebuild from an
application](../howto/start-from-application.md) how to send them. Every task except the stages
takes keyword arguments that are JSON.
"""
_STAGES = """## Stages

The engine sends these tasks for the turns of a deployment, backup or verification;
nothing else should send them. The name is only a label for [Flower](../flower.md): the
row in the database decides what is done.
"""
_BEAT = """## What beat sends

Each of these tasks checks the database and may be sent any number of times.
"""


def page() -> str:
    return joined(
        _HEAD,
        "## Commands",
        *(_command(name) for name in COMMANDS),
        _STAGES,
        table(
            ["task", "queue"],
            [[f"`deployments.{step.name}`", f"`{step.queue}`"] for step in STEPS.values()],
        ),
        _BEAT,
        table(["task", "every", "queue"], [_beat(entry) for entry in SCHEDULE.values()]),
    )


def _command(name: str) -> str:
    given = list(signature(COMMANDS[name]).parameters.values())[1:]
    return joined(
        f"### {name}", table(["argument", "type", "default"], [_argument(one) for one in given])
    )


def _argument(one: Parameter) -> list[str]:
    kind = formatannotation(one.annotation).replace("collections.abc.", "").replace("typing.", "")
    default = "required" if one.default is Parameter.empty else value(one.default)
    return [f"`{one.name}`", f"`{kind}`".replace("|", "\\|"), default]


def _beat(entry: dict[str, object]) -> list[str]:
    options = entry["options"]
    assert isinstance(options, dict)
    return [f"`{entry['task']}`", f"{entry['schedule']:g} s", f"`{options['queue']}`"]
