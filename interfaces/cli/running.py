"""What all verbs share: their services, the name of the user, and the only place where errors
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
from qdrant_rollouts.core.lifecycle import MOVING
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
    """The time of --timeout is over."""


#: The first class that fits decides the word before the message, and the exit code.
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
    """What a verb works with. ``runner`` exists only with the embedded default."""

    settings: Settings
    services: Services
    runner: "Embedded | None"


def verb(body: Callable[..., int]) -> Callable[..., None]:
    """Returns the function that click calls. ``body`` returns the exit code of the process."""

    @wraps(body)
    def call(**given: Any) -> None:
        sys.exit(run(body, given))

    return call


def run(body: Callable[..., int], given: Mapping[str, Any]) -> int:
    """Calls the verb with the values from the command line, and returns the exit code."""
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
    """Opens the services, and closes them at the end. If the verb ``starts`` something and the
    broker does not answer, this raises Unavailable and changes nothing. If there is no database,
    and what the verb ``needs`` (a key of ``_NEEDS``) does not exist either, this raises NothingHere
    and makes nothing: a new database would be useless."""
    settings = _settings_with_warnings()
    if starts and not settings.embedded:
        late("adapters.broker", "ping_broker")(settings)
    if not _NEEDS[needs](settings) and (lacks := describe_missing_database(settings)):
        raise NothingHere(lacks)
    if settings.embedded:
        runner = late("interfaces.embedded", "Embedded")(settings)
        context = CliContext(settings, runner.services, runner)
    else:
        context = CliContext(settings, build_services(settings), None)
    with _close_services(context):
        yield context


@contextmanager
def open_for_reading(*, store: bool = False, shelf: bool = False) -> Iterator[CliContext]:
    """The same for a verb that only reads: it makes and changes no folder, file, table or row.
    Without a database it raises NothingHere, because there is nothing to show. But if the index
    file exists, or the ``store`` or the ``shelf`` that the verb reads, it says what is missing and
    shows the rest."""
    settings = _settings_with_warnings()
    elsewhere = (
        settings.config.exists()
        or (store and _has_store(settings))
        or (shelf and _has_shelf(settings))
    )
    services, lacks = build_read_only(settings, empty=elsewhere)
    if lacks:
        screen.print_note(f"note: {lacks}")
    context = CliContext(settings, services, None)
    with _close_services(context):
        yield context


@contextmanager
def open_or_empty() -> Iterator[CliContext]:
    """Opens the services for a search. The search is recorded if there is a database; otherwise
    none is made."""
    with (
        open_for_reading(store=True)
        if describe_missing_database(load_settings())
        else open_services() as context
    ):
        yield context


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
    """Returns whether the index file or the settings show that this is the right folder or
    database."""
    return settings.config.exists() or "database_url" in settings.model_fields_set


#: What a verb may need in order to make a database if there is none.
_NEEDS: dict[str, Callable[[Settings], bool]] = {
    "nothing": lambda settings: True,
    "place": _is_placed,
    "store": _has_store,
    "place or store": lambda settings: _is_placed(settings) or _has_store(settings),
    "rows": lambda settings: False,
}


@contextmanager
def _close_services(context: CliContext) -> Iterator[None]:
    try:
        yield
    except Refused as error:
        told = error.waits_for and _describe_missing_process(context, error.waits_for)
        if not told:
            raise
        raise Refused(f"{error}; {told}", waits_for=error.waits_for) from error
    finally:
        context.services.close()


def _describe_missing_process(context: CliContext, deployment_id: str) -> str:
    """Returns why the deployment does not go on by itself, and what to do; empty if a process runs
    it, or if it waits for a person."""
    seen = late("core.operations.views.queries", "get_deployment")(context.services, deployment_id)
    if seen["status"] not in MOVING:
        return ""
    if not context.settings.embedded:
        waits = seen["waits"]
        return f"{waits['text']}: {waits['next']}" if waits else ""
    if late("interfaces.embedded", "running_elsewhere")() is not None:
        return ""
    return "no process runs it: `rollouts up` continues it"


def actor() -> str:
    return login_name("cli")


def _report_error(error: BaseException) -> int:
    how, code = next(found for kind, found in MEANINGS.items() if isinstance(error, kind))
    screen.print_note(shorten_message(f"{how}: {redact(str(error))}".removesuffix(": ")))
    return code


def _own_error(error: BaseException) -> BaseException:
    """Returns one error for the many messages that database drivers have for one fault."""
    if not isinstance(error, DBAPIError):
        return error
    return database.unavailable_error(
        database.open_engine(load_settings().database_url.get_secret_value()), error
    )


def _write_what_the_terminal_cannot() -> None:
    """Writes a symbol that the stream's encoding lacks as its number, so that it does not end the
    verb."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def log_to_the_terminal(*, times: bool = False) -> None:
    """Logs only warnings, to stderr, and through rich, so that a live display stays intact. Alerts
    about a deployment are not logged, because the screen shows them. ``times`` is for processes
    that keep running: they log with times, and repeat a message at most once per second."""
    console = screen.make_console(err=True)
    handler = RichHandler(
        console=console, show_path=False, show_time=times, log_time_format="%H:%M:%S"
    )
    if times:
        handler.addFilter(OncePerSecond())
        # The handler imports this with its first line. A process without free file descriptors
        # could not do it then.
        importlib.import_module("rich.table")
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler], force=True)
    logging.getLogger("rollouts.alerts").setLevel(logging.CRITICAL)
    logging.captureWarnings(capture=True)
