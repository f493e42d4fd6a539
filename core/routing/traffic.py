"""What searches experienced, in the database: rows that are only added, and folded as they age.

Rule: a row is one process's batch. The last batch of each process is stored, so a batch that is
written twice counts once. Folding replaces rows by their sum in one transaction. Redis holds none
of it, so nothing is lost when it is emptied. What a deployment that has not ended has observed is
judged again at each look, so it keeps its groups of users and is not deleted, however old it is.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, select, text
from sqlalchemy.orm import Session, sessionmaker

from qdrant_rollouts.core.database.models import OPEN, BatchRow, Deployment, TrafficRow
from qdrant_rollouts.core.ports import Clock
from qdrant_rollouts.core.routing import search_history
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.statistics.traffic_sketch import TrafficSketch
from qdrant_rollouts.core.times import floor_time

_MOST_ROWS = 2000
#: Any number that is the same in every process and no other lock's.
_FOLDING = 7_246_128
#: The kind of what users searched.
REAL = "real"


@dataclass(frozen=True, slots=True)
class _FoldLevel:
    """Rows of one key and one window become one row, called ``name``, when the whole window is
    ``age`` old."""

    name: str
    age: timedelta
    window: timedelta
    #: The groups of users are dropped, unless somebody still compares two arms in this data.
    condensed: bool = False


_LEVELS = (
    _FoldLevel("minute", age=timedelta(minutes=1), window=timedelta(minutes=1)),
    _FoldLevel("hour", age=timedelta(hours=2), window=timedelta(hours=1)),
    _FoldLevel("day", age=timedelta(days=2), window=timedelta(days=1), condensed=True),
)
_FOLDED = frozenset(level.name for level in _LEVELS)


@dataclass(frozen=True, slots=True)
class TrafficKey:
    """What a sketch belongs to. ``variant``: live, control, canary or unrouted; ``kind``: real
    (users), synthetic (probes), shadow, or bypassed (searches that could not be sent to green)."""

    alias: str
    stage: str
    variant: str
    kind: str
    collection: str


def write_tallies(
    sessions: sessionmaker[Session],
    clock: Clock,
    process: str,
    sequence: int,
    tallies: Mapping[TrafficKey, TrafficSketch],
    also: Callable[[Session, datetime], None] = lambda session, now: None,
) -> bool:
    """Adds a batch, and in the same transaction what ``also`` adds. A batch that is already stored,
    because the answer to its commit was lost, is not added again; returns False then."""
    with sessions.begin() as session:
        now = clock.now(session)
        if not claim_batch(session, process, sequence, now):
            return False
        session.add_all(
            TrafficRow(
                **asdict(key), process=writer, sequence=sequence, at=now, tally=tally.to_json()
            )
            for key, writer, tally in _name_writers(process, tallies)
        )
        also(session, now)
        return True


def read_tallies(
    session: Session, alias: str, stage: str, since: datetime | None = None
) -> dict[TrafficKey, TrafficSketch]:
    """Returns what was observed in a stage: everything, or what was written ``since``."""
    query = select(TrafficRow).where(TrafficRow.alias == alias, TrafficRow.stage == stage)
    return _sum_rows(
        session.scalars(query if since is None else query.where(TrafficRow.at >= since))
    )


def read_tallies_by_stage(
    session: Session, alias: str, prefix: str = "", since: datetime | None = None
) -> dict[str, dict[TrafficKey, TrafficSketch]]:
    """Returns the same for every stage whose name begins with ``prefix``."""
    query = select(TrafficRow).where(
        TrafficRow.alias == alias, TrafficRow.stage.startswith(prefix, autoescape=True)
    )
    if since is not None:
        query = query.where(TrafficRow.at >= since)
    found: dict[str, dict[TrafficKey, TrafficSketch]] = defaultdict(dict)
    for key, tally in _sum_rows(session.scalars(query)).items():
        found[key.stage][key] = tally
    return dict(found)


def read_tallies_of_collection(
    session: Session, alias: str, collection: str, since: datetime
) -> dict[TrafficKey, TrafficSketch]:
    """Returns what was observed of a collection in all stages and written ``since``."""
    mine = TrafficRow.alias == alias, TrafficRow.collection == collection
    return _sum_rows(session.scalars(select(TrafficRow).where(*mine, TrafficRow.at >= since)))


def list_unfolded(
    session: Session, alias: str, since: datetime, limit: int
) -> Sequence[Row[datetime, str, dict[str, Any]]]:
    """Returns time, collection and tally of the last batches of users' searches that are written
    ``since`` and are not in the history of searches yet."""
    query = select(TrafficRow.at, TrafficRow.collection, TrafficRow.tally).where(
        TrafficRow.alias == alias,
        TrafficRow.at >= since,
        TrafficRow.kind == REAL,
        TrafficRow.process.not_in(_FOLDED),
    )
    return session.execute(query.order_by(TrafficRow.at.desc()).limit(limit)).all()


def fold_traffic(services: Services) -> int:
    """Sums up old rows; returns by how many the rows decreased. Safe to run in parallel: while
    another process folds, this one does not."""
    return sum(_fold_level(services, number, level) for number, level in enumerate(_LEVELS))


def prune_traffic(services: Services, days: float = 30) -> int:
    """Deletes what is older than ``days`` and that nobody judges any more; returns how many
    rows."""
    with services.sessions.begin() as session:
        before = services.clock.now(session) - timedelta(days=days)
        session.execute(delete(BatchRow).where(BatchRow.at < before))
        old = delete(TrafficRow).where(TrafficRow.at < before, ~_is_judged())
        return len(session.execute(old.returning(TrafficRow.id)).all())


def claim_batch(session: Session, process: str, sequence: int, now: datetime) -> bool:
    """Notes in the caller's transaction that this batch of the process is stored; returns False if
    it is already."""
    row = session.get(BatchRow, process, with_for_update=True)
    if row is not None and row.sequence >= sequence:
        return False
    session.merge(BatchRow(process=process, sequence=sequence, at=now))
    return True


def _name_writers(
    process: str, tallies: Mapping[TrafficKey, TrafficSketch]
) -> Iterator[tuple[TrafficKey, str, TrafficSketch]]:
    """The table takes one row of a process's batch for a collection, whatever its alias. So rows of
    further aliases get a name that no process has, with a space."""
    found: Counter[TrafficKey] = Counter()
    for key, tally in tallies.items():
        place = replace(key, alias="")
        found[place] += 1
        writer = process
        if found[place] > 1:
            writer = f"{process} {found[place]}"
        yield key, writer, tally


def _fold_level(services: Services, number: int, level: _FoldLevel) -> int:
    done = [later.name for later in _LEVELS[number:]]
    with services.sessions.begin() as session:
        if not _is_only_folder(session):
            return 0
        before = floor_time(services.clock.now(session) - level.age, level.window)
        query = select(TrafficRow).where(TrafficRow.at < before, TrafficRow.process.not_in(done))
        query = query.order_by(TrafficRow.id).limit(_MOST_ROWS).with_for_update(skip_locked=True)
        rows = session.scalars(query).all()
        windows: dict[tuple[TrafficKey, datetime], list[TrafficRow]] = defaultdict(list)
        for row in rows:
            windows[_key_of_row(row), floor_time(row.at, level.window)].append(row)
        search_history.add_searches(session, [row for row in rows if _is_new_to_history(row)])
        judged: frozenset[str] = frozenset()
        if level.condensed:
            judged = _list_judged(session, {key.stage for key, _ in windows})
        for (key, _), folded in windows.items():
            condensed = level.condensed and key.stage not in judged
            _fold_rows(session, key, replace(level, condensed=condensed), folded)
        return len(rows) - len(windows)


def _is_only_folder(session: Session) -> bool:
    """Whether nobody else folds until the transaction ends. Two that did would wait for each
    other's rows in the history. SQLite's transactions begin with the lock of the whole database."""
    if session.get_bind().dialect.name != "postgresql":
        return True
    locked = text("SELECT pg_try_advisory_xact_lock(:number)")
    return bool(session.scalar(locked, {"number": _FOLDING}))


def _is_new_to_history(row: TrafficRow) -> bool:
    return row.kind == REAL and row.process not in _FOLDED


def _is_judged() -> ColumnElement[bool]:
    """Whether a row belongs to a stage of a deployment that has not ended."""
    own = TrafficRow.stage.startswith(Deployment.id.concat("/"))
    return select(Deployment.id).where(OPEN, own).exists()


def _list_judged(session: Session, stages: Iterable[str]) -> frozenset[str]:
    query = select(TrafficRow.stage).where(TrafficRow.stage.in_(stages), _is_judged())
    return frozenset(session.scalars(query.distinct()))


def _fold_rows(
    session: Session, key: TrafficKey, level: _FoldLevel, rows: list[TrafficRow]
) -> None:
    total = TrafficSketch()
    for row in rows:
        total.merge(TrafficSketch.from_json(row.tally))
    if level.condensed:
        total = total.condense()
    first = rows[0]
    tally = total.to_json()
    session.add(
        TrafficRow(**asdict(key), process=level.name, sequence=first.id, at=first.at, tally=tally)
    )
    for row in rows:
        session.delete(row)


def _sum_rows(rows: Iterable[TrafficRow]) -> dict[TrafficKey, TrafficSketch]:
    found: dict[TrafficKey, TrafficSketch] = defaultdict(TrafficSketch)
    for row in rows:
        found[_key_of_row(row)].merge(TrafficSketch.from_json(row.tally))
    return dict(found)


def _key_of_row(row: TrafficRow) -> TrafficKey:
    return TrafficKey(row.alias, row.stage, row.variant, row.kind, row.collection)
