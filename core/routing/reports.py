"""What a router reports, as it comes in by HTTP or from the router's own process.

Rule: everything may come twice. A batch has a number, and of each router only batches with a higher
number than the last one are new. Both kinds of batches are numbered for themselves.
"""

from collections.abc import Mapping

from qdrant_rollouts.core.database.experiment_rows import Experiment
from qdrant_rollouts.core.errors import Refused, Unknown
from qdrant_rollouts.core.routing import exposures, interleaving, traffic
from qdrant_rollouts.core.routing.exposures import Person, ServedList, UserSearches
from qdrant_rollouts.core.routing.traffic import TrafficKey
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.statistics.traffic_sketch import TrafficSketch


def record_observations(
    services: Services, router: str, number: int, tallies: Mapping[TrafficKey, TrafficSketch]
) -> bool:
    """Adds what searches experienced; returns False if this batch came before."""
    return traffic.write_tallies(services.sessions, services.clock, router, number, tallies)


def record_exposures(
    services: Services,
    router: str,
    number: int,
    people: Mapping[Person, UserSearches],
    lists: Mapping[tuple[Person, str], ServedList],
) -> bool:
    """Adds which users met which arm, and what came of it; returns False if this batch came
    before."""
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        # the name is no router's: it has a space
        if not traffic.claim_batch(session, f"{router} exposures", number, now):
            return False
        exposures.write_exposures(session, now, people)
        interleaving.write_lists(session, lists)
    return True


def find_experiment_route(services: Services, experiment_id: str) -> tuple[str, str]:
    """Returns the name of an experiment's route, and its control. Neither ever changes. Raises
    Refused if the experiment does not exist or has not begun."""
    said = quote_value(experiment_id)
    with services.sessions() as session:
        row = session.get(Experiment, experiment_id)
        if row is None:
            raise Unknown(f"experiment {said} does not exist")
        if row.started_at is None:
            raise Refused(
                f"experiment {said} has not begun; `rollouts experiment start {experiment_id}`"
            )
        return row.route, row.spec["arms"][0]["collection"]
