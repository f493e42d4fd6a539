"""The log lines of a deployment: kept while one of its turns runs, and stored when it saves its
state and after it.

Rule: no line is worth a turn. Lines are stored in transactions of their own: of a long turn after a
state was saved, and the rest after the turn was written and its message was sent. If that fails,
the lines are lost and the turn is not. Of a killed turn the lines since its last saved state are
lost.
"""

import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.log_rows import LogLineRow
from qdrant_rollouts.core.deployments.plan import Hold, Reject, Wait
from qdrant_rollouts.core.deployments.turn_runs import Crashed, RetryLater
from qdrant_rollouts.core.sanitize.quoting import escape_controls, shorten_text
from qdrant_rollouts.core.sanitize.redaction import redact
from qdrant_rollouts.core.services import Services

log = logging.getLogger(__name__)

#: The newest lines of a deployment that are kept, and for how long.
MOST_LINES = 500
KEEP = timedelta(days=30)
#: Lines of one turn that are stored while it runs, and after it the newest of the others.
_MOST_OF_TURN = 100
#: Seconds from one time that lines are stored to the next, while a turn runs.
_STORE_EVERY = 5.0
#: Characters of a message, and of the end of a traceback.
_LONGEST_MESSAGE = 2000
_LONGEST_TRACE = 4000
#: A turn that only waits is told if it took so many seconds.
_WORTH_TELLING = 1.0
#: Of other programs' loggers only warnings are kept.
_OURS = "qdrant_rollouts"

#: Writes how each turn ended. Only the stored log has these lines: the log of a worker has them
#: already, as the results of its tasks.
_turns = logging.getLogger(f"{_OURS}.turns")


@dataclass(frozen=True, slots=True)
class _Line:
    """``created``: seconds of this machine's clock."""

    created: float
    level: str
    logger: str
    text: str


@dataclass(slots=True)
class _Kept:
    """The lines of one turn that are not stored yet. ``left``: how many more are stored while the
    turn runs, ``next_at``: not before this second of the process."""

    services: Services
    deployment_id: str
    process: str
    lines: deque[_Line] = field(default_factory=lambda: deque(maxlen=_MOST_OF_TURN))
    left: int = _MOST_OF_TURN
    next_at: float = 0.0


_kept: ContextVar[_Kept | None] = ContextVar("kept_log_lines", default=None)


class _Keeper(logging.Handler):
    """Keeps the records of the turn that this thread works on."""

    def emit(self, record: logging.LogRecord) -> None:
        kept = _kept.get()
        if kept is None or not _is_worth_keeping(record):
            return
        try:
            kept.lines.append(
                _Line(record.created, _name_level(record), record.name, _build_text(record))
            )
        except Exception:  # noqa: BLE001 - the record's arguments may be the fault, as in any handler
            self.handleError(record)


_KEEPER = _Keeper()


@contextmanager
def keep_lines(services: Services, deployment_id: str, process: str) -> Iterator[None]:
    """Keeps what is logged inside, and stores it as lines of the deployment: at ``store_so_far``,
    and at the end. A thread that is started inside belongs to it only with a copy of the
    context."""
    _listen()
    kept = _Kept(services, deployment_id, process)
    token = _kept.set(kept)
    try:
        yield
    finally:
        _kept.reset(token)
        # a copy, because a thread that nobody waits for may still log
        if lines := tuple(kept.lines):
            _store_or_lose(kept, lines)


def store_so_far() -> None:
    """Stores the lines of the present turn, so that they outlive its worker. Does nothing too soon
    after the last time, after many lines, or once it has failed: then the end of the turn stores
    what is kept."""
    kept = _kept.get()
    if kept is None or not kept.lines or kept.left <= 0 or time.monotonic() < kept.next_at:
        return
    lines = tuple(kept.lines)[: kept.left]
    if _try_to_store(kept, lines, kept.services.interruptions):
        kept.left = 0
        return
    kept.left -= len(lines)
    kept.next_at = time.monotonic() + _STORE_EVERY
    for line in lines:  # another thread may have pushed out some of them
        if kept.lines and kept.lines[0] is line:
            kept.lines.popleft()


