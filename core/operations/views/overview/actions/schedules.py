"""What can be done with a schedule."""

from qdrant_rollouts.core.lifecycle import OPEN_RUNS
from qdrant_rollouts.core.operations.views.overview.actions.operator_action import OperatorAction
from qdrant_rollouts.core.ports.naming import shell_word


def actions_of_schedule(
    alias: str, action: str, status: str, open_run: str | None
) -> list[OperatorAction]:
    command = f"{shell_word(alias)} {action}"
    off = "it is off: the index file names no times for it"
    run = ""
    if open_run in OPEN_RUNS:
        run = f"a run is {open_run} already"
    return [
        OperatorAction(
            "run",
            "Run now",
            f"Has the {action} of {alias} done now.",
            f"rollouts schedule run {command}",
            run,
        ),
        OperatorAction(
            "pause",
            "Pause",
            "Times pass without a run; an open run continues.",
            f"rollouts schedule pause {command}",
            {"off": off, "paused": "it is paused"}.get(status, ""),
        ),
        OperatorAction(
            "resume",
            "Resume",
            "Continues with the next time; times that passed are not made up for.",
            f"rollouts schedule resume {command}",
            "" if status == "paused" else f"it is {status}, not paused",
        ),
    ]
