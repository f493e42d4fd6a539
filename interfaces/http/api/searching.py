"""Searches through a route, and feedback about their results."""

from collections.abc import Iterable

from qdrant_rollouts.core.answers import searches as search_answers
from qdrant_rollouts.core.experiments import queries
from qdrant_rollouts.core.ports import Hit
from qdrant_rollouts.core.routing import Options
from qdrant_rollouts.interfaces.http.api.endpoint import Call
from qdrant_rollouts.interfaces.http.api.requests.experiments import FeedbackRequest
from qdrant_rollouts.interfaces.http.api.requests.searches import IndexSearchRequest, SearchRequest


def search_by_route(call: Call, given: IndexSearchRequest) -> search_answers.Found:
    options: Options = {}
    if given.filter is not None:
        options["filter"] = given.filter
    if given.using is not None:
        options["using"] = given.using
    if given.score_threshold is not None:
        options["score_threshold"] = given.score_threshold
    if given.offset:
        options["offset"] = given.offset
    with call.context.routers.one() as router:
        found = router.search(
            call.path["alias"], given.asked, given.user_id, given.limit, given.query_id, **options
        )
    return {
        "collection": found.collection,
        "variant": found.variant,
        "results": _hits_as_json(found.results),
        "fallback": found.fallback,
        "query_id": found.query_id,
    }


def route_query(call: Call, given: SearchRequest) -> search_answers.Routed:
    experiment = queries.get_experiment(call.services, call.path["experiment"])["id"]
    with call.context.routers.one() as router:
        variant, results = router.route_query(experiment, given.asked, given.user_id, given.limit)
    return {"variant": variant, "results": _hits_as_json(results)}


def record_feedback(call: Call, given: FeedbackRequest) -> search_answers.Recorded:
    with call.context.routers.one() as router:
        recorded = router.track_feedback(call.path["experiment"], **given.model_dump())
    return {"recorded": recorded}


def _hits_as_json(found: Iterable[Hit]) -> list[search_answers.Hit]:
    return [{"id": hit.id, "score": hit.score, "payload": hit.payload} for hit in found]
