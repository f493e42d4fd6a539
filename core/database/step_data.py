"""What steps keep between their turns, and what they hand on: as dataclasses, and as the JSON of
their rows.

Rule: every step has one dataclass for what it saves and one for what it hands on, and they become
JSON and come back here and nowhere else. A row says in which form it was written. One that says
nothing was written before forms were counted, which is the first form. A key that is not known is
passed over, and one that is missing has its default, which must be what the release before meant by
not having it. A form that is not known is left to the release that wrote it.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from enum import Enum
from typing import Any, Final, TypeVar

from qdrant_rollouts.core.errors import Unavailable

FORM: Final = 1
_FORM_KEY: Final = "form"
_APPROVED_BY: Final = "approved_by"
_APPROVED_BECAUSE: Final = "approved_because"
Content = Mapping[str, Any]


class Unset(Enum):
    """Of a value that may be null, and was not written."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, kw_only=True)
class StepData:
    """What stands in a row. A field that is None or empty text by default is left out while it is
    that."""


Data = TypeVar("Data", bound=StepData)


@dataclass(frozen=True, kw_only=True)
class Progress(StepData):
    """How far a step is: ``done`` of ``size`` in ``unit``, ``rate`` of it in a second. Of a source
    that is not counted in records, ``records`` are those read so far, and ``rate`` is theirs.
    ``set`` and ``confirmed`` are of a stage of traffic: green's share in percent, and which search
    processes say that they serve it."""

    done: int
    size: int
    unit: str = ""
    rate: float | None = None
    records: int | None = None
    set: float | None = None
    confirmed: str | None = None


@dataclass(frozen=True, kw_only=True)
class StepState(StepData):
    """What a step saves for its own next turn."""

    progress: Progress | None = field(default=None, metadata={"of": Progress})

    def name_phase(self) -> str:
        """What the next turn will be about, for people; empty where a step has no phases."""
        return ""

    def describe_place(self) -> str:
        """Where the work stands, for people; empty where nothing of it was saved."""
        if self.progress is None:
            return ""
        reached = f"{self.progress.done:,} of {self.progress.size:,} {self.progress.unit}"
        return f"from {reached.rstrip()} on"


@dataclass(frozen=True, kw_only=True)
class StepOutput(StepData):
    """What a step hands on. ``summary`` is told to people; a person's approval is added to what was
    held up."""

    summary: str = ""
    approved_by: str | None = None
    approved_because: str | None = None

    @property
    def report(self) -> Content | None:
        """The gate's report, of the step that keeps one."""
        return None


NO_OUTPUT: Final = StepOutput()


def write_data(data: StepData) -> dict[str, Any]:
    """As JSON, with its form; nothing at all for what says nothing."""
    content = _as_json(data)
    return {_FORM_KEY: FORM, **content} if content else {}


def read_data(kind: type[Data], content: Content) -> Data:
    """Raises Unavailable for what another release must have written."""
    unknown = why_not_known(content)
    if unknown:
        raise Unavailable(unknown)
    return _from_json(kind, content)


def why_not_known(content: Content) -> str:
    """Nothing, where the form is one that this program reads."""
    form = content.get(_FORM_KEY, FORM)
    return (
        ""
        if isinstance(form, int) and form <= FORM
        else f"it is of form {form}, this program reads up to {FORM}"
    )


# --- what is the same in all of them --------------------------------------------------------------


def read_progress(state: Content) -> Progress | None:
    """How far any step is, of its state."""
    found = state.get("progress")
    return _from_json(Progress, found) if found and "done" in found and "size" in found else None


def show_progress(state: Content) -> dict[str, Any] | None:
    """The same with all that the step says of it, for people and programs."""
    found: dict[str, Any] | None = state.get("progress")
    return found


def show_output(output: Content) -> dict[str, Any]:
    """What a step has handed on, for people and programs."""
    return {key: value for key, value in output.items() if key != _FORM_KEY}


def read_report(output: Content) -> Any:
    """The gate's report, of what any step has handed on; None where it has handed on none."""
    return output.get("gate")


def add_approval(output: Content, actor: str, reason: str) -> dict[str, Any]:
    """What a step has handed on, with who approved it."""
    return {**output, _APPROVED_BY: actor, _APPROVED_BECAUSE: reason}


# --- JSON -----------------------------------------------------------------------------------------
# A field's metadata say what is particular about it: ``key``, its name in JSON, and ``of``, the
# class of what it holds.


def _as_json(data: StepData) -> dict[str, Any]:
    content = {}
    for one in fields(data):
        value = getattr(data, one.name)
        says_nothing = value is UNSET or (
            one.default is not MISSING and value == one.default and value in (None, "")
        )
        if not says_nothing:
            content[one.metadata.get("key", one.name)] = (
                _as_json(value) if isinstance(value, StepData) else value
            )
    return content


def _from_json(kind: type[Data], content: Content) -> Data:
    taken: dict[str, Any] = {}
    lacking = []
    for one in fields(kind):
        name = one.metadata.get("key", one.name)
        if name in content:
            taken[one.name] = _value_of(content[name], one.metadata.get("of"))
        elif one.default is MISSING and one.default_factory is MISSING:
            lacking.append(name)
    if lacking:
        raise Unavailable(
            f"{kind.__name__} cannot be read ({', '.join(lacking)} missing); another release wrote "
            "it"
        )
    return kind(**taken)


def _value_of(value: Any, inner: type[StepData] | None) -> Any:
    if inner is None:
        return value
    return _from_json(inner, value) if value else None
