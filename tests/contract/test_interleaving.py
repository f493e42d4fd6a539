"""Two collections in one list: what is served, how a click counts, and what users prefer."""

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest
from sqlalchemy import func, select

from qdrant_rollouts.core.database.experiment_rows import Click, Experiment, ExposureRow, Impression
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.experiments import commands, folding, interim_analysis, queries
from qdrant_rollouts.core.routing import Router, table
from qdrant_rollouts.core.routing.feedback import Feedback, count_feedback
from tests.saved_worlds import SavedWorlds
from tests.world import World, texts

OPTIONS = {"mode": "interleave", "min_days": 0, "window_hours": 1, "look_minutes": 1}
QUERY = "text 3 about asyncio and python"


def deploy_indexes(world: World) -> None:
    for alias, start in (("docs", 0), ("docs_b", 15)):
        world.declare(alias, source=world.write(f"{alias}.jsonl", texts(30, start)))
        world.deploy(alias)
        world.run()


@pytest.fixture
def world(reached: World) -> World:
    return reached


@pytest.fixture
def indexes(world: World, saved_worlds: SavedWorlds) -> World:
    """``docs`` serves texts 0 to 29, and ``docs_b`` holds 15 to 44."""
    saved_worlds.begin(world, deploy_indexes)
    return world


@pytest.fixture
def experiment(indexes: World) -> str:
    found = indexes.store.aliases()
    return commands.create_experiment(
        indexes.services, "lists", found["docs"], [found["docs_b"]], actor="anna", options=OPTIONS
    )


@pytest.fixture
def router(indexes: World) -> Iterator[Router]:
    with indexes.open_router() as made:
        yield made


def ids(results) -> list[int]:
    return [hit.payload["id"] for hit in results]


def remembered(world: World) -> list[Impression]:
    with world.services.sessions() as session:
        return list(session.scalars(select(Impression)))


def test_a_list_is_drafted_of_both_without_repetition(indexes, experiment, router):
    found = router.search("docs", QUERY, "anna", 10)
    assert found.variant == "interleaved"
    assert len(set(ids(found.results))) == 10
    assert any(number < 15 for number in ids(found.results))
    assert any(number >= 30 for number in ids(found.results))


def test_the_same_query_id_gives_the_same_list_in_every_process_and_its_next_page(
    indexes, experiment, router
):
    first = router.search("docs", QUERY, "anna", 10, query_id="q1")
    pages = [
        ids(router.search("docs", QUERY, "anna", 5, query_id="q1", offset=start).results)
        for start in (0, 5)
    ]
    with indexes.open_router() as elsewhere:
        again = elsewhere.search("docs", QUERY, "anna", 10, query_id="q1")
    assert ids(first.results) == ids(again.results) == pages[0] + pages[1]


class Answer:
    """The answer of a client that keeps its results in ``points``."""

    def __init__(self, points):
        self.points = points


def test_an_application_that_searches_itself_gets_the_same_drafted_list(
    indexes, experiment, router
):
    def search(arm):
        return indexes.store.search(arm.collection, arm.embed(QUERY), 10)

    served = router.search("docs", QUERY, "anna", 10, query_id="q1").results
    found = router.call("docs", search, "anna", query_id="q1")
    assert ids(found) == ids(served)
    found = router.call("docs", lambda arm: Answer(search(arm)), "anna", query_id="q1")
    assert ids(found.points) == ids(served)
    router._core.recorder.flush()
    assert [one.query_id for one in remembered(indexes)] == ["q1"]


def test_blue_answers_an_application_whose_lists_cannot_be_drafted(indexes, experiment, router):
    blue = indexes.store.aliases()["docs"]
    with router.arm("docs", "anna") as arm:
        assert arm.collection == blue
    assert router.call("docs", lambda arm: [arm.collection], "anna") == [blue]
    assert router.call("docs", lambda arm: arm.collection, "anna", query_id="q1") == blue
    assert router.call("docs", lambda arm: [arm.collection], "anna", query_id="q1") == [blue]
    router._core.recorder.flush()
    assert remembered(indexes) == []


def test_a_click_counts_for_the_list_it_came_from_once(indexes, experiment, router):
    found = router.search("docs", QUERY, "anna", 10)
    router._core.recorder.flush()
    (seen,) = remembered(indexes)
    document, credit = next((document, credit) for document, credit in seen.served if credit)
    for _ in range(2):
        router.track_feedback(
            experiment,
            "interleaved",
            "clicks",
            1,
            "anna",
            query_id=found.query_id,
            document=document,
        )
    with indexes.services.sessions() as session:
        assert [(row.document, row.credit) for row in session.scalars(select(Click))] == [
            (str(document), credit)
        ]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"document": 999}, "not in the list served"),
        ({"query_id": "never"}, "no list was served"),
        ({"value": 0}, "not above 0"),
        ({"metric": "relevance"}, "'relevance' is not a metric"),
        ({"variant": "control"}, "'control' is not one of interleaved"),
    ],
)
def test_a_click_that_makes_no_sense_is_refused(indexes, experiment, router, given, words):
    found = router.search("docs", QUERY, "anna", 10, query_id="q1")
    router._core.recorder.flush()
    click = {
        "metric": "clicks",
        "value": 1,
        "query_id": "q1",
        "document": ids(found.results)[0],
        **given,
    }
    with pytest.raises(Refused, match=words):
        count_feedback(indexes.services, Feedback(experiment, **click))


