"""What every verb shares: the services it works with, who it is, and the one place where errors
become exit codes."""

import importlib
import io
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.logging import RichHandler
from sqlalchemy.exc import DBAPIError

from qdrant_rollouts.adapters import database
from qdrant_rollouts.adapters.late import late
from qdrant_rollouts.core.config.settings import Settings, find_unknown_variables, load_settings
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.faults import find_meaning
from qdrant_rollouts.core.errors import (
    AppError,
    Misconfigured,
    NothingHere,
    OtherRelease,
    Refused,
    Unavailable,
)
from qdrant_rollouts.core.sanitize.quoting import shorten_message
from qdrant_rollouts.core.sanitize.redaction import guard_process, redact
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.people import login_name
from qdrant_rollouts.interfaces.repeats import OncePerSecond
from qdrant_rollouts.wiring import (
    EMBEDDED_STORE,
    build_read_only,
    build_services,
    describe_missing_database,
)

if TYPE_CHECKING:
    from qdrant_rollouts.interfaces.embedded import Embedded

DONE = 0
ENDED_BADLY = 1
REFUSED = 2
UNREACHABLE = 3
TIMED_OUT = 4
INTERRUPTED = 130


class TimedOut(AppError):
    """The time of --timeout ran out."""


#: The first kind that fits gives the word before the message, and the exit code.
MEANINGS: dict[type[BaseException], tuple[str, int]] = {
    TimedOut: ("still under way", TIMED_OUT),
    Refused: ("refused", REFUSED),
    Misconfigured: ("refused", REFUSED),
    OtherRelease: ("refused", REFUSED),
    Unavailable: ("unavailable", UNREACHABLE),
    AppError: ("failed", ENDED_BADLY),
    OSError: ("unavailable", UNREACHABLE),
    KeyboardInterrupt: ("interrupted", INTERRUPTED),
}


@dataclass(frozen=True, slots=True)
class CliContext:
    """What a verb works with. ``runner`` is there with the embedded default only."""

    settings: Settings
    services: Services
    runner: "Embedded | None"


def verb(body: Callable[..., int]) -> Callable[..., None]:
    """What click calls: ``body`` answers the exit code with which the process ends."""

    @wraps(body)
    def call(**given: Any) -> None:
        sys.exit(run(body, given))

    return call


def run(body: Callable[..., int], given: Mapping[str, Any]) -> int:
    """The exit code of a verb that was called with what the command line gave."""
    _write_what_the_terminal_cannot()
    guard_process()
    log_to_the_terminal()
    try:
        with events.use_source("cli"):
            return body(**given)
    except BrokenPipeError:
        raise
    except (AppError, DBAPIError, OSError, KeyboardInterrupt) as error:
        if isinstance(error, DBAPIError) and find_meaning(error) is None:
            raise
        return _report_error(_own_error(error))


@contextmanager
def open_services(*, starts: bool = False, needs: str = "nothing") -> Iterator[CliContext]:
    """The services, closed again in the end. Raises Unavailable, with nothing changed, if a verb
    that ``starts`` something meets a broker that does not answer; NothingHere, with nothing made,
    where no database is and what the verb ``needs`` (a word of ``_NEEDS``) is not there either: it
    would be the first of a folder in vain."""
    settings = _settings_with_warnings()
    if starts and not settings.embedded:
        late("adapters.broker", "ping_broker")(settings)
    if not _NEEDS[needs](settings) and (lacks := describe_missing_database(settings)):
        raise NothingHere(lacks)
    if settings.embedded:
        runner = late("interfaces.embedded", "Embedded")(settings)
        house = CliContext(settings, runner.services, runner)
    else:
        house = CliContext(settings, build_services(settings), None)
    with _close_services(house):
        yield house


@contextmanager
def open_for_reading(*, store: bool = False, shelf: bool = False) -> Iterator[CliContext]:
    """The same for one who only looks: no folder, file, table or row is made or changed. Without a
    database there is nothing to see, so NothingHere is raised, unless the index file says that this
    is the right folder, or what was asked for stands in the ``store`` or on the ``shelf`` too; then
    what is lacking is said, and the rest is shown."""
    settings = _settings_with_warnings()
    elsewhere = (
        settings.config.exists()
        or (store and _has_store(settings))
        or (shelf and _has_shelf(settings))
    )
    services, lacks = build_read_only(settings, empty=elsewhere)
    if lacks:
        screen.print_note(f"note: {lacks}")
    house = CliContext(settings, services, None)
    with _close_services(house):
        yield house


@contextmanager
def open_or_empty() -> Iterator[CliContext]:
    """For a search: it is written down where a database is, and makes none where none is."""
    with (
        open_for_reading(store=True)
        if describe_missing_database(load_settings())
        else open_services() as house
    ):
        yield house


def _settings_with_warnings() -> Settings:
    settings = load_settings()
    for fault in find_unknown_variables():
        screen.print_note(f"warning: {fault}")
    return settings


def _has_store(settings: Settings) -> bool:
    return bool(settings.qdrant_url) or Path(EMBEDDED_STORE).exists()


def _has_shelf(settings: Settings) -> bool:
    return "://" in settings.backup_dir or Path(settings.backup_dir).exists()


def _is_placed(settings: Settings) -> bool:
    """Whether anything says that this is the folder, or which database is meant."""
    return settings.config.exists() or "database_url" in settings.model_fields_set


#: What a verb may need that makes a database where there is none.
_NEEDS: dict[str, Callable[[Settings], bool]] = {
    "nothing": lambda settings: True,
    "place": _is_placed,
    "store": _has_store,
    "place or store": lambda settings: _is_placed(settings) or _has_store(settings),
    "rows": lambda settings: False,
}


@contextmanager
def _close_services(house: CliContext) -> Iterator[None]:
    try:
        yield
    finally:
        house.services.close()


def actor() -> str:
    return login_name("cli")


def _report_error(error: BaseException) -> int:
    how, code = next(found for kind, found in MEANINGS.items() if isinstance(error, kind))
    screen.print_note(shorten_message(f"{how}: {redact(str(error))}".removesuffix(": ")))
    return code


def _own_error(error: BaseException) -> BaseException:
    """The driver of the database speaks in many ways of one thing."""
    if not isinstance(error, DBAPIError):
        return error
    return database.unavailable_error(
        database.open_engine(load_settings().database_url.get_secret_value()), error
    )


def _write_what_the_terminal_cannot() -> None:
    """A symbol that the stream's encoding lacks is written as its number; it must not end the
    verb."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def log_to_the_terminal(*, times: bool = False) -> None:
    """Warnings only, on stderr, and through rich, so that a live display is not torn. What an alert
    says of a deployment is on the screen already. ``times`` are for processes that stay; there,
    what happens again and again has one line a second."""
    console = screen.make_console(err=True)
    handler = RichHandler(
        console=console, show_path=False, show_time=times, log_time_format="%H:%M:%S"
    )
    if times:
        handler.addFilter(OncePerSecond())
        # The handler imports this with its first line, which a process without free descriptors
        # cannot do.
        importlib.import_module("rich.table")
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler], force=True)
    logging.getLogger("rollouts.alerts").setLevel(logging.CRITICAL)
    logging.captureWarnings(capture=True)
