"""Ends an experiment at once, without statistics, if a treatment fails or is gone."""

from datetime import datetime, timedelta

from qdrant_rollouts.core.collections import readiness
from qdrant_rollouts.core.config.experiment_spec import ArmSpec, ExperimentSpec
from qdrant_rollouts.core.config.index_file import BreakersSpec
from qdrant_rollouts.core.database.experiment_rows import Experiment
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.deployments.canary_breakers import (
    find_tripped_breaker,
    measure_error_rate,
)
from qdrant_rollouts.core.routing import enrolment, traffic
from qdrant_rollouts.core.routing.route import CONTROL
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.statistics.traffic_sketch import TrafficSketch

_RECENT_TIME = timedelta(minutes=10)


def why_breaker_tripped(services: Services, row: Experiment, now: datetime) -> str:
    """Returns why the treatments must no longer be served; empty if they may."""
    spec = read_stored(ExperimentSpec, row.spec)
    return next(
        (why for arm in spec.treatments if (why := _why_arm_fails(services, row, arm, now))), ""
    )


def _why_arm_fails(services: Services, row: Experiment, arm: ArmSpec, now: datetime) -> str:
    failure = readiness.find_failure(services.store, arm.collection)
    limits = BreakersSpec()
    why = readiness.why_unable_to_serve(arm.collection, failure) or find_tripped_breaker(
        _sum_recent_traffic(services, row, arm.variant, now),
        [],
        limits,
        blue_errors=measure_error_rate(_sum_recent_traffic(services, row, CONTROL, now), limits),
    )
    return f"{arm.variant}: {why}" if why else ""


def _sum_recent_traffic(
    services: Services, row: Experiment, variant: str, now: datetime
) -> TrafficSketch:
    found = TrafficSketch()
    with services.sessions() as session:
        for stage in range(1, len(row.stages) + 1):
            seen = traffic.read_tallies(
                session, row.route, enrolment.stage_name(row.id, stage), since=now - _RECENT_TIME
            )
            for key, tally in seen.items():
                if (key.variant, key.kind) == (variant, "real"):
                    found.merge(tally)
    return found
