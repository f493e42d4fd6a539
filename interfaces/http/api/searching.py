"""Searches through a route, and what users made of what they were given."""

from dataclasses import asdict

from core.routing import Options
from core.trials import queries
from interfaces.http.api import requests
from interfaces.http.api.endpoint import Answer, Call


def search(call: Call, given: requests.Search) -> Answer:
    options: Options = {}
    if given.filter is not None:
        options["filter"] = given.filter
    if given.using is not None:
        options["using"] = given.using
    if given.score_threshold is not None:
        options["score_threshold"] = given.score_threshold
    if given.offset:
        options["offset"] = given.offset
    with call.house.routers.one() as router:
        found = router.search(call.path["alias"], given.asked, given.user_id, given.limit, given.query_id, **options)
    return asdict(found)


def route_query(call: Call, given: requests.Searching) -> Answer:
    experiment = queries.experiment(call.services, call.path["experiment"])["id"]
    with call.house.routers.one() as router:
        variant, results = router.route_query(experiment, given.asked, given.user_id, given.limit)
    return {"variant": variant, "results": [asdict(hit) for hit in results]}


def feedback(call: Call, given: requests.Feedback) -> Answer:
    with call.house.routers.one() as router:
        recorded = router.track_feedback(call.path["experiment"], **given.model_dump())
    return {"recorded": recorded}
