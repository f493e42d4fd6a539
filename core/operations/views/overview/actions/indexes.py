"""What can be done with an index: deploy it, and go back."""

from collections.abc import Mapping
from typing import Any

from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.deployments.plan import Plan
from qdrant_rollouts.core.deployments.strategies import STRATEGIES
from qdrant_rollouts.core.operations.views.overview.actions.operator_action import OperatorAction
from qdrant_rollouts.core.operations.views.overview.step_labels import label_step
from qdrant_rollouts.core.ports.naming import shell_word


def actions_of_index(
    alias: str, busy: str, declared: IndexSpec | None, back: Mapping[str, Any]
) -> list[OperatorAction]:
    """``busy``: what is running on the index, in words; ``back``: what a rollback needs and does,
    as ``fallback.describe_way_back`` says it."""
    source = declared.source if declared else None
    unbuildable = ""
    if not source:
        unbuildable = f"{alias} has no source in the index file; `rollouts deploy` can name one"
    return [
        OperatorAction(
            "deploy",
            "Deploy",
            f"Builds a new version from {source or 'its source'}, and "
            f"{_describe_move(alias, declared)}.",
            f"rollouts deploy {shell_word(alias)}",
            busy or unbuildable,
            steps=_name_planned_steps(declared) if declared else (),
        ),
        OperatorAction(
            "rollback",
            "Roll back",
            f"Moves {alias} back to {back['target'] or 'the version before'}, after checking it; "
            "nothing is rebuilt.",
            f"rollouts rollback --reason '…' {shell_word(alias)}",
            _name_missing(back),
            grave=True,
        ),
        *_rollbacks_at_once(alias, back),
    ]


def _name_missing(back: Mapping[str, Any], option: str = "") -> str:
    """Returns what a rollback lacks, with an option of the command or without."""
    return "; ".join(
        one["said"]
        for one in back["conditions"]
        if one["state"] == "no" and not (option and one.get("unless") == option)
    )


def _rollbacks_at_once(alias: str, back: Mapping[str, Any]) -> list[OperatorAction]:
    if not back["brings_back"]:
        return []
    return [
        OperatorAction(
            "rollback_now",
            "Roll back at once",
            f"Moves {alias} back and waits for nothing; what was written since stays behind, and "
            "is listed.",
            f"rollouts rollback --now --reason '…' {shell_word(alias)}",
            _name_missing(back, "now"),
            grave=True,
        )
    ]


def _describe_move(alias: str, spec: IndexSpec | None) -> str:
    plan = _plan_declared(spec) if spec else ()
    if plan and not any(step.traits.moves_alias for step in plan):
        return f"leaves {alias} where it is"
    return f"moves {alias} to it when its gate has passed"


def _name_planned_steps(spec: IndexSpec) -> list[str]:
    return [label_step(step.name, step.arguments) for step in _plan_declared(spec)]


def _plan_declared(spec: IndexSpec) -> Plan:
    """Empty for an unknown strategy: the deployment would be refused."""
    strategy = STRATEGIES.get(spec.strategy)
    return strategy(spec) if strategy else ()
