"""A search by a user of an experiment, in the form in which it is recorded."""

import math
from collections import Counter

from qdrant_rollouts.core.routing.choice import Choice
from qdrant_rollouts.core.routing.exposures import Person, UserSearches, unit_of_user
from qdrant_rollouts.core.statistics import histogram

#: The shortest duration; its logarithm is finite.
_LEAST_MS = 1e-3


def stage_name(experiment_id: str, stage: int) -> str:
    """Returns the key of a stage's observations."""
    return f"experiment/{experiment_id}/{stage}"


def person_of_user(experiment_id: str, user: str) -> Person:
    return Person(experiment_id, unit_of_user(experiment_id, user))


def observe_search(
    choice: Choice, seconds: float, *, errors: int = 0, zero_results: int = 0
) -> tuple[Person, UserSearches]:
    route = choice.route
    assert route.experiment_id is not None
    assert choice.user is not None
    seen = UserSearches(
        variant=choice.variant,
        stage=int(route.stage.rsplit("/", 1)[1]),
        collection=choice.target.collection,
        bucket=choice.place,
        group=choice.group,
        errors=errors,
        zero_results=zero_results,
        log_ms=math.log(max(seconds * 1000, _LEAST_MS)),
        latencies=Counter((histogram.bucket_index(seconds),)),
    )
    return person_of_user(route.experiment_id, choice.user), seen
