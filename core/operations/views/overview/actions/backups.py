"""What can be done with a backup, and how one is made."""

from qdrant_rollouts.core.operations.views.overview.actions.operator_action import OperatorAction


def actions_of_backup(
    backup: str, alias: str | None, status: str, refused: str
) -> list[OperatorAction]:
    damaged = ""
    if status != "done":
        damaged = f"it is {status}"
    return [
        OperatorAction(
            "verify",
            "Verify",
            "Restores it into a temporary collection, compares, and drops that again.",
            f"rollouts backup verify {backup}",
            refused or damaged,
        ),
        OperatorAction(
            "restore",
            "Restore",
            f"Makes a new collection of it; {alias} moves there if it passes the gate.",
            f"rollouts backup restore {backup} --reason '…'",
            refused or damaged,
            grave=True,
        ),
    ]


def action_to_back_up(refused: str) -> OperatorAction:
    says = (
        "Takes a snapshot of the collection behind the index, with a sealed list of what is in it."
    )
    return OperatorAction(
        "create", "Create a backup", says, "rollouts backup create ALIAS", refused
    )
