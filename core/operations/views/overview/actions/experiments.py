"""What can be done with an experiment."""

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.lifecycle import ExperimentEvent, ExperimentStatus, next_experiment_status
from qdrant_rollouts.core.operations.views.overview.actions.operator_action import OperatorAction


def actions_of_experiment(experiment: str, status: str, coverage: int) -> list[OperatorAction]:
    if status == "running" and coverage < 10_000:
        widen = ""
    else:
        widen = f"it is {status} with {coverage / 100:g} % of the users"
    return [
        OperatorAction(
            "start",
            "Start",
            "Splits the searches from now on.",
            f"rollouts experiment start {experiment}",
            _why_not_possible(status, ExperimentEvent.START),
        ),
        OperatorAction(
            "widen",
            "Widen",
            "Lets more users take part; no user changes arm, and this cannot be undone.",
            f"rollouts experiment widen {experiment} --coverage PERCENT",
            widen,
        ),
        OperatorAction(
            "stop",
            "Stop",
            "The control answers all users again; observations are kept.",
            f"rollouts experiment stop {experiment} --reason '…'",
            _why_not_possible(status, ExperimentEvent.STOP),
            grave=True,
        ),
    ]


def _why_not_possible(status: str, event: ExperimentEvent) -> str:
    try:
        next_experiment_status(ExperimentStatus(status), event)
    except Refused as error:
        return str(error)
    return ""