def tell_end(line: str, outcome: object, seconds: float) -> None:
    """Logs how a turn ended. A short turn that only waits says nothing: a watch has hundreds."""
    level = logging.INFO
    if isinstance(outcome, Hold | Reject | RetryLater | Crashed):
        level = logging.WARNING
    elif isinstance(outcome, Wait) and seconds < _WORTH_TELLING:
        return
    _turns.log(level, "%s (%.1f s)", line, seconds)


def forget_old_lines(services: Services) -> int:
    """Deletes the lines that are older than ``KEEP``; returns how many."""
    with services.sessions.begin() as session:
        before = services.clock.now(session) - KEEP
        gone = session.execute(delete(LogLineRow).where(LogLineRow.at < before))
        return int(getattr(gone, "rowcount", 0))


def _listen() -> None:
    """Before each turn, because a process may set up its logging anew at any time."""
    root = logging.getLogger()
    if not root.handlers and logging.lastResort is not None:
        root.addHandler(logging.lastResort)  # it is used only while there is no handler
    if _KEEPER not in root.handlers:
        root.addHandler(_KEEPER)
    if _KEEPER not in _turns.handlers:
        _turns.addHandler(_KEEPER)
    _turns.propagate = False
    _turns.setLevel(logging.INFO)


def _is_worth_keeping(record: logging.LogRecord) -> bool:
    least = logging.WARNING
    if record.name.partition(".")[0] == _OURS:
        least = logging.INFO
    return record.levelno >= least


def _name_level(record: logging.LogRecord) -> str:
    if record.levelno >= logging.ERROR:
        return "error"
    if record.levelno >= logging.WARNING:
        return "warning"
    return "info"


def _build_text(record: logging.LogRecord) -> str:
    """Redacts before it cuts, so that no part of a secret remains. Of a traceback the end says
    most."""
    text = shorten_text(redact(record.getMessage()), _LONGEST_MESSAGE)
    if not record.exc_info:
        return escape_controls(text)
    trace = redact(record.exc_text or logging.Formatter().formatException(record.exc_info))
    if len(trace) > _LONGEST_TRACE:
        trace = f"…{trace[-_LONGEST_TRACE:]}"
    return escape_controls(f"{text}\n{trace}")


def _store_or_lose(kept: _Kept, lines: Sequence[_Line]) -> None:
    if fault := _try_to_store(kept, lines):
        log.warning(
            "%s log lines of deployment %s are lost: %s", len(lines), kept.deployment_id, fault
        )


def _try_to_store(
    kept: _Kept, lines: Sequence[_Line], passes: tuple[type[BaseException], ...] = ()
) -> str:
    """Returns what went wrong; empty if nothing did. Errors of ``passes`` are raised."""
    try:
        with kept.services.sessions.begin() as session:
            now = kept.services.clock.now(session)
            _store(session, now, kept.deployment_id, kept.process, lines)
    except passes:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not cost the turn
        return type(error).__name__
    return ""


def _store(
    session: Session, now: datetime, deployment_id: str, process: str, kept: Sequence[_Line]
) -> None:
    """The times become those of the database, as all others are."""
    ahead = now - datetime.now(UTC)
    session.add_all(
        LogLineRow(
            deployment_id=deployment_id,
            at=datetime.fromtimestamp(line.created, UTC) + ahead,
            level=line.level,
            process=process,
            logger=line.logger,
            text=line.text,
        )
        for line in kept
    )
    session.flush()
    mine = LogLineRow.deployment_id == deployment_id
    surplus = select(LogLineRow.id).where(mine).order_by(LogLineRow.id.desc()).offset(MOST_LINES)
    oldest = session.scalar(surplus.limit(1))
    if oldest is not None:
        session.execute(
            delete(LogLineRow).where(mine, LogLineRow.id <= oldest),
            execution_options={"synchronize_session": False},
        )
