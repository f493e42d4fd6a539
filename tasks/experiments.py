"""Tasks for experiments (contract section 3): create, start, stop, feedback, analysis."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from celery import Celery
from sqlalchemy.exc import DBAPIError

from qdrant_rollouts.core.defaults import SPLIT
from qdrant_rollouts.core.deployments.commands import InTransaction
from qdrant_rollouts.core.experiments import commands, queries
from qdrant_rollouts.core.routing.feedback import Feedback, Unexposed, count_feedback
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.tasks import resting
from qdrant_rollouts.tasks.once import Answer, begin_once

ACTOR = "celery"
#: Seconds between tries, and their number: an exposure is written within two seconds of the search;
#: a database that does not answer for a few minutes loses no feedback.
_RETRY_SECONDS = 3
_MOST_TRIES = 100
_PATIENT_TRIES = 3


def _name_experiment(services: Services, experiment_id: str) -> Answer:
    return {"experiment_id": experiment_id}


@begin_once(_name_experiment)
def create_experiment(
    services: Services,
    along: InTransaction,
    experiment_name: str,
    control_collection: str,
    treatment_collection: str | Sequence[str],
    traffic_split: float = SPLIT,
    metrics_to_track: Sequence[str | Mapping[str, Any]] | None = None,
    alias_name: str | None = None,
    options: Mapping[str, Any] | None = None,
    start: bool = True,
    reason: str = "",
    actor: str = ACTOR,
) -> str:
    treatments = treatment_collection
    if isinstance(treatment_collection, str):
        treatments = [treatment_collection]
    return commands.create_experiment(
        services,
        experiment_name,
        control_collection,
        treatments,
        alias=alias_name,
        split=traffic_split,
        metrics=metrics_to_track,
        options=options,
        start=start,
        reason=reason,
        actor=actor,
        along=along,
    )


@begin_once(_name_experiment)
def start_experiment(
    services: Services,
    along: InTransaction,
    experiment_id: str,
    reason: str = "",
    actor: str = ACTOR,
) -> str:
    return commands.start_experiment(
        services, experiment_id, reason=reason, actor=actor, along=along
    )


@begin_once(_name_experiment)
def stop_experiment(
    services: Services,
    along: InTransaction,
    experiment_id: str,
    reason: str = "",
    actor: str = ACTOR,
) -> str:
    return commands.stop_experiment(
        services, experiment_id, reason=reason, actor=actor, along=along
    )


@begin_once(_name_experiment)
def widen_experiment(
    services: Services,
    along: InTransaction,
    experiment_id: str,
    coverage: int,
    reason: str = "",
    actor: str = ACTOR,
) -> str:
    return commands.widen_experiment(
        services, experiment_id, coverage, reason=reason, actor=actor, along=along
    )


def analyze_experiment(services: Services, experiment_id: str) -> Answer:
    return queries.report_experiment(services, experiment_id)


COMMANDS: dict[str, Callable[..., Answer]] = {
    "experiments.create_experiment": create_experiment,
    "experiments.start_experiment": start_experiment,
    "experiments.stop_experiment": stop_experiment,
    "experiments.widen_experiment": widen_experiment,
    "experiments.analyze_experiment": analyze_experiment,
}
FEEDBACK = "experiments.track_feedback"


def register_feedback(app: Celery, services: Callable[[], Services]) -> None:
    """A message that is delivered twice has one id, which is the key for counting it, unless it has
    its own key."""

    def track_feedback(
        self: Any,
        experiment_id: str,
        variant: str,
        metric: str,
        value: float,
        user_id: str | None = None,
        key: str | None = None,
        query_id: str = "",
        document: str | int = "",
    ) -> Answer:
        given = Feedback(
            experiment_id,
            metric,
            value,
            variant,
            user_id,
            key or self.request.id,
            query_id,
            document,
        )
        try:
            return {
                "recorded": count_feedback(
                    services(), given, patient=self.request.retries < _PATIENT_TRIES
                )
            }
        except (Unexposed, DBAPIError) as error:
            raise self.retry(
                exc=error, max_retries=_MOST_TRIES, **resting.rest(_RETRY_SECONDS)
            ) from error

    app.task(
        track_feedback,
        name=FEEDBACK,
        bind=True,
        ignore_result=False,
        shared=False,
        reject_on_worker_lost=True,  # nobody sends feedback again, and none of it can kill a worker
        Strategy="qdrant_rollouts.tasks.resting:strategy",
    )
