"""Returns messages that this worker cannot handle to their queue, for a worker that can.

Rule: a message that another release may know is never acknowledged and discarded. It goes back to
the end of its queue after a pause, so that other workers get it too and no worker is kept busy by
it. If this program only knows that it does not know the message, it returns it a limited number of
times; otherwise an application's mistake would circulate for ever. No clock is used. The pauses are
at least an hour in total for a request, which nobody repeats, and a minute for a knock, which the
sweep repeats. After that a request is refused with a message, and a knock is dropped.
"""

import logging
from functools import partial
from typing import Any

from celery import Celery
from celery.exceptions import Reject
from celery.utils.objects import Bunch
from celery.worker.consumer import Consumer
from celery.worker.request import Request
from celery.worker.state import task_ready
from sqlalchemy.exc import SQLAlchemyError

from qdrant_rollouts.adapters.broker_errors import BROKER_AWAY
from qdrant_rollouts.adapters.celery import AGAIN
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.sanitize.quoting import quote_value

log = logging.getLogger(__name__)

#: In a message's headers: how often it was returned.
RETURNS = "rollouts_returns"
#: Seconds that a message waits if it cannot be handled now, and the maximum if perhaps no program
#: will ever know it.
REST = 2.0
LONGEST = 30.0
#: Returns before giving up: with pauses of 1, 2, 4, 8, 16, 30, 30, … seconds an hour, and a minute.
REQUEST = 124
KNOCK = 5
#: Messages that wait here in addition to those being worked on; with more than this, the worker
#: takes fewer.
_MOST = 500


class GiveBack(Reject):  # type: ignore[misc]  # Celery has no types
    """``counted``: nothing here says that any program will ever know the message; otherwise this
    program can handle nothing now. The exception travels from a child to its worker."""

    def __init__(self, reason: str, requeue: bool = True, counted: bool = False) -> None:
        super().__init__(reason, requeue)
        self.counted = counted
        self.args = (reason, requeue, counted)


def pause(returns: int) -> float:
    """The pause before the next return of a message that was returned this often."""
    return float(min(2.0 ** min(returns, 10), LONGEST))


def patience(headers: Any) -> int:
    if headers.get(AGAIN):
        return KNOCK
    return REQUEST


class ReturningRequest(Request):  # type: ignore[misc]  # Celery has no types
    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> None:
        error = exc_info.exception
        error = getattr(error, "exc", error)  # it came through a pipe
        if not isinstance(error, GiveBack):
            super().on_failure(exc_info, send_failed_event, return_ok)
            return
        task_ready(self)
        self.acknowledged = True  # from here on the giver looks after the message
        self.send_event("task-rejected", requeue=True)
        self._app.giver.take(
            self.message, self.id, self.name, str(error.reason), counted=error.counted
        )
        if not error.counted:
            self._app.taking.end(str(error.reason))


class ReturningConsumer(Consumer):  # type: ignore[misc]
    """The consumer of a worker's main process."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app.giver = Giver(self)

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """``exc`` is a KeyError with the name."""
        content = message.headers if "task" in message.headers else message.payload
        name = str(content["task"])
        why = (
            f"no worker knows the task {quote_value(name)}; docs/reference/tasks.md lists those of "
            "this release"
        )
        self.app.giver.take(message, str(content["id"]), name, why, counted=True)

    def on_close(self) -> None:
        self.app.giver.forget()
        super().on_close()


class Giver:
    """Lets messages wait, and puts them back. All of it happens in the worker's event loop."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._resting: dict[Any, Any] = {}
        self._said: set[str] = set()

    def take(self, message: Any, task_id: str, name: str, why: str, *, counted: bool) -> None:
        returns = int(_headers(message).get(RETURNS, 0))
        if why not in self._said:
            self._said.add(why)
            log.warning("%s is given back, for another worker may handle it: %s", name, why)
        spare = len(self._resting) < _MOST
        if spare:
            self._consumer.qos.increment_eventually()
        put_back = partial(self._put_back, message, returns, spare=spare)
        if counted and returns >= patience(_headers(message)):
            act = partial(self._give_up, message, task_id, name, why, put_back)
        else:
            act = partial(put_back, counted=counted)
        rest = pause(returns) if counted else REST
        self._resting[message.delivery_tag] = self._consumer.timer.call_after(
            rest, self._wake, (message, act)
        )

    def forget(self) -> None:
        """The connection is lost, and the broker delivers again what was not acknowledged."""
        resting = self._resting
        self._resting = {}
        for entry in resting.values():
            self._consumer.timer.cancel(entry)

    def _wake(self, message: Any, act: Any) -> None:
        self._resting.pop(message.delivery_tag, None)
        act()

    def _put_back(self, message: Any, returns: int, *, spare: bool, counted: bool) -> None:
        """If the returns are counted, the message is sent again, because a message that is only
        rejected keeps its headers."""
        lost = self._consumer.connection_errors
        if counted and _send_anew(self._consumer.app, message, returns + 1):
            message.ack_log_error(log, lost)
        else:
            message.reject_log_error(log, lost, requeue=True)
        self._end(spare)

    def _give_up(self, message: Any, task_id: str, name: str, why: str, put_back: Any) -> None:
        headers = _headers(message)
        if not headers.get(AGAIN):
            words = (
                f"{why}. It was given back {REQUEST} times, within an hour or more: correct it, or "
                "update the workers"
            )
            if not self._write_refusal(task_id, name, words, message):
                put_back(counted=False)
                return
        log.warning("%s %s is given up: %s", name, task_id, why)
        message.reject_log_error(log, self._consumer.connection_errors)
        self._end(put_back.keywords["spare"])

    def _write_refusal(self, task_id: str, name: str, words: str, message: Any) -> bool:
        """Returns whether the refusal was stored for the sender."""
        request = Bunch(
            name=name,
            chord=None,
            root_id=None,
            correlation_id=message.properties.get("correlation_id"),
            reply_to=message.properties.get("reply_to"),
            errbacks=None,
        )
        try:
            self._consumer.app.backend.mark_as_failure(task_id, Refused(words), request=request)
        except (SQLAlchemyError, *BROKER_AWAY) as error:
            log.warning("%s is not refused yet: %s", name, type(error).__name__)
            return False
        return True

    def _end(self, spare: bool) -> None:
        if spare:
            self._consumer.qos.decrement_eventually()


def _headers(message: Any) -> dict[str, Any]:
    return dict(message.headers or {})


def _send_anew(app: Celery, message: Any, returns: int) -> bool:
    """Sends it to the end of its original queue, unchanged except for the number of its returns."""
    headers = {name: value for name, value in _headers(message).items() if name != "compression"}
    given = message.properties
    where = message.delivery_info
    kept = {
        name: given[name] for name in ("correlation_id", "reply_to") if given.get(name) is not None
    }
    try:
        with app.producer_or_acquire() as producer:
            producer.publish(
                message.body,
                exchange=where.get("exchange") or "",
                routing_key=where["routing_key"],
                content_type=message.content_type,
                content_encoding=message.content_encoding,
                headers={**headers, RETURNS: returns},
                priority=given.get("priority") or 0,
                retry=False,
                **kept,
            )
    except BROKER_AWAY as error:
        log.warning("a message was not sent again: %s", type(error).__name__)
        return False
    return True
