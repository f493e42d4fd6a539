"""Routers in other processes: what they read, and what they report."""

from qdrant_rollouts.core.answers import indexes as index_answers
from qdrant_rollouts.core.answers import searches as search_answers
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.experiments.listing import find_experiment
from qdrant_rollouts.core.routing import Router, reports, table
from qdrant_rollouts.core.routing.feedback import Feedback, Unexposed, count_feedback
from qdrant_rollouts.interfaces.http.api.endpoint import Call, NoQuery
from qdrant_rollouts.interfaces.http.api.requests.routers import (
    ExposuresRequest,
    FeedbackBatchRequest,
    KeyedFeedback,
    ObservationsRequest,
    ServedRoutesRequest,
)


def tag_routes(call: Call) -> str:
    with call.services.sessions() as session:
        return table.compute_routes_tag(session)


def get_experiment_route(call: Call, given: NoQuery) -> index_answers.ExperimentRoute:
    with call.services.sessions() as session:
        experiment = find_experiment(session, call.path["experiment"]).id
    route, control = reports.find_experiment_route(call.services, experiment)
    return {"route": route, "control": control}


def report_served_routes(call: Call, given: ServedRoutesRequest) -> index_answers.Serving:
    if given.serves:
        table.report_served_routes(call.services, given.router, given.serves)
    else:
        table.forget_process(call.services, given.router)
    return {"routes": len(given.serves)}


def record_observations(call: Call, given: ObservationsRequest) -> search_answers.Recorded:
    tallies = given.tallies()
    return {
        "recorded": reports.record_observations(call.services, given.router, given.batch, tallies)
    }


def record_exposures(call: Call, given: ExposuresRequest) -> search_answers.Recorded:
    lists = {one.key(): one.documents() for one in given.lists}
    recorded = reports.record_exposures(
        call.services, given.router, given.batch, given.people(), lists
    )
    return {"recorded": recorded}


def record_feedback(call: Call, given: FeedbackBatchRequest) -> search_answers.FeedbackOutcomes:
    """Each piece is counted in its own transaction. The exposures of searches that this process has
    made itself may still be in its memory; its router knows them."""
    with call.context.routers.one() as router:
        results = [
            _record_piece(call, router, one, patient=given.patient) for one in given.feedback
        ]
    return {"results": results}


def _record_piece(
    call: Call, router: Router, given: KeyedFeedback, *, patient: bool
) -> search_answers.FeedbackOutcome:
    fields = given.model_dump()
    experiment = fields.pop("experiment")
    try:
        if patient:
            piece = Feedback(experiment_id=experiment, **fields)
            counted = count_feedback(call.services, piece, patient=True)
        else:
            counted = router.track_feedback(experiment, **fields)
    except Unexposed as error:
        return {"key": given.key, "outcome": "unexposed", "detail": str(error)}
    except Refused as error:
        return {"key": given.key, "outcome": "refused", "detail": str(error)}
    outcome = "repeated"
    if counted:
        outcome = "counted"
    return {"key": given.key, "outcome": outcome, "detail": ""}
