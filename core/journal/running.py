"""Steps of the protocol: what a write, a round and a fence do, one call after the other.

Rule: everything that can wait, fail or be interrupted is a step. The generators in ``writing``,
``rounds`` and ``fences`` decide, and whoever runs them does the steps: directly, in an event loop,
or in the scheduler of the model check.
"""

import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
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


def run_steps(steps: Steps[Kind]) -> Kind:
    """Does the steps one after the other and returns the generator's result."""
    try:
        step = next(steps)
        while True:
            try:
                result = step()
            # Whatever a step raises belongs to the generator, which may raise it again.
            except BaseException as error:  # noqa: BLE001
                step = steps.throw(error)
            else:
                step = steps.send(result)
    except StopIteration as end:
        result = end.value
    return result  # type: ignore[no-any-return]  # what the generator returns
