"""Work in pieces: what is saved when, and how a piece that killed its worker is tried again."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest

from qdrant_rollouts.core.deployments.steps import pieces
from qdrant_rollouts.core.deployments.steps.data import PIECE_SECONDS, PieceState
from qdrant_rollouts.core.errors import Limited


@dataclass(frozen=True, kw_only=True)
class Counted(PieceState):
    done: int = 0


class Context:
    """Keeps what was saved, and which of it counted as progress."""

    def __init__(self, seconds=20.0):
        self.services = SimpleNamespace(times=SimpleNamespace(turn_time=seconds))
        self.saved = []

    def save(self, state, *, progress=False):
        self.saved.append((state, progress))


def counting(pieces_wanted, told):
    def piece(state, seconds):
        told.append(seconds)
        return replace(state, done=state.done + 1), state.done + 1 < pieces_wanted

    return piece


def test_each_piece_is_saved_by_itself_and_counts_as_progress():
    context = Context()
    told = []
    ended = pieces.work(context, Counted(), counting(3, told))

    assert [saved.done for saved, progress in context.saved if progress] == [1, 2, 3]
    assert told == [PIECE_SECONDS] * 3
    assert ended.done == 3


def test_a_piece_whose_worker_died_is_met_again_as_a_smaller_one_and_the_next_is_as_long_as_ever():
    state = Counted()
    told = []
    for _ in range(3):
        context = Context()
        with pytest.raises(KeyboardInterrupt):
            pieces.work(context, state, dying)
        state, progress = context.saved[-1]
        assert not progress
        told.append(state.piece)
    tried = []
    pieces.work(Context(), state, counting(2, tried))

    assert told == [PIECE_SECONDS / 4, PIECE_SECONDS / 16, pieces.LEAST]
    assert tried == [pieces.LEAST, PIECE_SECONDS]


def dying(state, seconds):
    raise KeyboardInterrupt


def test_it_ends_with_the_slice_after_one_piece_at_least():
    ended = pieces.work(Context(seconds=0.0), Counted(), counting(5, []))

    assert ended.done == 1


def test_work_goes_on_until_its_time_is_over():
    assert pieces.limit_to(60)()
    assert not pieces.limit_to(0)()


def test_a_piece_for_which_a_rate_limit_leaves_no_room_keeps_its_length():
    def limited(state, seconds):
        raise Limited("no more reads for now")

    context = Context()
    with pytest.raises(Limited):
        pieces.work(context, Counted(done=3), limited)

    assert context.saved[-1] == (Counted(done=3), False)


def counting_pages(most, allowed):
    """Counts to ``most``; a rate limit allows so many pages."""

    def do_page(place):
        if place == allowed:
            raise Limited("no more reads")
        return place + 1, place + 1 < most

    return do_page


def test_pages_are_done_until_the_last_one():
    assert pieces.do_pages(0, counting_pages(5, None), lambda: True) == (5, False)


def test_at_least_one_page_is_done_when_the_time_is_over():
    assert pieces.do_pages(0, counting_pages(5, None), lambda: False) == (1, True)


def test_pages_before_a_rate_limit_are_kept():
    assert pieces.do_pages(0, counting_pages(5, 3), lambda: True) == (3, True)


def test_a_rate_limit_that_allows_no_page_is_raised():
    with pytest.raises(Limited):
        pieces.do_pages(3, counting_pages(5, 3), lambda: True)
