"""Follows a deployment until it ends: with a live tree at a terminal, or with one line for each
change in a pipe."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from qdrant_rollouts.core.lifecycle import FINAL, Status
from qdrant_rollouts.core.operations.views.overview.deployment_situation import (
    get_deployment_with_situation,
)
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.cli import picture, screen
from qdrant_rollouts.interfaces.cli.running import TimedOut

Seen = Mapping[str, Any]
Show = Callable[[Seen], None]

_POLL_SECONDS = 0.5
_ENDED = {*FINAL, Status.NEEDS_OPERATOR}


def has_ended(seen: Seen) -> bool:
    """Returns whether nothing more happens until a person acts."""
    return seen["status"] in _ENDED


def follow_deployment(
    services: Services,
    deployment_id: str,
    *,
    timeout: float | None = None,
    as_json: bool = False,
    below: Callable[[], RenderableType] = Group,
) -> Seen:
    """Shows the deployment until it has ended. At a terminal, ``below`` is shown under it. Raises
    TimedOut after ``timeout`` seconds."""
    pause = threading.Event()
    until = time.monotonic() + timeout if timeout is not None else float("inf")
    with _open_display(screen.make_console(err=as_json), below) as show:
        while True:
            seen = get_deployment_with_situation(services, deployment_id)
            show(seen)
            if has_ended(seen):
                return seen
            left = until - time.monotonic()
            if left <= 0:
                raise TimedOut(f"deployment {seen['id']} is {seen['status']} after {timeout:g} s")
            pause.wait(min(_POLL_SECONDS, left))


@contextmanager
def _open_display(console: Console, below: Callable[[], RenderableType]) -> Iterator[Show]:
    if not console.is_terminal or console.is_dumb_terminal:
        yield _LineDisplay(console)
        return
    with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
        yield lambda seen: live.update(Group(picture.render_tree(seen), below()), refresh=True)


class _LineDisplay:
    """Prints one line for each change of the status, of a step or of a message. The last line says
    how the deployment ended."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._known: dict[str, str] = {}

    def __call__(self, seen: Seen) -> None:
        steps = [(picture.step_label(step), step) for step in picture.begun_steps(seen)]
        told = [(name, f"{name} {step['status']}", step["message"]) for name, step in steps]
        message = seen["queue"]["text"] if seen["queue"] else seen["message"]
        told.insert(
            len(told) if has_ended(seen) else 0,
            ("", f"{seen['alias']} {seen['id']} {seen['status']}", message),
        )
        if seen["status"] == Status.PAUSED and not seen["requested"]:
            waits = f"{picture.describe_decision(seen)}, from another shell; Ctrl-C ends only"
            told.append(("pause", f"{waits} this command", ""))
        for key, what, said in told:
            self._print_change(key, what, said)

    def _print_change(self, key: str, what: str, message: str) -> None:
        line = what
        if message:
            line = f"{what}: {message}"
        if self._known.get(key) != line:
            self._known[key] = line
            self._console.print(Text(screen.printable_text(line)), soft_wrap=True)
