"""Steps of the protocol: what a write, a round and a fence do, one call after the other.

Rule: everything that can wait, fail or be interrupted is a step. The generators in ``writing``,
``rounds`` and ``fences`` decide, and whoever runs them does the steps: directly, in an event loop,
or in the scheduler of the model check.
"""

import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from operator import call
from typing import Any, TypeVar

#: Is called without arguments, and its result goes back to the generator.
Step = Callable[[], Any]
Kind = TypeVar("Kind")
Steps = Generator[Step, Any, Kind]


@dataclass(frozen=True, slots=True)
class Pause:
    """A step that waits."""

    seconds: float

    def __call__(self) -> None:
        threading.Event().wait(self.seconds)


def run_steps(steps: Generator[Any, Any, Kind], take_step: Callable[[Any], Any] = call) -> Kind:
    """As ``await_steps``, where ``take_step`` returns when the step is done."""

    async def take_at_once(step: Any) -> Any:
        return take_step(step)

    running = await_steps(steps, take_at_once)
    try:
        running.send(None)
    except StopIteration as end:
        result: Kind = end.value
        return result
    raise AssertionError("a step that is done at once was awaited")


async def await_steps(
    steps: Generator[Any, Any, Kind], take_step: Callable[[Any], Awaitable[Any]]
) -> Kind:
    """Does the steps one after the other by ``take_step``, and returns the generator's result."""
    with closing(steps):
        try:
            step = next(steps)
            while True:
                try:
                    result = await take_step(step)
                # Whatever a step raises belongs to the generator, which may raise it again.
                except BaseException as error:  # noqa: BLE001
                    step = steps.throw(error)
                else:
                    step = steps.send(result)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # what the generator returns
