"""The tables of experiments. An experiment's questions are fixed in ``spec`` when it starts. Its
observations are kept as sums per user, so ten million observations take as many rows as there are
users and metrics."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from qdrant_rollouts.core.database.models import Base
from qdrant_rollouts.core.lifecycle import ExperimentStatus

_RUNNING = text(f"status = '{ExperimentStatus.RUNNING}'")
_WHILE_RUNNING: dict[str, Any] = {"sqlite_where": _RUNNING, "postgresql_where": _RUNNING}
#: SQLite keeps such a table in the order of its key, so an experiment's rows of one metric are
#: adjacent.
_CLUSTERED = {"sqlite_with_rowid": False}


class Experiment(Base):
    """An A/B comparison of collections. ``route`` is the alias whose searches it splits, or its own
    name if no alias points to the control. ``salt`` is the id. ``stages``: the coverage in basis
    points with its start; entries are only added."""

    __tablename__ = "experiments"
    __table_args__ = (
        Index("one_running_experiment_per_route", "route", unique=True, **_WHILE_RUNNING),
        Index("running_experiments_by_look", "next_look_at", **_WHILE_RUNNING),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(index=True)
    alias: Mapped[str | None]
    route: Mapped[str]
    status: Mapped[ExperimentStatus] = mapped_column(Text, default=ExperimentStatus.DRAFT)
    spec: Mapped[dict[str, Any]]
    stages: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    actor: Mapped[str]
    message: Mapped[str] = mapped_column(default="")
    looks: Mapped[int] = mapped_column(default=0)
    #: The decision of the last look.
    decision: Mapped[dict[str, Any]] = mapped_column(default=dict)
    #: What shipping started, once it has.
    deployment_id: Mapped[str | None] = mapped_column(ForeignKey("deployments.id"))
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    next_look_at: Mapped[datetime | None]


class ExposureRow(Base):
    """A user's first exposure, which fixes the arm and the stage permanently. ``unit`` is a hash;
    no user's name is stored."""

    __tablename__ = "exposures"
    __table_args__ = (_CLUSTERED,)

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id"), primary_key=True)
    unit: Mapped[str] = mapped_column(primary_key=True)
    variant: Mapped[str]
    stage: Mapped[int]
    bucket: Mapped[int]
    collection: Mapped[str]
    first_seen_at: Mapped[datetime]
    #: End of the window in which this user's actions count.
    closes_at: Mapped[datetime]
    #: Whether another arm ever served this user, or was reported to have.
    crossed: Mapped[bool] = mapped_column(default=False)


class UnitSum(Base):
    """One user's sums in one metric: ``total`` is the sum of the values and ``count`` the number
    that they are divided by. Arm, stage and window are those of the exposure, so an analysis reads
    only this table. They are part of the key so that rows that are added up are adjacent."""

    __tablename__ = "unit_sums"
    __table_args__ = (_CLUSTERED,)

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id"), primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    variant: Mapped[str] = mapped_column(primary_key=True)
    stage: Mapped[int] = mapped_column(primary_key=True)
    unit: Mapped[str] = mapped_column(primary_key=True)
    closes_at: Mapped[datetime]
    count: Mapped[float]
    total: Mapped[float]


class SketchRow(Base):
    """Durations of one arm, as a sketch whose groups are clusters of users. Rows are added and
    folded. ``closes_at`` is the last moment at which a user in it may still add to it, rounded up;
    None if no user may any more."""

    __tablename__ = "sketches"
    __table_args__ = (
        Index("sketches_by_metric", "experiment_id", "metric", "variant", "stage", "closes_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id"))
    metric: Mapped[str]
    variant: Mapped[str]
    stage: Mapped[int]
    closes_at: Mapped[datetime | None]
    tally: Mapped[dict[str, Any]]


class CountRow(Base):
    """How often something happened that decides nothing by itself: refused feedback, feedback of
    unknown users."""

    __tablename__ = "experiment_counts"

    #: Empty if the requested experiment does not exist.
    experiment_id: Mapped[str] = mapped_column(primary_key=True)
    what: Mapped[str] = mapped_column(primary_key=True)
    variant: Mapped[str] = mapped_column(primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]
    total: Mapped[float]


class FeedbackKey(Base):
    """A piece of feedback that has been counted."""

    __tablename__ = "feedback_keys"
    __table_args__ = (Index("feedback_keys_by_time", "at"),)

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]


class Impression(Base):
    """An interleaved list that was served. ``served`` has each position's document and its side: +1
    the treatment, -1 the control, 0 neither."""

    __tablename__ = "impressions"
    __table_args__ = (_CLUSTERED,)

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id"), primary_key=True)
    query_id: Mapped[str] = mapped_column(primary_key=True)
    unit: Mapped[str]
    served: Mapped[list[Any]]
    closes_at: Mapped[datetime]


class Click(Base):
    """A clicked document of an interleaved list; repeated clicks are one row."""

    __tablename__ = "clicks"
    __table_args__ = (_CLUSTERED,)

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id"), primary_key=True)
    query_id: Mapped[str] = mapped_column(primary_key=True)
    document: Mapped[str] = mapped_column(primary_key=True)
    unit: Mapped[str]
    credit: Mapped[int]
    closes_at: Mapped[datetime]


class Treatment(Base):
    """A treatment's collection, and how it is kept like the control while the experiment runs.
    ``left_alone``: why it is not; empty if it is. ``round`` is a comparison that is under way;
    empty between two. The counts are those of the last one that was finished."""

    __tablename__ = "treatments"

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id"), primary_key=True)
    collection: Mapped[str] = mapped_column(primary_key=True)
    left_alone: Mapped[str] = mapped_column(default="")
    round: Mapped[dict[str, Any]] = mapped_column(default=dict)
    rounds: Mapped[int] = mapped_column(default=0)
    made: Mapped[int] = mapped_column(default=0)
    deleted: Mapped[int] = mapped_column(default=0)
    bad: Mapped[int] = mapped_column(default=0)
    round_ended_at: Mapped[datetime | None]
    #: Why the last try failed; empty after one that did not.
    failure: Mapped[str] = mapped_column(default="")
    #: Since when every try has failed, and whether an event has said so.
    failing_since: Mapped[datetime | None]
    failure_told: Mapped[bool] = mapped_column(default=False)
    next_at: Mapped[datetime]
    #: Who writes to it now, and for how long.
    followed_by: Mapped[str | None]
    followed_until: Mapped[datetime | None]


class LookRow(Base):
    """One analysis; append-only. ``report`` has every estimate, bound and verdict."""

    __tablename__ = "experiment_looks"

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    report: Mapped[dict[str, Any]]
