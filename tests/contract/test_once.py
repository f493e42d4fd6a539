"""One request, sent twice: started once, whichever process dies, and if two arrive at the same
time."""

import threading

import pytest
from sqlalchemy import select

from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.errors import LeaseLost, Malformed, Refused, Unavailable
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.interfaces.access import idempotency
from qdrant_rollouts.interfaces.access.idempotency import KEEP_ANSWERS_FOR, LEASE, build_key
from tests.world import texts


class Killed(BaseException):
    """The process has ended here."""


@pytest.fixture
def docs(world):
    world.declare("docs", source=world.write("docs.jsonl", texts(3)))
    return world


def key(name="k", **request):
    return build_key("token:ci", name, "POST", "/deployments", request or {"alias": "docs"})


def started(world, along):
    return queries.describe_started(
        world.services, commands.start_deployment(world.services, "docs", actor="anna", along=along)
    )


def ask(world, wanted=None, start=started):
    return idempotency.answer_once(
        world.services,
        wanted or key(),
        lambda along: start(world, along),
        lambda id: queries.describe_started(world.services, id),
    )


def deployments(world):
    with world.services.sessions() as session:
        return list(session.scalars(select(Deployment.id)))


def test_the_second_of_two_is_answered_as_the_first_was(docs):
    first = ask(docs)
    again = ask(docs)
    assert (first[1], again[1]) == (False, True)
    assert first[0] == again[0]
    assert deployments(docs) == [first[0]["deployment_id"]]


def test_the_answer_stays_when_what_was_started_has_gone_on(docs):
    first, _ = ask(docs)
    docs.run()
    assert docs.status(first["deployment_id"])["status"] == "live"
    assert ask(docs)[0] == first


def test_another_request_under_the_same_key_is_refused(docs):
    ask(docs)
    with pytest.raises(Malformed, match="'k' was sent with another request before"):
        ask(docs, key(alias="other"))


def test_a_key_is_its_callers_own(docs):
    first, _ = ask(docs)
    with pytest.raises(Refused, match=first["deployment_id"]):
        ask(docs, build_key("token:other", "k", "POST", "/deployments", {"alias": "docs"}))


def test_a_refusal_is_not_kept(docs):
    def refused(world, along):
        raise Refused("not now")

    with pytest.raises(Refused, match="not now"):
        ask(docs, start=refused)
    assert ask(docs)[1] is False


def test_while_the_first_is_worked_at_the_second_is_told_to_ask_again(docs):
    answers = []

    def slow(world, along):
        with pytest.raises(Unavailable, match="is still being processed; try again"):
            ask(docs)
        return started(world, along)

    answers.append(ask(docs, start=slow)[0])
    assert ask(docs) == (answers[0], True)


def test_of_many_at_once_one_starts_it(docs):
    found = []
    gate = threading.Barrier(6)

    def one():
        gate.wait()
        try:
            found.append(ask(docs)[0]["deployment_id"])
        except Unavailable:
            found.append(None)

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {id for id in found if id} == set(deployments(docs))
    assert len(deployments(docs)) == 1


def test_a_process_that_died_before_it_started_anything_leaves_the_key_to_the_next(docs):
    def killed(world, along):
        raise Killed

    with pytest.raises(Killed):
        ask(docs, start=killed)
    with pytest.raises(Unavailable):
        ask(docs)
    docs.clock.move(LEASE.total_seconds() + 1)
    answer, before = ask(docs)
    assert (before, deployments(docs)) == (False, [answer["deployment_id"]])


def test_a_process_that_died_after_it_started_has_left_what_it_started(docs):
    def killed(world, along):
        started(world, along)
        raise Killed

    with pytest.raises(Killed):
        ask(docs, start=killed)
    answer, before = ask(docs)
    assert (before, [answer["deployment_id"]]) == (True, deployments(docs))


def test_one_that_was_given_up_for_dead_starts_nothing_when_it_comes_back(docs):
    def frozen(world, along):
        docs.clock.move(LEASE.total_seconds() + 1)
        ask(docs, start=lambda world, _: {"deployment_id": None})  # taken up, and nothing to start
        return started(world, along)

    with pytest.raises(LeaseLost):
        ask(docs, start=frozen)
    assert deployments(docs) == []


def test_a_key_is_forgotten_after_a_day(docs):
    ask(docs)
    docs.clock.move(KEEP_ANSWERS_FOR.total_seconds() + 1)
    with pytest.raises(Refused, match="one at a time"):
        ask(docs)


@pytest.mark.parametrize("name", ["", " ", "x" * 201, "a\nb"])
def test_a_key_is_a_short_printable_word(name):
    with pytest.raises(Malformed, match="1 to 200 printable characters"):
        key(name)
