"""Whoever takes the steps of a write, a round or a fence: results and errors go back to the
generator that asked for them."""

import asyncio

import pytest

from qdrant_rollouts.core.journal.running import await_steps, run_steps


def write_down(noted):
    """Asks for three steps, forgives the second one, and says when it ends."""
    try:
        noted.append((yield "first"))
        try:
            yield "second"
        except ValueError as error:
            noted.append(str(error))
        return (yield "third")
    finally:
        noted.append("over")


def take_step(step):
    if step == "second":
        raise ValueError("second failed")
    return f"{step} done"


def run(noted, take):
    return run_steps(write_down(noted), take)


def run_in_a_loop(noted, take):
    async def take_later(step):
        await asyncio.sleep(0)
        return take(step)

    return asyncio.run(await_steps(write_down(noted), take_later))


@pytest.fixture(params=[run, run_in_a_loop])
def run_all(request):
    return request.param


def test_results_and_errors_go_back_to_who_asked_for_the_step(run_all):
    noted = []
    assert run_all(noted, take_step) == "third done"
    assert noted == ["first done", "second failed", "over"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
def test_an_error_that_nobody_expects_ends_the_steps_and_is_raised(run_all, error):
    noted = []

    def fail(step):
        raise error

    with pytest.raises(error):
        run_all(noted, fail)
    assert noted == ["over"]


def test_a_call_is_a_step_of_its_own():
    def steps():
        return (yield lambda: 3) + (yield lambda: 4)

    assert run_steps(steps()) == 7


def test_steps_end_if_whoever_awaits_them_is_cancelled():
    noted = []

    async def wait_for_ever(step):
        await asyncio.Event().wait()

    async def give_up():
        async with asyncio.timeout(0.01):
            await await_steps(write_down(noted), wait_for_ever)

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    assert noted == ["over"]
