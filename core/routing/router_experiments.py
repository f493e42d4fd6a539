"""The experiments that a search process serves: what to search for each, and the feedback of their
users."""

from functools import partial

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.routing.control_plane import ControlPlane
from qdrant_rollouts.core.routing.feedback import Feedback, Unexposed
from qdrant_rollouts.core.routing.link import Link
from qdrant_rollouts.core.routing.recorder import Recorder
from qdrant_rollouts.core.routing.route_cache import RouteCache


class RouterExperiments:
    def __init__(
        self, control: ControlPlane, link: Link, recorder: Recorder, routes: RouteCache
    ) -> None:
        self._control = control
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
        return self._link.report(partial(self._count_feedback, given))

    def _count_feedback(self, given: Feedback) -> bool:
        try:
            return self._send_feedback(given, patient=True)
        except Unexposed:
            self._recorder.flush()
            return self._send_feedback(given, patient=False)

    def _send_feedback(self, given: Feedback, *, patient: bool) -> bool:
        """Arguments of a wrong type are the caller's fault: sent again, they fail again."""
        try:
            return self._control.count_feedback(given, patient=patient)
        except (TypeError, ValueError) as error:
            raise Refused(f"this feedback cannot be sent: {error}") from error

    def _load(self, experiment_id: str) -> tuple[str, str]:
        found = self._link.ask(partial(self._control.find_experiment_route, experiment_id))
        self._known[experiment_id] = found
        self._routes.look(found[0])
        return found
