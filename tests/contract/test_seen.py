"""The ids that a pass over a source has met: kept in runs, merged once, in bounded memory."""

import time
import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest
from sqlalchemy import func, select

from qdrant_rollouts.core.collections import seen
from qdrant_rollouts.core.collections.seen import MetIds
from qdrant_rollouts.core.database.write_rows import SeenIds
from qdrant_rollouts.core.errors import Broken
from qdrant_rollouts.core.operations.sweeps import fold_observations
from qdrant_rollouts.core.ports import PointId
from tests.world import World, texts

MANY = 3_000_000
A_PIECE = 40_000


def keep(world: World, *pieces: Sequence[PointId]) -> int:
    """Returns how many records were read."""
    read = 0
    for ids in pieces:
        met = MetIds()
        for id in ids:
            met.add(id)
        with world.services.sessions.begin() as session:
            seen.save_piece(session, "run", read, met)
        read += len(ids)
    return read


def merge(world: World, read: int) -> tuple[int, int, int]:
    """Returns the numbers of ranges, of ids and of repeated ones."""
    with world.services.sessions() as session:
        ranges = seen.count_ranges(session, "run", read)
    ids = repeated = 0
    for place in range(ranges):
        with world.services.sessions.begin() as session:
            merged = seen.merge_range(session, "run", read, place, ranges, keep=True)
        ids += merged.ids
        repeated += merged.repeated
    return ranges, ids, repeated


def test_ids_that_were_met_twice_are_counted_wherever_they_are(world: World) -> None:
    read = keep(world, [1, 2, "b", 1], [3, "b"], ["a", 4])
    assert merge(world, read) == (1, 6, 2)


def test_what_was_not_met_is_found_and_numbers_are_not_texts(world: World) -> None:
    read = keep(world, list(range(50)), list(range(50, 100)))
    merge(world, read)
    with world.services.sessions() as session:
        known = seen.load_known(session, "run", 0, 1)
        assert known.find_unknown([5, 100, "5", 99]) == [100, "5"]
        assert seen.find_met(session, "run", 50, [5, 49, 50, "5"]) == {5, 49}
        assert seen.find_met(session, "run", read, [50, 100]) == {50}


def test_a_piece_that_is_repeated_replaces_itself_and_later_ones_do_not_count(
    world: World,
) -> None:
    keep(world, [1, 2], [3, 4])
    keep(world, [1, 2])
    assert merge(world, 2) == (1, 2, 0)
    with world.services.sessions.begin() as session:
        seen.forget_seen(session, "run")
        assert session.scalar(select(func.count()).select_from(SeenIds)) == 0


def test_ids_that_are_not_merged_are_never_taken_for_none(world: World) -> None:
    """Everything would be deleted otherwise."""
    keep(world, [1, 2])
    with world.services.sessions() as session, pytest.raises(Broken, match="are not merged"):
        seen.load_known(session, "run", 0, 1)


def test_three_million_ids_are_merged_in_seconds_and_in_bounded_memory(world: World) -> None:
    draw = np.random.default_rng(7)
    for after in range(0, MANY, A_PIECE):
        run = np.sort(draw.integers(0, 2**64, A_PIECE, dtype=np.uint64))
        with world.services.sessions.begin() as session:
            session.add(SeenIds(deployment_id="run", after=after, ids=run.tobytes()))
    last = run[:3].tobytes()
    with world.services.sessions.begin() as session:
        session.add(SeenIds(deployment_id="run", after=MANY, ids=last))
    started = time.process_time()
    tracemalloc.start()
    ranges, ids, repeated = merge(world, MANY + 1)
    with world.services.sessions() as session:
        for place in range(0, ranges, seen.RANGES_AT_ONCE):
            known = seen.load_known(session, "run", place, ranges)
            assert len(known.find_unknown(range(1000))) <= 1000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (ids, repeated) == (MANY, 3)
    assert peak < 64 << 20
    assert time.process_time() - started < 60


def test_the_ids_of_deployments_that_have_ended_are_forgotten_and_no_others(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(20)))
    ended = world.deploy("docs")
    world.run()
    running = world.deploy("docs")
    names = [ended, seen.name_look(ended), f"{ended}/merged", running, seen.name_look(running)]
    with world.services.sessions.begin() as session:
        for name in names:
            seen.save_piece(session, name, 0, MetIds())
    fold_observations(world.services)
    with world.services.sessions() as session:
        kept = session.scalars(select(SeenIds.deployment_id)).all()
    assert sorted(kept) == sorted(names[3:])
