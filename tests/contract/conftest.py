"""One world per test, on each of the databases; for tests that kill, several worlds one after the
other on the same database."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mortal import Reaper, mortal_world
from tests.saved_worlds import SavedWorlds
from tests.two_versions import build_two_versions
from tests.world import World


@pytest.fixture
def world(tmp_path: Path, ready_url: str) -> Iterator[World]:
    made = World(tmp_path, ready_url)
    yield made
    made.close()


@pytest.fixture
def versions(world: World, saved_worlds: SavedWorlds) -> World:
    """An index that serves one of two versions with different models."""
    saved_worlds.begin(world, build_two_versions)
    return world


@pytest.fixture
def make(tmp_path: Path, ready_url: str) -> Iterator[Callable[[Reaper], World]]:
    """Builds worlds on one database; each closes the previous one."""
    made: list[World] = []

    def build(reaper: Reaper) -> World:
        for old in made:
            old.close()
        made[:] = [mortal_world(tmp_path, ready_url, reaper)]
        return made[0]

    yield build
    for world in made:
        world.close()
