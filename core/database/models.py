"""The tables. All state is here and nowhere else; every time is the database server's, in UTC."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from qdrant_rollouts.core.lifecycle import (
    FINAL,
    MOVING,
    OPEN_DELETIONS,
    DeletionStatus,
    Place,
    Status,
    StepStatus,
)

_PLACED = text("place IS NOT NULL")


def _in_words(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in sorted(words))


#: The conditions of the partial indexes of deployments. A query must repeat them word for word, or
#: SQLite does not use the index.
OPEN = text(f"status NOT IN ({_in_words(FINAL)})")
_FREE = "lease_until IS NULL"
_MOVES = (
    f"(requested IS NOT NULL OR status IN ({_in_words(MOVING)}) "
    f"AND (place IS NULL OR place <> '{Place.WAITING}'))"
)
_FREE_TO_MOVE = f"{OPEN.text} AND {_FREE} AND {_MOVES}"
#: A deployment that has a turn to take is in one of four lists, each with an index by the time at
#: which the sweep must look; see ``core.deployments.due_turns``.
UNASKED = text(
    f"{_FREE_TO_MOVE} AND (knocked_at IS NULL OR requested IS NULL AND knocked_at < wake_at)"
)
ASKED = text(
    f"{_FREE_TO_MOVE} "
    "AND (requested IS NOT NULL AND knocked_at IS NOT NULL OR knocked_at >= wake_at)"
)
HELD = text("lease_until IS NOT NULL")
PAUSED = text(f"status = '{Status.PAUSED}' AND requested IS NULL AND {_FREE}")


#: The condition of the index of events by which an alias has moved.
MOVED = text("event = 'alias.switched'")


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC datetimes. SQLite stores no zone, so it is removed when writing and added when
    reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        utc = value.astimezone(UTC)
        if dialect.name == "sqlite":
            return utc.replace(tzinfo=None)
        return utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            return value.replace(tzinfo=UTC)
        return value.astimezone(UTC)


class Base(DeclarativeBase):
    type_annotation_map = {
        dict[str, Any]: JSON,
        list[dict[str, Any]]: JSON,
        list[Any]: JSON,
        datetime: UtcDateTime,
        str: Text,
    }


class Deployment(Base):
    """One run of a strategy. ``turn`` is the fence: every claim and every commit increases it by
    one."""

    __tablename__ = "deployments"

    id: Mapped[str] = mapped_column(primary_key=True)
    alias: Mapped[str]
    #: What the run does: "rollout" moves the alias; "backup" reads the collection behind it, which
    #: is ``green`` then; "verification" restores a backup into a collection that is dropped again.
    #: An alias has one run of each kind at a time.
    kind: Mapped[str] = mapped_column(default="rollout", server_default="rollout")
    strategy: Mapped[str]
    status: Mapped[Status] = mapped_column(Text, default=Status.PENDING)
    blue: Mapped[str | None]
    green: Mapped[str]
    source: Mapped[str | None]
    spec: Mapped[dict[str, Any]]
    actor: Mapped[str]
    message: Mapped[str] = mapped_column(default="")
    #: Why a paused deployment waits: "operator" (a person paused it) or "approval" (a step waits
    #: for approval).
    paused_for: Mapped[str | None]
    #: The version's number within its alias; a rollback has its target's number.
    number: Mapped[int]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    turn: Mapped[int] = mapped_column(default=0)
    wake_at: Mapped[datetime]
    claimed_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    lease_owner: Mapped[str | None]
    knocked_at: Mapped[datetime | None]
    knocks: Mapped[int] = mapped_column(default=0)
    requested: Mapped[str | None]
    requested_by: Mapped[str | None]
    requested_reason: Mapped[str | None]

    #: Whether it has a place among the running rebuilds, and since when; see
    #: ``core.deployments.placing``.
    place: Mapped[Place | None] = mapped_column(Text)
    placed_at: Mapped[datetime | None]
    #: Its place depends on the models that it embeds with, and on how many records served when it
    #: was requested.
    models: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    records: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")

    steps: Mapped[list["StepRow"]] = relationship(
        order_by="StepRow.position", back_populates="deployment"
    )

    __mapper_args__ = {"version_id_col": turn}
    __table_args__ = (
        Index(
            "one_open_deployment_of_a_kind",
            "alias",
            "kind",
            unique=True,
            sqlite_where=OPEN,
            postgresql_where=OPEN,
        ),
        Index(
            "turns_unasked",
            text("(CASE WHEN requested IS NULL THEN wake_at ELSE created_at END)"),
            sqlite_where=UNASKED,
            postgresql_where=UNASKED,
        ),
        Index("turns_asked", "knocked_at", sqlite_where=ASKED, postgresql_where=ASKED),
        Index("turns_held", "lease_until", sqlite_where=HELD, postgresql_where=HELD),
        Index("turns_paused", "wake_at", sqlite_where=PAUSED, postgresql_where=PAUSED),
        Index(
            "turns_written",
            text("coalesce(knocked_at, created_at)"),
            sqlite_where=OPEN,
            postgresql_where=OPEN,
        ),
        Index("deployments_by_alias", "alias", "created_at"),
        Index("deployments_by_place", "place", sqlite_where=_PLACED, postgresql_where=_PLACED),
    )


class StepRow(Base):
    """A step of a plan. ``attempt`` increases when an operator runs the step again. ``tries``
    counts turns since the last progress, ``crashes`` turns that never came back, ``waited`` the
    seconds without progress; a turn with progress resets these three to zero."""

    __tablename__ = "steps"
    __table_args__ = (Index("steps_by_end", "finished_at"),)

    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    queue: Mapped[str]
    #: What distinguishes this step from others with its name in the plan; see
    #: ``core.deployments.plan.Step``.
    arguments: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    status: Mapped[StepStatus] = mapped_column(Text, default=StepStatus.PENDING)
    attempt: Mapped[int] = mapped_column(default=1, server_default="1")
    tries: Mapped[int] = mapped_column(default=0)
    crashes: Mapped[int] = mapped_column(default=0)
    waited: Mapped[float] = mapped_column(default=0.0)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    undone_at: Mapped[datetime | None]
    message: Mapped[str] = mapped_column(default="")
    state: Mapped[dict[str, Any]] = mapped_column(default=dict)
    output: Mapped[dict[str, Any]] = mapped_column(default=dict)

    deployment: Mapped[Deployment] = relationship(back_populates="steps")


class EventRow(Base):
    """What happened, when, by whom and why; append-only. ``source`` says how it was requested: see
    ``core.database.events``."""

    __tablename__ = "events"
    __table_args__ = (
        Index("events_of_moves", "alias", "at", sqlite_where=MOVED, postgresql_where=MOVED),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    deployment_id: Mapped[str | None] = mapped_column(ForeignKey("deployments.id"), index=True)
    alias: Mapped[str | None] = mapped_column(index=True)
    at: Mapped[datetime]
    actor: Mapped[str]
    event: Mapped[str]
    detail: Mapped[str] = mapped_column(default="")
    reason: Mapped[str] = mapped_column(default="", server_default="")
    source: Mapped[str] = mapped_column(default="", server_default="")


class Places(Base):
    """How many rebuilds may run at once, as last read from the index file. One row, which is also
    the lock for giving places."""

    __tablename__ = "places"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    rebuilds: Mapped[int]
    per_model: Mapped[int]


class AliasState(Base):
    """Where an alias is meant to point. The row is written before Qdrant is told, and ``settled``
    is set after Qdrant was read back."""

    __tablename__ = "alias_states"

    alias: Mapped[str] = mapped_column(primary_key=True)
    desired: Mapped[str | None]
    previous: Mapped[str | None]
    revision: Mapped[int] = mapped_column(default=1)
    settled: Mapped[bool] = mapped_column(default=False)
    changed_at: Mapped[datetime]


class Version(Base):
    """A collection that this product made, or adopted (then ``deployment_id`` is None). The row
    outlives the collection, so a name is never used twice. ``facts``: what else is known, see
    ``core.collections.versions``."""

    __tablename__ = "versions"
    __table_args__ = (UniqueConstraint("alias", "number"),)

    collection: Mapped[str] = mapped_column(primary_key=True)
    alias: Mapped[str]
    number: Mapped[int]
    parent: Mapped[str | None]
    deployment_id: Mapped[str | None] = mapped_column(ForeignKey("deployments.id"))
    created_at: Mapped[datetime]
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    #: A person's mark, see ``core.collections.marks``: a rollback does not choose a bad version.
    marked_bad_at: Mapped[datetime | None]
    marked_bad_by: Mapped[str | None]
    marked_bad_because: Mapped[str | None]


_DUE = text("status IN ({})".format(", ".join(f"'{status}'" for status in OPEN_DELETIONS)))


class Deletion(Base):
    """A collection that will be deleted, and when. Both the wall clock and the time the service was
    really running (``due_elapsed``, seconds of ``ServiceClock``) must be reached, so a jumping
    clock deletes nothing early."""

    __tablename__ = "deletions"
    __table_args__ = (
        Index(
            "one_open_deletion_per_collection",
            "collection",
            unique=True,
            sqlite_where=_DUE,
            postgresql_where=_DUE,
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    collection: Mapped[str]
    alias: Mapped[str | None]
    deployment_id: Mapped[str | None] = mapped_column(ForeignKey("deployments.id"))
    #: The run of its final backup, see ``core.collections.deletion.final_backups``.
    backup_id: Mapped[str | None]
    status: Mapped[DeletionStatus] = mapped_column(Text, default=DeletionStatus.SCHEDULED)
    due_at: Mapped[datetime]
    due_elapsed: Mapped[float]
    actor: Mapped[str]
    reason: Mapped[str]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class ServiceClock(Base):
    """Seconds for which the service has been running, advanced by every sweep; one row."""

    __tablename__ = "service_clock"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    elapsed: Mapped[float]
    last: Mapped[datetime]


class RouteRow(Base):
    """Which collections answer an alias; ``version`` only grows. Without ``green`` and ``arms`` the
    alias's own collection answers.

    ``share`` is green's part of the searches, ``shadow`` the part that green gets as copies; both
    in basis points. ``stage`` is the key of the observations of this time: ``deployment/position``
    of a step. ``arms`` are an experiment's, see ``core.routing.route.Arm``; ``blue`` is its control
    then.
    """

    __tablename__ = "routes"

    alias: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]
    deployment_id: Mapped[str | None] = mapped_column(ForeignKey("deployments.id"))
    stage: Mapped[str] = mapped_column(default="")
    salt: Mapped[str] = mapped_column(default="")
    blue: Mapped[str | None]
    green: Mapped[str | None]
    share: Mapped[int] = mapped_column(default=0)
    shadow: Mapped[int] = mapped_column(default=0)
    experiment_id: Mapped[str | None]
    arms: Mapped[list[dict[str, Any]]] = mapped_column(default=list, server_default="[]")
    changed_at: Mapped[datetime]


class SearcherRow(Base):
    """A process that answers searches of an alias, and the version of the route that it serves."""

    __tablename__ = "searchers"

    process: Mapped[str] = mapped_column(primary_key=True)
    alias: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]
    seen_at: Mapped[datetime]


class TrafficRow(Base):
    """What one process observed between two flushes, or several such rows folded into one; see
    ``core.routing.traffic``."""

    __tablename__ = "traffic"
    __table_args__ = (
        UniqueConstraint("process", "sequence", "stage", "variant", "kind", "collection"),
        Index("traffic_by_stage", "alias", "stage"),
        Index("traffic_by_time", "at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    alias: Mapped[str]
    stage: Mapped[str]
    variant: Mapped[str]
    kind: Mapped[str]
    collection: Mapped[str]
    process: Mapped[str]
    sequence: Mapped[int]
    at: Mapped[datetime]
    tally: Mapped[dict[str, Any]]


class BatchRow(Base):
    """The last batch of observations that a search process has written; a batch that is written
    twice counts once."""

    __tablename__ = "batches"

    process: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[int]
    at: Mapped[datetime]


class WorksWith(Base):
    """Which programs work with the database: the newest revision that the oldest of them knows. One
    row.

    Programs that do not know the newest tables read this one, so it never changes.
    """

    __tablename__ = "works_with"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    oldest_program: Mapped[str]