def test_without_a_user_control_answers_alone(indexes, experiment, router):
    assert set(ids(router.search("docs", QUERY, limit=10).results)) <= set(range(30))
    assert remembered(indexes) == []


def test_a_treatment_that_fails_is_not_noticed_and_counts_for_nothing(indexes, experiment):
    indexes.over(Failing(indexes.store, indexes.store.aliases()["docs_b"]))
    with indexes.open_router() as router:
        found = router.search("docs", QUERY, "anna", 10)
    assert found.fallback
    assert len(found.results) == 10
    assert remembered(indexes) == []


class Failing:
    def __init__(self, store, collection):
        self._store = store
        self._collection = collection

    def __getattr__(self, name):
        return getattr(self._store, name)

    def search(self, collection, *arguments, **options):
        if collection == self._collection:
            raise Unavailable("down")
        return self._store.search(collection, *arguments, **options)


def test_the_async_router_drafts_the_same_list(indexes, experiment, router):
    expected = router.search("docs", QUERY, "anna", 10, query_id="q1")

    async def ask():
        async with indexes.open_async_router() as other:
            return await other.search("docs", QUERY, "anna", 10, query_id="q1")

    assert asyncio.run(ask()) == expected


# --- what users prefer ----------------------------------------------------------------------------


def voted(world: World, experiment: str, wins: int, losses: int, ties: int = 0) -> None:
    """So many users whose only click is on the treatment's document, or the control's, or who click
    on nothing."""
    with world.services.sessions.begin() as session:
        now = world.clock.now(session)
        for number, credit in enumerate([1] * wins + [-1] * losses + [0] * ties):
            whose = {"experiment_id": experiment, "unit": f"u{number}", "closes_at": now}
            where = {
                "variant": "interleaved",
                "stage": 1,
                "bucket": 1,
                "collection": "c",
                "first_seen_at": now,
            }
            session.add(ExposureRow(**whose, **where))
            if credit:
                session.add(Click(**whose, query_id=f"q{number}", document="1", credit=credit))


@pytest.mark.parametrize(
    ("wins", "losses", "action", "status"),
    [
        (600, 400, "SHIP", "decided"),
        (400, 600, "ROLLBACK", "decided"),
        (500, 500, "KEEP_RUNNING", "running"),
        (0, 0, "KEEP_RUNNING", "running"),
    ],
)
def test_a_preference_decides_when_it_is_certain(indexes, experiment, wins, losses, action, status):
    voted(indexes, experiment, wins, losses, ties=100)
    indexes.clock.move(120)
    interim_analysis.check_due_experiments(indexes.services)
    with indexes.services.sessions() as session:
        row = session.get_one(Experiment, experiment)
    assert (row.decision["action"], row.status) == (action, status)
    assert table.current_route(indexes.services, "docs").at_rest == (status == "decided")
    found = queries.report_experiment(indexes.services, experiment)["interleaving"]
    assert (found["wins"], found["losses"], found["ties"]) == (wins, losses, 100)


def test_a_users_vote_is_the_sign_of_his_lists_votes(indexes, experiment):
    with indexes.services.sessions.begin() as session:
        now = indexes.clock.now(session)
        whose = {"experiment_id": experiment, "unit": "anna", "closes_at": now}
        where = {
            "variant": "interleaved",
            "stage": 1,
            "bucket": 1,
            "collection": "c",
            "first_seen_at": now,
        }
        session.add(ExposureRow(**whose, **where))
        # Three clicks on the treatment's in one list weigh as one vote, two lists for the control
        # as two.
        for query, document, credit in [
            ("a", "1", 1),
            ("a", "2", 1),
            ("a", "3", 1),
            ("b", "1", -1),
            ("c", "1", -1),
        ]:
            session.add(Click(**whose, query_id=query, document=document, credit=credit))
    found = queries.report_experiment(indexes.services, experiment)["interleaving"]
    assert (found["wins"], found["losses"]) == (0, 1)


def test_users_whose_windows_are_open_do_not_vote_yet(indexes, experiment):
    with indexes.open_router() as router:
        for user in map(str, range(10)):
            router.search("docs", QUERY, user, 10)
    assert queries.report_experiment(indexes.services, experiment)["interleaving"]["ties"] == 0
    indexes.clock.move(3700)
    assert queries.report_experiment(indexes.services, experiment)["interleaving"]["ties"] == 10
    indexes.clock.move(2 * 86400)
    folding.fold_sketches(indexes.services)
    assert remembered(indexes) == []


def test_users_who_click_the_better_list_are_heard_end_to_end(indexes, experiment):
    """Simulated users who click what only the treatment holds."""
    rng = np.random.default_rng(1)
    with indexes.open_router() as router:
        for user in map(str, range(60)):
            found = router.search("docs", QUERY, user, 10)
            liked = [number for number in ids(found.results) if number >= 30 and rng.random() < 0.8]
            for number in liked:
                router.track_feedback(
                    experiment,
                    "interleaved",
                    "clicks",
                    1,
                    user,
                    query_id=found.query_id,
                    document=number,
                )
    indexes.clock.move(3700)
    found = queries.report_experiment(indexes.services, experiment)["interleaving"]
    assert found["wins"] > 20
    assert found["losses"] == 0
    with indexes.services.sessions() as session:
        assert session.scalar(select(func.count()).select_from(ExposureRow)) == 60
