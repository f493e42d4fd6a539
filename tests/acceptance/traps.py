"""Places where a worker does what a test wants: it dies, stops, waits, or loses a message. Each
trap works once.

A trap is a file, so a test can set one while the workers run. Its name is the place, and its
content is the act. The process that renames it has reached the place; it records its own id and the
time.
"""

import json
import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path

KILL = "kill"
STOP = "stop"
HOLD = "hold"
LOSE = "lose"
_LOOK = 0.05
#: A process that is held for longer than this belongs to a test that has failed.
_LONGEST_HOLD = 45.0


@dataclass(frozen=True)
class Sprung:
    """``at``: the wall clock in seconds right before the act. ``turn``: the turn that a message was
    about."""

    pid: int
    at: float
    turn: int | None = None


class Traps:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    # --- the test's side --------------------------------------------------------------------------

    def set(self, alias: str, place: str, act: str, *, after: int = 0) -> None:
        """Sets a trap that springs after so many passes. A trap that has sprung can be set
        again."""
        for ending in ("sprung", "taken"):
            (self._folder / f"{alias}.{place}.{ending}").unlink(missing_ok=True)
        self._write(f"{alias}.{place}", f"{act} {after}" if after else act)

    def sprung(self, alias: str, place: str) -> Sprung | None:
        try:
            return Sprung(**json.loads((self._folder / f"{alias}.{place}.sprung").read_text()))
        except FileNotFoundError:
            return None

    def release(self, alias: str, place: str) -> None:
        (self._folder / f"{alias}.{place}.released").touch()

    def multiply(self, alias: str, copies: int) -> None:
        """Makes each later message about ``alias`` be sent so many times."""
        self._write(f"{alias}.copies", str(copies))

    # --- the worker's side ------------------------------------------------------------------------

    def step_on(self, alias: str, place: str, turn: int | None = None) -> str:
        """Returns what happened: nothing, or the act of the trap at this place."""
        trap = self._folder / f"{alias}.{place}"
        try:
            taken = trap.rename(f"{trap}.taken")
        except FileNotFoundError:
            return ""
        act, _, passes = taken.read_text().partition(" ")
        if passes:
            self._write(trap.name, f"{act} {int(passes) - 1}" if int(passes) > 1 else act)
            return ""
        self._write(
            f"{alias}.{place}.sprung",
            json.dumps({"pid": os.getpid(), "at": time.time(), "turn": turn}),
        )
        if act in (KILL, STOP):
            os.kill(os.getpid(), signal.SIGKILL if act == KILL else signal.SIGSTOP)
        elif act == HOLD:
            self._wait_for(Path(f"{trap}.released"))
        return act

    def copies(self, alias: str) -> int:
        try:
            return int((self._folder / f"{alias}.copies").read_text())
        except FileNotFoundError:
            return 1

    def _write(self, name: str, content: str) -> None:
        """Writes the file in one act, so a reader never finds half of it."""
        half = self._folder / f"{name}.{os.getpid()}-{threading.get_ident()}"
        half.write_text(content)
        half.rename(self._folder / name)

    def _wait_for(self, released: Path) -> None:
        end = time.monotonic() + _LONGEST_HOLD
        while not released.exists() and time.monotonic() < end:
            time.sleep(_LOOK)
