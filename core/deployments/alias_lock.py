"""Which run has an alias: a running deployment or a running experiment, one at a time."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.experiment_rows import Experiment
from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.lifecycle import FINAL, ExperimentStatus, Status
from qdrant_rollouts.core.services import Services


def check_alias_idle(session: Session, alias: str) -> None:
    """Raises Refused if something is running on ``alias``, naming it. A caller that begins
    something there locks the alias's route (``routing.table.lock_route``) first, so that two
    callers cannot both find the alias free."""
    running = find_open_deployment(session, alias)
    if running is not None:
        raise Refused(
            f"deployment {running.id} of {alias} is {running.status}: one at a time; wait for it "
            f"or `rollouts abort {running.id}`",
            waits_for=running.id,
        )
    experiment = find_running_experiment(session, alias)
    if experiment is not None:
        raise Refused(
            f"{_describe_split(experiment, alias)}: one at a time; `rollouts experiment stop "
            f"{experiment.id}` ends it"
        )


def check_alias_movable(services: Services, alias: str) -> None:
    """Raises Refused if a person must not move ``alias``, because what is running moves it itself
    or relies on it. After a deployment has given up, the operator may move it."""
    with services.sessions() as session:
        running = find_open_deployment(session, alias)
        experiment = find_running_experiment(session, alias)
    if running is not None and running.status != Status.NEEDS_OPERATOR:
        raise Refused(
            f"deployment {running.id} of {alias} is {running.status} and moves the alias itself; "
            "abort it first",
            waits_for=running.id,
        )
    if experiment is not None:
        raise Refused(
            f"{_describe_split(experiment, alias)}; `rollouts experiment stop {experiment.id}` "
            "ends it"
        )


def find_open_deployment(session: Session, alias: str, kind: str = "rollout") -> Deployment | None:
    return session.scalars(
        select(Deployment).where(
            Deployment.alias == alias, Deployment.kind == kind, Deployment.status.not_in(FINAL)
        )
    ).one_or_none()


def find_running_experiment(session: Session, route: str) -> Experiment | None:
    return session.scalars(
        select(Experiment).where(
            Experiment.route == route, Experiment.status == ExperimentStatus.RUNNING
        )
    ).one_or_none()


def _describe_split(experiment: Experiment, alias: str) -> str:
    return f"experiment {experiment.id} ({experiment.name}) splits the searches of {alias}"
