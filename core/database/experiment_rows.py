"""The tables of experiments. What is asked of one is frozen in ``spec`` when it starts; what came of it is kept by user
as sums, so that ten million observations are as many rows as there are users and metrics.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from qdrant_rollouts.core.database.models import Base
from qdrant_rollouts.core.lifecycle import ExperimentStatus

_RUNNING = text(f"status = '{ExperimentStatus.RUNNING}'")
_WHILE_RUNNING: dict[str, Any] = {"sqlite_where": _RUNNING, "postgresql_where": _RUNNING}
#: SQLite keeps such a table in the order of its key: an experiment's rows of one metric lie together.
_CLUSTERED = {"sqlite_with_rowid": False}


class Experiment(Base):
    """An A/B comparison of collections. ``route`` is the alias whose searches it splits, or a name of its own where no
    alias leads to the control; ``salt`` is the id. ``stages``: coverage in basis points and since when, only added to.
    """

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
    #: The last look's decision.
    decision: Mapped[dict[str, Any]] = mapped_column(default=dict)
    #: What shipping started, once it has.
    deployment_id: Mapped[str | None] = mapped_column(ForeignKey("deployments.id"))
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    next_look_at: Mapped[datetime | None]


class ExposureRow(Base):
    """A user's first exposure: for ever this arm and this stage. ``unit`` is a hash, no user's name is kept."""

    __tablename__ = "exposures"
    __table_args__ = (_CLUSTERED,)

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id"), primary_key=True)
    unit: Mapped[str] = mapped_column(primary_key=True)
    variant: Mapped[str]
    stage: Mapped[int]
    bucket: Mapped[int]
    collection: Mapped[str]
    first_seen_at: Mapped[datetime]
    #: End of the window in which what this user does is counted.
    closes_at: Mapped[datetime]
    #: Whether another arm ever served him, or was said to have.
    crossed: Mapped[bool] = mapped_column(default=False)


class UnitSum(Base):
    """What one user did, in one metric: ``total`` is the sum of its values and ``count`` what they are counted per.
    Arm, stage and window are his exposure's, so that an analysis reads this table alone; they stand in the key so that
    the rows of one sum lie together."""

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
    """Durations of one arm, as a tally whose groups are clusters of users. Rows are added and folded; ``closes_at`` is
    the last moment at which a user in it may still add to it, rounded up, and None where nobody may any more."""

    __tablename__ = "sketches"
    __table_args__ = (Index("sketches_by_metric", "experiment_id", "metric", "variant", "stage", "closes_at"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id"))
    metric: Mapped[str]
    variant: Mapped[str]
    stage: Mapped[int]
    closes_at: Mapped[datetime | None]
    tally: Mapped[dict[str, Any]]


class CountRow(Base):
    """How often something happened that decides nothing by itself: refused feedback, feedback of nobody known."""

    __tablename__ = "experiment_counts"

    #: Empty where the experiment asked for does not exist.
    experiment_id: Mapped[str] = mapped_column(primary_key=True)
    what: Mapped[str] = mapped_column(primary_key=True)
    variant: Mapped[str] = mapped_column(primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]
    total: Mapped[float]


class FeedbackKey(Base):
    """A piece of feedback that is counted already."""

    __tablename__ = "feedback_keys"
    __table_args__ = (Index("feedback_keys_by_time", "at"),)

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]


class Impression(Base):
    """An interleaved list that was served: ``served`` has each position's document and whose it is, +1 the
    treatment's, -1 the control's, 0 nobody's."""

    __tablename__ = "impressions"
    __table_args__ = (_CLUSTERED,)

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id"), primary_key=True)
    query_id: Mapped[str] = mapped_column(primary_key=True)
    unit: Mapped[str]
    served: Mapped[list[Any]]
    closes_at: Mapped[datetime]


class Click(Base):
    """A document of an interleaved list that was clicked, once however often it was."""

    __tablename__ = "clicks"
    __table_args__ = (_CLUSTERED,)

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id"), primary_key=True)
    query_id: Mapped[str] = mapped_column(primary_key=True)
    document: Mapped[str] = mapped_column(primary_key=True)
    unit: Mapped[str]
    credit: Mapped[int]
    closes_at: Mapped[datetime]


class LookRow(Base):
    """One analysis; append-only. ``report`` has every estimate, bound and verdict."""

    __tablename__ = "experiment_looks"

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiments.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    report: Mapped[dict[str, Any]]
