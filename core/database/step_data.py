"""What steps save between their turns and what they output: as dataclasses, and as JSON in their
rows.

Rule: each step has one dataclass for its state and one for its output. Only this module converts
them to JSON and back. A row says in which form it was written; a row that does not say it has the
first form. An unknown key is ignored. A missing key has its default, so the default must mean what
a missing key meant in the release before. A row in an unknown form is left to the release that
wrote it. So what a release before would misunderstand is written in a later form, and everything
else in the first one.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from enum import Enum
from typing import Any, Final, TypeVar

from qdrant_rollouts.core.errors import Unavailable

#: The newest form that this program reads.
FORM: Final = 2
_FIRST_FORM: Final = 1
_FORM_KEY: Final = "form"
#: What only later steps read; it is long and says nothing to people.
_NOT_SHOWN: Final = frozenset({_FORM_KEY, "blue_sample"})
_APPROVED_BY: Final = "approved_by"
_APPROVED_BECAUSE: Final = "approved_because"
Content = Mapping[str, Any]


class Unset(Enum):
    """The value of a field that was not written. It differs from null."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, kw_only=True)
class StepData:
    """Data of a step in a row. A field whose default is None or empty text is left out while it has
    that value."""

    def form(self) -> int:
        """Returns the oldest form in which a program must read it."""
        return _FIRST_FORM


Data = TypeVar("Data", bound=StepData)


@dataclass(frozen=True, kw_only=True)
class Progress(StepData):
    """How far a step is: ``done`` of ``size`` in ``unit``, with ``rate`` units per second. If the
    source is not counted in records, ``records`` is how many were read so far, and ``rate`` is
    records per second. ``set`` and ``confirmed`` belong to a stage of traffic: green's share in
    percent, and which search processes report that they serve it."""

    done: int
    size: int
    unit: str = ""
    rate: float | None = None
    records: int | None = None
    set: float | None = None
    confirmed: str | None = None


@dataclass(frozen=True, kw_only=True)
class StepState(StepData):
    """What a step saves for its next turn."""

    progress: Progress | None = field(default=None, metadata={"of": Progress})

    def name_phase(self) -> str:
        """Returns what the next turn does, for people; empty if the step has no phases."""
        return ""

    def is_long(self) -> bool:
        """Returns whether the next turn may last longer than others, because it waits for one act
        that cannot be cut."""
        return False

    def describe_place(self) -> str:
        """Returns where the work is, for people; empty if nothing was saved."""
        if self.progress is None:
            return ""
        reached = f"{self.progress.done:,} of {self.progress.size:,} {self.progress.unit}"
        return f"from {reached.rstrip()} on"


@dataclass(frozen=True, kw_only=True)
class StepOutput(StepData):
    """The output of a step. People see ``summary``. If a person approves a held step, the approval
    is added."""

    summary: str = ""
    approved_by: str | None = None
    approved_because: str | None = None

    @property
    def report(self) -> Content | None:
        """The gate's report, if this step keeps one."""
        return None


NO_OUTPUT: Final = StepOutput()


def write_data(data: StepData) -> dict[str, Any]:
    """Returns the JSON of ``data`` with its form; empty if there is nothing to write."""
    content = _as_json(data)
    if not content:
        return {}
    return {_FORM_KEY: _find_form(data), **content}


def _find_form(data: StepData) -> int:
    """Returns the oldest form in which ``data`` and everything in it must be read."""
    form = data.form()
    for one in fields(data):
        value = getattr(data, one.name)
        items = value
        if not isinstance(value, list | tuple):
            items = [value]
        form = max([form, *(_find_form(item) for item in items if isinstance(item, StepData))])
    return form


def read_data(kind: type[Data], content: Content) -> Data:
    """Reads JSON as ``kind``. Raises Unavailable if another release must have written it."""
    unknown = why_not_known(content)
    if unknown:
        raise Unavailable(unknown)
    return _from_json(kind, content)


def why_not_known(content: Content) -> str:
    """Returns why the form is unknown; empty if this program can read it."""
    form = content.get(_FORM_KEY, _FIRST_FORM)
    if isinstance(form, int) and form <= FORM:
        return ""
    return f"it is of form {form}, this program reads up to {FORM}"


# --- what is the same in all of them --------------------------------------------------------------


def read_progress(state: Content) -> Progress | None:
    """Returns the progress of any step, from its state."""
    found = state.get("progress")
    if found and "done" in found and "size" in found:
        return _from_json(Progress, found)
    return None


def show_progress(state: Content) -> dict[str, Any] | None:
    """Returns the progress with everything that the step adds to it, for people and programs."""
    found: dict[str, Any] | None = state.get("progress")
    return found


def show_output(output: Content) -> dict[str, Any]:
    """Returns the output of a step, for people and programs."""
    return {key: value for key, value in output.items() if key not in _NOT_SHOWN}


def read_report(output: Content) -> Any:
    """Returns the gate's report from the output of any step; None if there is none."""
    return output.get("gate")


def read_missing(output: Content) -> str:
    """Returns what a stage of a canary has not shown, from its output; empty if it is no stage."""
    return str(output.get("missing") or "")


def add_approval(output: Content, actor: str, reason: str) -> dict[str, Any]:
    """Returns the output of a step with the person who approved it."""
    return {**output, _APPROVED_BY: actor, _APPROVED_BECAUSE: reason}


# --- JSON -----------------------------------------------------------------------------------------
# A field's metadata has two keys: ``key`` is the field's name in JSON, and ``of`` is the class of
# its value, or of each item if the value is a list.


def _as_json(data: StepData) -> dict[str, Any]:
    content = {}
    for one in fields(data):
        value = getattr(data, one.name)
        says_nothing = value is UNSET or (
            one.default is not MISSING and value == one.default and value in (None, "")
        )
        if not says_nothing:
            content[one.metadata.get("key", one.name)] = _write_value(value, one.metadata.get("of"))
    return content


def _write_value(value: Any, inner: type[StepData] | None) -> Any:
    if isinstance(value, StepData):
        return _as_json(value)
    if inner is not None and isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    return value


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
    if isinstance(value, list):
        return [_from_json(inner, item) for item in value]
    if not value:
        return None
    return _from_json(inner, value)
