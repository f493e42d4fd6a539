"""The message of a deployment that did not go live: how it is written, and what people read of it.

Rule: the cause is written once, by the turn that ends the step. Every list, page and command says
it in those words.
"""

import re
from dataclasses import dataclass

from qdrant_rollouts.core.gate.reasons import NEXT

#: How the message begins of a deployment of which an undo gave up.
UNDO = "undo of "
#: How the reason begins why a gate holds a deployment.
CANNOT_TELL = "the gate cannot tell: "
#: Between the cause and what serves.
_ROLLED_BACK = ". Rolled back: "
_KEPT = " is kept for inspection; abort drops it"
_ENDS_WITH_KEPT = re.compile(rf"\. \S+{re.escape(_KEPT)}$")


@dataclass(frozen=True, slots=True)
class Cause:
    """``what`` is a part of a sentence: the step, what decided it, with its figures. ``next`` is a
    sentence that says what to do; empty if ``what`` says that or nobody knows."""

    what: str
    next: str = ""

    def __str__(self) -> str:
        return f"{self.what}{NEXT}{self.next}" if self.next else self.what


def say_failed(step: str, reason: str) -> str:
    return f"{step} failed: {reason}"


def say_rolled_back(cause: str, serving: str) -> str:
    return f"{cause.removesuffix('.')}{_ROLLED_BACK}{serving}"


def say_kept(cause: str, green: str) -> str:
    return f"{cause.removesuffix('.')}. {green}{_KEPT}"


def find_cause(message: str) -> Cause:
    """Returns why a deployment did not go live, from its message."""
    before, _, after = message.rpartition(_ROLLED_BACK)
    cause = _ENDS_WITH_KEPT.sub("", before if after != message else message)
    what, act = cause, ""
    if NEXT in cause:
        what, _, act = cause.rpartition(NEXT)
    what = what.rstrip(".")
    if what.startswith("aborted"):
        what = f"it was {what}"
    if act and not act.endswith("."):
        act = f"{act}."
    return Cause(what or "it was stopped", act)
