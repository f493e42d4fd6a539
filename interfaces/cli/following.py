"""Watching a deployment until something has happened: a live tree at a terminal, a line for each change in a pipe."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from qdrant_rollouts.core.lifecycle import FINAL, Status
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.cli import picture, screen
from qdrant_rollouts.interfaces.cli.running import TimedOut

Seen = Mapping[str, Any]
Show = Callable[[Seen], None]

_LOOK = 0.5
_ENDED = {*FINAL, Status.NEEDS_OPERATOR}


def ended(seen: Seen) -> bool:
    """Nothing more happens to it unless a person acts."""
    return seen["status"] in _ENDED


def follow(
    services: Services,
    deployment_id: str,
    *,
    timeout: float | None = None,
    as_json: bool = False,
    below: Callable[[], RenderableType] = Group,
) -> Seen:
    """Shows the deployment until it has ended, at a terminal with what ``below`` gives under it. Raises TimedOut after
    ``timeout`` seconds."""
    pause = threading.Event()
    until = time.monotonic() + timeout if timeout is not None else float("inf")
    with _shown(screen.console(err=as_json), below) as show:
        while True:
            seen = queries.deployment(services, deployment_id)
            show(seen)
            if ended(seen):
                return seen
            left = until - time.monotonic()
            if left <= 0:
                raise TimedOut(f"deployment {seen['id']} is {seen['status']} after {timeout:g} s")
            pause.wait(min(_LOOK, left))


@contextmanager
def _shown(console: Console, below: Callable[[], RenderableType]) -> Iterator[Show]:
    if not console.is_terminal or console.is_dumb_terminal:
        yield _Lines(console)
        return
    with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
        yield lambda seen: live.update(Group(picture.tree(seen), below()), refresh=True)


class _Lines:
    """One line for each change of the status, a step or a message; the last one says how it ended."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._known: dict[str, str] = {}

    def __call__(self, seen: Seen) -> None:
        steps = [(picture.label(step), step) for step in picture.begun(seen)]
        told = [(name, f"{name} {step['status']}", step["message"]) for name, step in steps]
        message = seen["queue"]["text"] if seen["queue"] else seen["message"]
        told.insert(len(told) if ended(seen) else 0, ("", f"{seen['alias']} {seen['id']} {seen['status']}", message))
        for key, what, said in told:
            self._tell(key, what, said)

    def _tell(self, key: str, what: str, message: str) -> None:
        line = f"{what}: {message}" if message else what
        if self._known.get(key) != line:
            self._known[key] = line
            self._console.print(Text(screen.plain(line)), soft_wrap=True)
