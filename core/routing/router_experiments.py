"""The experiments that a search process serves: what to search for each, and the feedback of their
users."""

from functools import partial

from qdrant_rollouts.core.database.experiment_rows import Experiment
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.routing.feedback import Feedback, Unexposed, count_feedback
from qdrant_rollouts.core.routing.link import Link
from qdrant_rollouts.core.routing.recorder import Recorder
from qdrant_rollouts.core.routing.route_cache import RouteCache
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.services import Services


class RouterExperiments:
    def __init__(
        self, services: Services, link: Link, recorder: Recorder, routes: RouteCache
    ) -> None:
        self._services = services
        self._link = link
        self._recorder = recorder
        self._routes = routes
        #: The name of an experiment's route, and its control; neither ever changes.
        self._known: dict[str, tuple[str, str]] = {}

    def find_searched_name(self, experiment_id: str) -> str:
        """Returns what to search for this experiment: the alias or own name of its route; after
        that route has ended, its blue. Raises Refused if it does not exist or has not begun."""
        name, control = self._known.get(experiment_id) or self._load(experiment_id)
        view = self._routes.find(name)
        mine = view.route.experiment_id == experiment_id
        if mine or view.live is not None:
            return name
        return control

    def track_feedback(self, given: Feedback) -> bool:
        """The exposure may still be in this process's memory. Raises Unavailable if nothing is
        counted yet as far as is known; with its key the feedback may be sent again."""
        return self._link.read(partial(self._count_feedback, given))

    def _count_feedback(self, given: Feedback) -> bool:
        try:
            return count_feedback(self._services, given, patient=True)
        except Unexposed:
            self._recorder.flush()
            return count_feedback(self._services, given)

    def _load(self, experiment_id: str) -> tuple[str, str]:
        row = self._link.ask(partial(self._read_row, experiment_id))
        said = quote_value(experiment_id)
        if row is None:
            raise Refused(f"experiment {said} does not exist")
        if row.started_at is None:
            raise Refused(
                f"experiment {said} has not begun; `rollouts experiment start {experiment_id}`"
            )
        found = (row.route, row.spec["arms"][0]["collection"])
        self._known[experiment_id] = found
        self._routes.look(row.route)
        return found

    def _read_row(self, experiment_id: str) -> Experiment | None:
        with self._services.sessions() as session:
            return session.get(Experiment, experiment_id)
