"""Who has an alias for himself: a deployment that is under way, or an experiment that runs. One at a time."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.experiment_rows import Experiment
from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.lifecycle import FINAL, ExperimentStatus, Status
from qdrant_rollouts.core.services import Services


def check_alias_idle(session: Session, alias: str) -> None:
    """Raises Refused where something is under way on ``alias``, naming it. Whoever begins something there holds the
    alias's route (``routing.table.lock_route``) first, so that two do not see each other's absence."""
    running = find_open_deployment(session, alias)
    if running is not None:
        raise Refused(
            f"deployment {running.id} of {alias} is {running.status}: one at a time; wait for it or "
            f"`rollouts abort {running.id}`"
        )
    experiment = find_running_experiment(session, alias)
    if experiment is not None:
        raise Refused(
            f"{_describe_split(experiment, alias)}: one at a time; `rollouts experiment stop {experiment.id}` ends it"
        )


def check_alias_movable(services: Services, alias: str) -> None:
    """Raises Refused where ``alias`` is not a person's to move: what is under way does that itself, or relies on it. A
    deployment that has given up leaves it to the operator."""
    with services.sessions() as session:
        running = find_open_deployment(session, alias)
        experiment = find_running_experiment(session, alias)
    if running is not None and running.status != Status.NEEDS_OPERATOR:
        raise Refused(
            f"deployment {running.id} of {alias} is {running.status} and moves the alias itself; abort it first"
        )
    if experiment is not None:
        raise Refused(f"{_describe_split(experiment, alias)}; `rollouts experiment stop {experiment.id}` ends it")


def find_open_deployment(session: Session, alias: str, kind: str = "rollout") -> Deployment | None:
    return session.scalars(
        select(Deployment).where(Deployment.alias == alias, Deployment.kind == kind, Deployment.status.not_in(FINAL))
    ).one_or_none()


def find_running_experiment(session: Session, route: str) -> Experiment | None:
    return session.scalars(
        select(Experiment).where(Experiment.route == route, Experiment.status == ExperimentStatus.RUNNING)
    ).one_or_none()


def _describe_split(experiment: Experiment, alias: str) -> str:
    return f"experiment {experiment.id} ({experiment.name}) splits the searches of {alias}"
