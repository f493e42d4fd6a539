"""The statuses of deployments, experiments, deletions and deliveries, and the only tables that
change them.

Rule: a deployment's status changes only by looking up ``TRANSITIONS[status, event]``; that of an
experiment, a deletion or a delivery only by a table of its own. An event that is not in the table
is refused with a message and changes nothing. ``docs/lifecycle.md`` is drawn from these tables.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from qdrant_rollouts.core.errors import Refused

AnyStatus = TypeVar("AnyStatus", bound=StrEnum)
AnyEvent = TypeVar("AnyEvent", bound=StrEnum)


class Status(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    ROLLING_BACK = "rolling_back"
    LIVE = "live"
    #: The plan has ended well, and it moved no alias.
    COMPLETED = "completed"
    ROLLED_BACK = "rolled_back"
    NEEDS_OPERATOR = "needs_operator"


class Place(StrEnum):
    """The place of a deployment that builds: it waits for a place among the rebuilds, or has one. A
    deployment with neither value needs none; see ``core.deployments.placing``."""

    WAITING = "waiting"
    TAKEN = "taken"


class StepStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    UNDONE = "undone"
    SKIPPED = "skipped"


class Event(StrEnum):
    START = "start"
    PAUSE = "pause"
    HOLD = "hold"
    RESUME = "resume"
    PROMOTE = "promote"
    PROMOTE_FULL = "promote_full"
    RETRY = "retry"
    ABORT = "abort"
    ABORT_KEEP = "abort_keep"
    FAIL = "fail"
    KEEP_FAILED = "keep_failed"
    FINISH = "finish"
    COMPLETE = "complete"
    UNDONE = "undone"
    GIVE_UP = "give_up"


FINAL = frozenset({Status.LIVE, Status.COMPLETED, Status.ROLLED_BACK})
#: In these statuses the engine takes turns by itself. In the others it takes a turn only for an
#: operator's request, or for a step that is guarded during a pause.
MOVING = frozenset({Status.PENDING, Status.RUNNING, Status.ROLLING_BACK})

TRANSITIONS: dict[tuple[Status, Event], Status] = {
    (Status.PENDING, Event.START): Status.RUNNING,
    (Status.PENDING, Event.PAUSE): Status.PAUSED,
    (Status.PENDING, Event.ABORT): Status.ROLLING_BACK,
    (Status.RUNNING, Event.PAUSE): Status.PAUSED,
    (Status.RUNNING, Event.HOLD): Status.PAUSED,
    (Status.RUNNING, Event.PROMOTE): Status.RUNNING,
    (Status.RUNNING, Event.PROMOTE_FULL): Status.RUNNING,
    (Status.RUNNING, Event.ABORT): Status.ROLLING_BACK,
    (Status.RUNNING, Event.ABORT_KEEP): Status.RUNNING,
    (Status.RUNNING, Event.FAIL): Status.ROLLING_BACK,
    (Status.RUNNING, Event.KEEP_FAILED): Status.NEEDS_OPERATOR,
    (Status.RUNNING, Event.FINISH): Status.LIVE,
    (Status.RUNNING, Event.COMPLETE): Status.COMPLETED,
    (Status.PAUSED, Event.RESUME): Status.RUNNING,
    (Status.PAUSED, Event.PROMOTE): Status.RUNNING,
    (Status.PAUSED, Event.PROMOTE_FULL): Status.RUNNING,
    (Status.PAUSED, Event.RETRY): Status.RUNNING,
    (Status.PAUSED, Event.ABORT): Status.ROLLING_BACK,
    (Status.PAUSED, Event.ABORT_KEEP): Status.RUNNING,
    (Status.PAUSED, Event.FAIL): Status.ROLLING_BACK,
    (Status.PAUSED, Event.KEEP_FAILED): Status.NEEDS_OPERATOR,
    (Status.ROLLING_BACK, Event.UNDONE): Status.ROLLED_BACK,
    (Status.ROLLING_BACK, Event.GIVE_UP): Status.NEEDS_OPERATOR,
    (Status.NEEDS_OPERATOR, Event.ABORT): Status.ROLLING_BACK,
}


def _look_up(
    table: Mapping[tuple[AnyStatus, AnyEvent], AnyStatus],
    status: AnyStatus,
    event: AnyEvent,
    what: str,
    advice: str = "",
) -> AnyStatus:
    """Raises Refused, which says what else there is, if the event is not in the table."""
    try:
        return table[status, event]
    except KeyError:
        raise Refused(f"{event} is not possible: the {what} is {status}{advice}") from None


def next_status(status: Status, event: Event) -> Status:
    """Returns the status that ``event`` leads to. Raises Refused, which names the possible events,
    if it is not in the table."""
    return _look_up(
        TRANSITIONS, status, event, "deployment", f"; {_describe_possible_events(status)}"
    )


def is_allowed(status: Status, event: Event) -> bool:
    return (status, event) in TRANSITIONS


def _describe_possible_events(status: Status) -> str:
    if status in FINAL:
        return "it has ended"
    asked = (Event.PROMOTE, Event.PROMOTE_FULL, Event.RETRY, Event.PAUSE, Event.RESUME, Event.ABORT)
    return "possible now: " + ", ".join(event for event in asked if is_allowed(status, event))


# --- experiments ----------------------------------------------------------------------------------


class ExperimentStatus(StrEnum):
    DRAFT = "draft"
    RUNNING = "running"
    STOPPED = "stopped"
    DECIDED = "decided"


class ExperimentEvent(StrEnum):
    START = "start"
    STOP = "stop"
    DECIDE = "decide"


EXPERIMENT_TRANSITIONS: dict[tuple[ExperimentStatus, ExperimentEvent], ExperimentStatus] = {
    (ExperimentStatus.DRAFT, ExperimentEvent.START): ExperimentStatus.RUNNING,
    (ExperimentStatus.DRAFT, ExperimentEvent.STOP): ExperimentStatus.STOPPED,
    (ExperimentStatus.RUNNING, ExperimentEvent.STOP): ExperimentStatus.STOPPED,
    (ExperimentStatus.RUNNING, ExperimentEvent.DECIDE): ExperimentStatus.DECIDED,
}


def next_experiment_status(status: ExperimentStatus, event: ExperimentEvent) -> ExperimentStatus:
    """The same as ``next_status``, for an experiment."""
    possible = [known for origin, known in EXPERIMENT_TRANSITIONS if origin is status]
    now = "it has ended; create a new one"
    if possible:
        now = "possible now: " + ", ".join(possible)
    return _look_up(EXPERIMENT_TRANSITIONS, status, event, "experiment", f"; {now}")


# --- runs of a schedule ---------------------------------------------------------------------------


class RunStatus(StrEnum):
    """The status of a scheduled run: first due, then perhaps running, and finally one of the
    others. ``unchanged``: there was nothing to do. ``replaced``: the next run has taken its place,
    because its gate could not tell and nobody has touched it."""

    DUE = "due"
    RUNNING = "running"
    DONE = "done"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    FAILED = "failed"
    REPLACED = "replaced"


OPEN_RUNS = frozenset({RunStatus.DUE, RunStatus.RUNNING})
SUCCESSES = frozenset({RunStatus.DONE, RunStatus.UNCHANGED})


# --- deletions ------------------------------------------------------------------------------------


class DeletionStatus(StrEnum):
    """``kept``: a person has decided that the collection stays permanently."""

    SCHEDULED = "scheduled"
    DELETING = "deleting"
    DELETED = "deleted"
    CANCELLED = "cancelled"
    KEPT = "kept"


class DeletionEvent(StrEnum):
    BEGIN = "begin"
    FINISH = "finish"
    CANCEL = "cancel"
    KEEP = "keep"
    FIND_USED = "find_used"


#: Statuses of a deletion that has not been completed yet.
OPEN_DELETIONS = (DeletionStatus.SCHEDULED, DeletionStatus.DELETING)

#: A deletion that was begun can begin again, because its process may have died. After that, only a
#: use of the collection can stop it.
DELETION_TRANSITIONS: dict[tuple[DeletionStatus, DeletionEvent], DeletionStatus] = {
    (DeletionStatus.SCHEDULED, DeletionEvent.BEGIN): DeletionStatus.DELETING,
    (DeletionStatus.SCHEDULED, DeletionEvent.CANCEL): DeletionStatus.CANCELLED,
    (DeletionStatus.SCHEDULED, DeletionEvent.KEEP): DeletionStatus.KEPT,
    (DeletionStatus.DELETING, DeletionEvent.BEGIN): DeletionStatus.DELETING,
    (DeletionStatus.DELETING, DeletionEvent.FIND_USED): DeletionStatus.CANCELLED,
    (DeletionStatus.DELETING, DeletionEvent.FINISH): DeletionStatus.DELETED,
}


def next_deletion_status(status: DeletionStatus, event: DeletionEvent) -> DeletionStatus:
    """The same as ``next_status``, for a deletion."""
    return _look_up(DELETION_TRANSITIONS, status, event, "deletion")


# --- deliveries of alerts -------------------------------------------------------------------------


class DeliveryStatus(StrEnum):
    WAITING = "waiting"
    SENT = "sent"
    GIVEN_UP = "given_up"


class DeliveryEvent(StrEnum):
    SEND = "send"
    FAIL = "fail"
    GIVE_UP = "give_up"


DELIVERY_TRANSITIONS: dict[tuple[DeliveryStatus, DeliveryEvent], DeliveryStatus] = {
    (DeliveryStatus.WAITING, DeliveryEvent.SEND): DeliveryStatus.SENT,
    (DeliveryStatus.WAITING, DeliveryEvent.FAIL): DeliveryStatus.WAITING,
    (DeliveryStatus.WAITING, DeliveryEvent.GIVE_UP): DeliveryStatus.GIVEN_UP,
}


def next_delivery_status(status: DeliveryStatus, event: DeliveryEvent) -> DeliveryStatus:
    """The same as ``next_status``, for the delivery of an alert."""
    return _look_up(DELIVERY_TRANSITIONS, status, event, "delivery")


# --- slices of a filling --------------------------------------------------------------------------


class SliceStatus(StrEnum):
    """``stopped``: the deployment goes back, or fills in another way."""

    FILLING = "filling"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


class SliceEvent(StrEnum):
    FINISH = "finish"
    FAIL = "fail"
    STOP = "stop"


SLICE_TRANSITIONS: dict[tuple[SliceStatus, SliceEvent], SliceStatus] = {
    (SliceStatus.FILLING, SliceEvent.FINISH): SliceStatus.DONE,
    (SliceStatus.FILLING, SliceEvent.FAIL): SliceStatus.FAILED,
    (SliceStatus.FILLING, SliceEvent.STOP): SliceStatus.STOPPED,
}


def next_slice_status(status: SliceStatus, event: SliceEvent) -> SliceStatus:
    """The same as ``next_status``, for a slice."""
    return _look_up(SLICE_TRANSITIONS, status, event, "slice")
