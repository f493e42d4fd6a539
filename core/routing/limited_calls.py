"""Calls of an application's functions that may take too long."""

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")

#: Calls under way in one process. More would only wait for what already hangs.
_MOST = 256


class LimitedCalls:
    """Runs each call in a thread of its own. Python cannot end a thread, so a call that takes too
    long goes on, and its result is dropped."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._free = threading.BoundedSemaphore(most)

    def run(self, work: Callable[[], T], seconds: float) -> T:
        """Returns the result, or raises what the work raises. Raises TimeoutError after so many
        ``seconds``,
        and at once if too many calls hang already."""
        if not self._free.acquire(blocking=False):
            raise TimeoutError(f"{self._most} calls are under way and do not end")
        future: Future[T] = Future()
        context = contextvars.copy_context()

        def work_on() -> None:
            try:
                future.set_result(context.run(work))
            except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
                future.set_exception(error)
            finally:
                self._free.release()

        threading.Thread(target=work_on, name="trial", daemon=True).start()
        try:
            return future.result(seconds)
        except TimeoutError:
            if future.done():
                raise
            raise TimeoutError(f"the collection on trial did not answer in {seconds:g} s") from None
