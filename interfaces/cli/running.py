"""What every verb shares: the services it works with, who it is, and the one place where errors become exit codes."""

import importlib
import io
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.logging import RichHandler
from sqlalchemy.exc import DBAPIError

from adapters import broker, database
from core import events
from core.database_faults import meaning
from core.errors import AppError, Misconfigured, Refused, Unavailable
from core.quoting import bounded
from core.redaction import guard_process, redact
from core.services import Services
from core.settings import Settings, load_settings, unknown_variables
from interfaces.cli import screen
from interfaces.embedded import Embedded
from interfaces.people import login
from interfaces.repeats import OncePerSecond
from wiring import build

DONE, ENDED_BADLY, REFUSED, UNREACHABLE, TIMED_OUT, INTERRUPTED = 0, 1, 2, 3, 4, 130


class TimedOut(AppError):
    """The time of --timeout ran out."""


#: The first kind that fits gives the word before the message, and the exit code.
MEANINGS: dict[type[BaseException], tuple[str, int]] = {
    TimedOut: ("still under way", TIMED_OUT),
    Refused: ("refused", REFUSED),
    Misconfigured: ("refused", REFUSED),
    Unavailable: ("unavailable", UNREACHABLE),
    AppError: ("failed", ENDED_BADLY),
    OSError: ("unavailable", UNREACHABLE),
    KeyboardInterrupt: ("interrupted", INTERRUPTED),
}


@dataclass(frozen=True, slots=True)
class House:
    """What a verb works with. ``runner`` is there with the embedded default only."""

    settings: Settings
    services: Services
    runner: Embedded | None


def run(target: str, given: Mapping[str, Any]) -> int:
    """The exit code of ``module.function`` called with what the command line gave."""
    module, function = target.split(".")
    _write_what_the_terminal_cannot()
    guard_process()
    log_to_the_terminal()
    try:
        with events.through("cli"):
            return int(getattr(importlib.import_module(f"interfaces.cli.{module}"), function)(**given))
    except BrokenPipeError:
        raise
    except (AppError, DBAPIError, OSError, KeyboardInterrupt) as error:
        if isinstance(error, DBAPIError) and meaning(error) is None:
            raise
        return _told(_ours(error))


@contextmanager
def opened(*, starts: bool = False) -> Iterator[House]:
    """The services, closed again in the end. Raises Unavailable, with nothing changed, if a verb that ``starts``
    something meets a broker that does not answer."""
    settings = load_settings()
    for fault in unknown_variables():
        screen.note(f"warning: {fault}")
    if settings.embedded:
        runner = Embedded(settings)
        house = House(settings, runner.services, runner)
    else:
        if starts:
            broker.ping(settings)
        house = House(settings, build(settings), None)
    try:
        yield house
    finally:
        house.services.store.close()
        house.services.sessions.kw["bind"].dispose()


def actor() -> str:
    return login("cli")


def _told(error: BaseException) -> int:
    how, code = next(found for kind, found in MEANINGS.items() if isinstance(error, kind))
    screen.note(bounded(f"{how}: {redact(str(error))}".removesuffix(": ")))
    return code


def _ours(error: BaseException) -> BaseException:
    """The driver of the database speaks in many ways of one thing."""
    if not isinstance(error, DBAPIError):
        return error
    return database.unavailable(database.open_engine(load_settings().database_url.get_secret_value()), error)


def _write_what_the_terminal_cannot() -> None:
    """A symbol that the stream's encoding lacks is written as its number; it must not end the verb."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def log_to_the_terminal(*, times: bool = False) -> None:
    """Warnings only, on stderr, and through rich, so that a live display is not torn. What an alert says of a
    deployment is on the screen already. ``times`` are for processes that stay; there, what happens
    again and again has one line a second."""
    console = screen.console(err=True)
    handler = RichHandler(console=console, show_path=False, show_time=times, log_time_format="%H:%M:%S")
    if times:
        handler.addFilter(OncePerSecond())
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler], force=True)
    logging.getLogger("rollouts.alerts").setLevel(logging.CRITICAL)
    logging.captureWarnings(capture=True)
