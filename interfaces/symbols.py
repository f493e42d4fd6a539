"""The symbols of statuses, verdicts and decisions, for the terminal and the pages.

Rule: a symbol is never shown without its word, and colour only repeats what both say.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Tone(StrEnum):
    """What a colour says. The values are the classes of the pages' stylesheet."""

    GOOD = "good"
    BAD = "bad"
    WARN = "warn"
    CALM = "calm"
    SOFT = "soft"


class Symbol(NamedTuple):
    sign: str
    tone: Tone


class Decision(NamedTuple):
    sign: str
    tone: Tone
    words: str


_DONE = Symbol("✔", Tone.GOOD)
_KEPT = Symbol("•", Tone.GOOD)
_FAILED = Symbol("✖", Tone.BAD)
_AT_WORK = Symbol("◌", Tone.CALM)
_WAITING = Symbol("◷", Tone.CALM)
_BACK = Symbol("↶", Tone.WARN)
_WARNING = Symbol("⚠", Tone.WARN)
_UNKNOWN = Symbol("?", Tone.WARN)
_NOT_BEGUN = Symbol("·", Tone.SOFT)
_NOTHING = Symbol("-", Tone.SOFT)
_OTHER = Symbol("•", Tone.SOFT)

_STATUSES: Mapping[str, Symbol] = {
    # deployments and their steps
    "pending": _NOT_BEGUN,
    "running": _AT_WORK,
    "waiting": _WAITING,
    # The two bars of a pause that fonts of every system have.
    "paused": Symbol("‖", Tone.WARN),
    "done": _DONE,
    "live": _DONE,
    "completed": _DONE,
    "failed": _FAILED,
    "rolled_back": _FAILED,
    "needs_operator": _FAILED,
    "rolling_back": _BACK,
    "undone": _BACK,
    "skipped": _NOTHING,
    # checks
    "pass": _DONE,
    "block": _FAILED,
    "inconclusive": _UNKNOWN,
    "ok": _DONE,
    "warn": _WARNING,
    "fail": _FAILED,
    # versions and deletions
    "building": _AT_WORK,
    "kept": _KEPT,
    "retained": _KEPT,
    "scheduled": _WAITING,
    "deletion due": Symbol("◷", Tone.WARN),
    "deleting": _AT_WORK,
    "deleted": _DONE,
    "cancelled": _NOTHING,
    "gone": _NOTHING,
    # experiments
    "draft": _NOT_BEGUN,
    "stopped": _NOTHING,
    "decided": _KEPT,
    # schedules
    "due": _WAITING,
    "unchanged": _DONE,
    "replaced": _BACK,
    "on": _DONE,
    "off": _NOTHING,
    # backups, alerts and servers
    "yes": _DONE,
    "no": _FAILED,
    "damaged": _FAILED,
    "sent": _DONE,
    "given_up": _FAILED,
    "healthy": _DONE,
    "progressing": _AT_WORK,
    "degraded": _FAILED,
    "error": _FAILED,
    "unknown": _UNKNOWN,
    # log lines
    "info": _OTHER,
    "warning": _WARNING,
}

#: Verdicts on a metric: of a canary, and of an experiment.
VERDICTS: Mapping[str, Symbol] = {
    "better": _DONE,
    "not_worse": _DONE,
    "worse": _FAILED,
    "unclear": _UNKNOWN,
    "healthy": _DONE,
    "unhealthy": _FAILED,
    "unknown": _UNKNOWN,
}
#: Worse than the control for certain, and for certain by less than the margin.
WORSE_WITHIN_MARGIN = _WARNING

#: What an experiment decides.
DECISIONS: Mapping[str, Decision] = {
    "SHIP": Decision(*_DONE, "ship"),
    "ROLLBACK": Decision(*_FAILED, "roll back"),
    "INVALID": Decision(*_FAILED, "invalid, no verdict"),
    "KEEP_RUNNING": Decision(*_WAITING, "keep running"),
    "STOP_INCONCLUSIVE": Decision(*_UNKNOWN, "stop, nothing shown"),
}


def status_symbol(status: str) -> Symbol:
    return _STATUSES.get(status, _OTHER)
