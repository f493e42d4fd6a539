"""Who writes to the treatments of running experiments, and when they are compared again.

Rule: one worker writes to a treatment at a time, under a lease that it prolongs before each write.
A lease is longer than what its holder does in between, so it runs out only if that one dies.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, not_, or_, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database import leases
from qdrant_rollouts.core.database.experiment_rows import Experiment, Treatment
from qdrant_rollouts.core.database.upserts import insert_new
from qdrant_rollouts.core.lifecycle import ExperimentStatus

#: Seconds.
LEASE = 100.0
_LONGEST = timedelta(seconds=LEASE)
#: Seconds between the end of a comparison and the next one, so that an index to which nobody writes
#: is not read all the time.
PAUSE = 30.0
_PAUSE = timedelta(seconds=PAUSE)
#: Seconds. A failure that may pass by itself is told when every try has failed for so long.
PATIENCE = 600.0
_PATIENCE = timedelta(seconds=PATIENCE)


def note_treatments(
    session: Session, experiment_id: str, now: datetime, left_alone: Mapping[str, str]
) -> None:
    """Remembers the treatments, and why they are left alone. May be repeated."""
    add_missing(session, experiment_id, now, left_alone)
    for collection, why in left_alone.items():
        session.get_one(Treatment, (experiment_id, collection)).left_alone = why


def add_missing(
    session: Session, experiment_id: str, now: datetime, collections: Collection[str]
) -> None:
    """Adds rows for treatments that have none, because a release before has begun the
    experiment."""
    empty = {"left_alone": "", "round": {}, "failure": "", "failure_told": False, "next_at": now}
    counts = dict.fromkeys(("rounds", "made", "deleted", "bad"), 0)
    key = {"experiment_id": experiment_id}
    insert_new(
        session,
        Treatment,
        [{**key, "collection": name, **empty, **counts} for name in collections],
    )


def list_running(session: Session) -> list[Experiment]:
    """Returns the running experiments of which a treatment may have to be compared."""
    mine = Experiment.status == ExperimentStatus.RUNNING, Experiment.alias.is_not(None)
    return list(session.scalars(select(Experiment).where(*mine)))


def list_treatments(session: Session, experiment_id: str) -> dict[str, Treatment]:
    """Returns the rows of an experiment's treatments, by collection."""
    query = select(Treatment).where(Treatment.experiment_id == experiment_id)
    return {row.collection: row for row in session.scalars(query)}


def is_due(row: Treatment, now: datetime) -> bool:
    """Returns whether somebody should compare the treatment now, and nobody does."""
    waits = leases.lasts(row.next_at, now, _PAUSE) and row.next_at > now
    return not waits and not leases.lasts(row.followed_until, now, _LONGEST)


def claim_due(session: Session, experiment_id: str, now: datetime, owner: str) -> Treatment | None:
    """Claims the treatment that has waited longest, if one is due."""
    query = select(Treatment).where(Treatment.experiment_id == experiment_id)
    rows = session.scalars(query.order_by(Treatment.next_at).with_for_update())
    row = next((one for one in rows if is_due(one, now)), None)
    if row is not None:
        row.followed_by = owner
        prolong(row, now)
    return row


def prolong(row: Treatment, now: datetime) -> None:
    """The worker that has claimed the treatment keeps it."""
    row.followed_until = now + _LONGEST


def find_claimed(session: Session, key: tuple[str, str], owner: str) -> Treatment | None:
    """Returns the row if ``owner`` still has the claim and the experiment is running."""
    row = session.get(Treatment, key, populate_existing=True, with_for_update=True)
    if row is None or row.followed_by != owner:
        return None
    experiment = session.get_one(Experiment, row.experiment_id, populate_existing=True)
    return row if experiment.status == ExperimentStatus.RUNNING else None


def put_off(row: Treatment, now: datetime) -> None:
    """The treatment is compared again after the pause."""
    row.next_at = now + _PAUSE


def note_failure(row: Treatment, now: datetime, why: str, *, may_pass: bool) -> bool:
    """Remembers why a try failed. Returns whether that has to be told now: once until a try
    succeeds, and later if it ``may_pass`` by itself."""
    row.failure = why
    if row.failing_since is None or row.failing_since > now:
        row.failing_since = now
    tells = not row.failure_told and not (may_pass and now - row.failing_since < _PATIENCE)
    row.failure_told = row.failure_told or tells
    return tells


def forget_failure(row: Treatment) -> None:
    """A try has succeeded, or none is needed."""
    row.failure = ""
    row.failing_since = None
    row.failure_told = False


def is_being_written(session: Session, now: datetime, collection: str) -> bool:
    """Returns whether a worker may still write to ``collection`` for an experiment."""
    held = and_(Treatment.followed_until.is_not(None), not_(_is_free(now)))
    query = select(Treatment.collection).where(Treatment.collection == collection, held)
    return session.scalars(query.limit(1)).first() is not None


def _is_free(now: datetime) -> ColumnElement[bool]:
    return or_(
        Treatment.followed_by.is_(None), leases.free(Treatment.followed_until, now, _LONGEST)
    )
