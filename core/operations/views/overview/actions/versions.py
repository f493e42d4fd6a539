"""What can be done with one version of an index: go back to it, and mark it."""

from qdrant_rollouts.core.answers import indexes as index_answers
from qdrant_rollouts.core.operations.views.overview.actions.operator_action import OperatorAction
from qdrant_rollouts.core.ports.naming import shell_word

#: States of a version whose collection is there, as far as that is known.
_THERE = ("live", "retained", "deletion due", "unknown")
#: The verbs of ``actions_of_version``.
VERSION_VERBS = ("rollback_to", "rollback_to_bad", "mark_bad", "mark_good")


def actions_of_version(
    alias: str, version: index_answers.Version, busy: str
) -> list[OperatorAction]:
    """Returns what can be done with one version that is there. ``busy``: what is running on the
    index, in words."""
    number = version["number"]
    if number is None or version["state"] not in _THERE:
        return []
    marked = version.get("marked_bad") is not None
    found = [_mark_of_version(alias, number, marked=marked)]
    if version["live"]:
        return found
    option = " --force" if marked else ""
    back = OperatorAction(
        "rollback_to_bad" if marked else "rollback_to",
        "Roll back to it anyway" if marked else "Roll back to it",
        f"Moves {alias} to version {number}, after checking it; nothing is rebuilt."
        + (" It is marked bad." if marked else ""),
        f"rollouts rollback --to {number}{option} --reason '…' {shell_word(alias)}",
        busy,
        grave=True,
    )
    return [back, *found]


def _mark_of_version(alias: str, number: int, *, marked: bool) -> OperatorAction:
    if marked:
        return OperatorAction(
            "mark_good",
            "Remove the mark",
            f"Version {number} can be chosen by a rollback again.",
            f"rollouts mark --good {shell_word(alias)} {number}",
        )
    return OperatorAction(
        "mark_bad",
        "Mark bad",
        f"A rollback no longer chooses version {number} by itself; nothing else changes.",
        f"rollouts mark --bad --reason '…' {shell_word(alias)} {number}",
        must_say_why=True,
    )
