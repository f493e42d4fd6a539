"""The alerts that people were sent."""

from typing_extensions import TypedDict  # pydantic needs typing_extensions before Python 3.12

from qdrant_rollouts.core.answers.words import Moment


class Delivery(TypedDict):
    channel: str
    status: str
    tries: int
    error: str
    sent_at: Moment | None
    due_at: Moment | None


class Alert(TypedDict):
    """``state``: begun, lasting, resolved, or moment for something that does not last."""

    id: str
    index: str
    what: str
    severity: str
    state: str
    at: Moment
    since: Moment
    text: str
    value: str
    bound: str
    actor: str
    reason: str
    next: str
    deployment_id: str | None
    deliveries: list[Delivery]


class Alerts(TypedDict):
    """``next`` is the ``before`` of the page that follows, None on the last one."""

    alerts: list[Alert]
    next: int | None
