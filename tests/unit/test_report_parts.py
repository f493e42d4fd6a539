"""What a router reports is cut into requests that the server takes, and nothing is lost or counted
twice."""

import random
from collections import Counter

import pytest

from qdrant_rollouts.adapters.report_parts import Part, split_batch
from qdrant_rollouts.core.routing.batch import Batch
from qdrant_rollouts.core.routing.exposures import Person, UserSearches, unit_of_user
from qdrant_rollouts.core.routing.traffic import TrafficKey
from qdrant_rollouts.core.statistics.groups import GROUPS
from qdrant_rollouts.core.statistics.traffic_sketch import TrafficSketch
from qdrant_rollouts.interfaces.http.api.requests.routers import (
    ExposuresRequest,
    ObservationsRequest,
    Sketch,
)
from qdrant_rollouts.interfaces.http.security import LARGEST_BODY

KEY = TrafficKey("docs", "d/3", "canary", "real", "docs_2")


def sketch(calls: int, seed: int = 1) -> TrafficSketch:
    rng = random.Random(seed)
    found = TrafficSketch()
    for _ in range(calls):
        error = rng.random() < 0.1
        found.add(
            rng.randrange(GROUPS), rng.lognormvariate(-4, 2), error=error,
            results=rng.randrange(2), fallback=error, anonymous=rng.random() < 0.2,
        )  # fmt: skip
    found.add_pair(0.5, -0.3)
    return found


def send(batch: Batch) -> tuple[list[ObservationsRequest], list[ExposuresRequest]]:
    observations = []
    exposures = []
    for number, part in enumerate(split_batch(batch), 1):
        content = part.write("shop:1:a", number)
        assert len(content) < LARGEST_BODY
        if part.path == "/observations":
            observations.append(ObservationsRequest.model_validate_json(content))
        else:
            exposures.append(ExposuresRequest.model_validate_json(content))
    return observations, exposures


@pytest.mark.parametrize("calls", [1, 500, 200_000])
def test_a_sketch_of_any_size_arrives_whole(calls: int) -> None:
    batch = Batch()
    batch.tallies[KEY] = sketch(calls)
    arrived = TrafficSketch()
    for request in send(batch)[0]:
        ((key, tally),) = request.tallies().items()
        assert key == KEY
        arrived.merge(tally)
    expected = sketch(calls)
    assert arrived.cells == expected.cells
    assert (arrived.failed, arrived.nothing) == (expected.failed, expected.nothing)
    for name in ("seconds", "fallbacks", "anonymous", "pairs", "overlap", "log_ratio"):
        assert getattr(arrived, name) == pytest.approx(getattr(expected, name))


def test_a_pair_without_a_call_arrives() -> None:
    batch = Batch()
    batch.tallies[KEY].add_pair(0.5, -0.3)
    ((request,), _) = send(batch)
    (arrived,) = request.tallies().values()
    assert (arrived.pairs, arrived.overlap, arrived.log_ratio) == (1, 0.5, -0.3)


def test_many_users_and_lists_arrive_whole_and_users_come_first() -> None:
    batch = Batch()
    for number in range(5000):
        person = Person("e", unit_of_user("e", str(number)))
        seen = UserSearches("treatment", 1, "docs_2", 5, 7, latencies=Counter((700, 700)))
        batch.people[person] = seen
        batch.lists[person, f"q{number}"] = [["a", 1], [7, 0]]
    _, requests = send(batch)
    people = {}
    lists = {}
    for request in requests:
        assert not (lists and request.users)
        people |= request.people()
        lists |= {one.key(): one.documents() for one in request.lists}
    assert people == batch.people
    assert lists == batch.lists


def test_a_part_is_halved_until_there_is_one_entry() -> None:
    part = Part("/observations", "observations", ["1", "2", "3"])
    assert [half.entries for half in part.halve()] == [["1"], ["2", "3"]]
    assert part.halve()[0].halve() == []


def test_a_server_takes_every_figure_of_a_sketch() -> None:
    assert TrafficSketch().to_json().keys() == Sketch.model_fields.keys()
