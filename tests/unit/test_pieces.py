"""Work in pieces: what is saved when, and how a piece that killed its worker is tried again."""

from types import SimpleNamespace

import pytest

from qdrant_rollouts.core.deployments.steps import pieces


class Turn:
    """Keeps what was saved, and which of it counted as progress."""

    def __init__(self):
        self.saved = []

    def save(self, state, *, progress=False):
        self.saved.append((dict(state), progress))


def context(seconds=20.0):
    return SimpleNamespace(turn=Turn(), services=SimpleNamespace(times=SimpleNamespace(slice=seconds)))


def counting(state, pieces_wanted, told):
    def piece(seconds):
        told.append(seconds)
        state["done"] = int(state.get("done", 0)) + 1
        return state["done"] < pieces_wanted

    return piece


def test_each_piece_is_saved_by_itself_and_counts_as_progress():
    turn = context()
    state = {}
    told = []
    pieces.work(turn, state, counting(state, 3, told))

    assert [saved.get("done") for saved, progress in turn.turn.saved if progress] == [1, 2, 3]
    assert told == [pieces.PIECE] * 3


def test_a_piece_whose_worker_died_is_met_again_as_a_smaller_one_and_the_next_is_as_long_as_ever():
    state = {}
    told = []
    for _ in range(3):
        turn = context()
        with pytest.raises(KeyboardInterrupt):
            pieces.work(turn, dict(state), dying)
        state, progress = turn.turn.saved[-1]
        assert not progress
        told.append(state["piece"])
    turn = context()
    tried = []
    pieces.work(turn, state, counting(state, 2, tried))

    assert told == [pieces.PIECE / 4, pieces.PIECE / 16, pieces.LEAST]
    assert tried == [pieces.LEAST, pieces.PIECE]


def dying(seconds):
    raise KeyboardInterrupt


def test_it_ends_with_the_slice_after_one_piece_at_least():
    state = {}
    told = []
    pieces.work(context(seconds=0.0), state, counting(state, 5, told))

    assert state["done"] == 1
