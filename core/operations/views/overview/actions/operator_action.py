"""An action that a page offers."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """``refused`` is why it cannot be done; empty if it can. ``says`` is what it will do; ``steps``
    are those that follow, in order."""

    verb: str
    label: str
    says: str
    command: str
    refused: str = ""
    grave: bool = False
    must_say_why: bool = False
    steps: Sequence[str] = ()
