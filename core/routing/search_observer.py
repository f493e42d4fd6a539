"""Records what came of a choice: for the figures of its collection, and for the user's arm."""

from qdrant_rollouts.core.routing import enrolment
from qdrant_rollouts.core.routing.choice import Choice
from qdrant_rollouts.core.routing.embedding_clock import Spent
from qdrant_rollouts.core.routing.exposures import ServedList
from qdrant_rollouts.core.routing.recorder import Recorder
from qdrant_rollouts.core.routing.route import LIVE, Route
from qdrant_rollouts.core.routing.traffic import TrafficKey


class SearchObserver:
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def note_answer(self, choice: Choice, spent: Spent, results: int) -> None:
        """An experiment measures what its users wait for, so embedding is a part of it."""
        self._recorder.add(
            choice.key,
            choice.group,
            spent.seconds,
            results=results,
            anonymous=choice.user is None,
            embedding=spent.embedding,
        )
        self._enroll_user(choice, spent.waited, zero_results=int(not results))

    def note_failure(self, choice: Choice, spent: Spent, *, waited: float | None = None) -> None:
        """``waited``: the time until blue answered instead; None: no answer."""
        self._recorder.add(
            choice.key,
            choice.group,
            spent.seconds,
            error=True,
            fallback=waited is not None,
            anonymous=choice.user is None,
            embedding=spent.embedding,
        )
        self._enroll_user(choice, waited or spent.waited, errors=1)

    def note_bypass(self, route: Route, group: int) -> None:
        """Records a search that stayed on blue because green does not understand its vector."""
        key = TrafficKey(route.alias, route.stage, LIVE, "bypassed", str(route.blue))
        self._recorder.add(key, group, 0.0)

    def note_list(self, choice: Choice, query_id: str, served: ServedList) -> None:
        """Records what an interleaved list was made of."""
        experiment_id = choice.route.experiment_id
        assert experiment_id is not None
        if choice.user is not None:
            person = enrolment.person_of_user(experiment_id, choice.user)
            self._recorder.add_list(person, query_id, served)

    def _enroll_user(self, choice: Choice, seconds: float, **came_to: int) -> None:
        if choice.route.experiment_id and choice.variant != LIVE and choice.user is not None:
            self._recorder.add_person(*enrolment.observe_search(choice, seconds, **came_to))
