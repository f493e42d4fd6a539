"""The figures of ``/metrics`` about writes that arrive during a rebuild."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.models import Deployment, StepRow
from qdrant_rollouts.core.database.step_data import read_data
from qdrant_rollouts.core.database.step_traits import has_trait
from qdrant_rollouts.core.deployments.steps.data import CatchUpProgress
from qdrant_rollouts.core.errors import Unavailable
from qdrant_rollouts.core.lifecycle import FINAL, StepStatus

#: Switches of this period, at most this many, the latest.
_WINDOW = timedelta(days=7)
_SWITCHES = 2000
Sample = tuple[tuple[str, ...], float]


def sample_rounds(session: Session, now: datetime) -> Iterator[Sample]:
    for alias, progress in _list_catching_up(session):
        yield (alias,), progress.rounds


def sample_points(session: Session, now: datetime) -> Iterator[Sample]:
    for alias, progress in _list_catching_up(session):
        yield (alias, "made"), progress.made
        yield (alias, "deleted"), progress.deleted


def sample_lags(session: Session, now: datetime) -> Iterator[Sample]:
    for alias, progress in _list_catching_up(session):
        if progress.lag is not None:
            yield (alias,), progress.lag


def sample_fences(session: Session, now: datetime) -> Iterator[Sample]:
    for alias, progress in _list_catching_up(session):
        if progress.fence is not None:
            yield (alias,), progress.fence


def sample_held(session: Session, now: datetime) -> Iterator[Sample]:
    held = StepRow.output["held"].as_float()
    query = (
        select(Deployment.alias, held)
        .join(StepRow, StepRow.deployment_id == Deployment.id)
        .where(
            has_trait(lambda step: step.moves_alias),
            StepRow.status == StepStatus.DONE,
            StepRow.finished_at >= now - _WINDOW,
            held.is_not(None),
        )
        .order_by(StepRow.finished_at.desc())
        .limit(_SWITCHES)
    )
    latest: dict[str, float] = {}
    for alias, seconds in session.execute(query):
        latest.setdefault(alias, seconds)
    for alias, seconds in latest.items():
        yield (alias,), seconds


def _list_catching_up(session: Session) -> Iterator[tuple[str, CatchUpProgress]]:
    """Returns the progress of deployments that are under way. An older release did not count it,
    and what a newer one writes is left to it."""
    query = (
        select(Deployment.alias, StepRow.state["progress"].as_json())
        .join(StepRow, StepRow.deployment_id == Deployment.id)
        .where(
            has_trait(lambda step: step.catches_up),
            Deployment.status.not_in(FINAL),
            StepRow.started_at.is_not(None),
        )
    )
    for alias, content in session.execute(query):
        try:
            progress = read_data(CatchUpProgress, content or {})
        except Unavailable:
            continue
        if progress.rounds:
            yield alias, progress
