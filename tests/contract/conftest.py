"""One world per test, on each of the databases; for tests that kill, several worlds one after the
other."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.by_http import ByHttp
from tests.mortal import MakeWorld, Reaper, make_mortal
from tests.saved_worlds import SavedWorlds
from tests.two_versions import build_two_versions
from tests.world import World


@pytest.fixture
def world(tmp_path: Path, ready_url: str) -> Iterator[World]:
    made = World(tmp_path, ready_url)
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgres", "http"])
def reached(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A world on each database, and one whose routers come by HTTP."""
    by_http = request.param == "http"
    database = request.param
    if by_http:
        database = "sqlite"
    made = World(tmp_path, request.getfixturevalue(f"ready_{database}_url"))
    if by_http:
        made.reach = ByHttp()
    yield made
    made.close()


@pytest.fixture
def versions(world: World, saved_worlds: SavedWorlds) -> World:
    """An index that serves one of two versions with different models."""
    saved_worlds.begin(world, build_two_versions)
    return world


@pytest.fixture
def make(
    tmp_path: Path, next_url: Callable[[], str], saved_worlds: SavedWorlds
) -> Iterator[MakeWorld]:
    """Builds worlds, each on a new database; each closes the previous one. What happened before is
    done once and copied."""
    made: list[World] = []

    def build(reaper: Reaper, before: Callable[[World], object] | None = None) -> World:
        for old in made:
            old.close()
        made[:] = [World(tmp_path, next_url())]
        if before is not None:
            saved_worlds.begin(made[0], before)
        return make_mortal(made[0], reaper)

    yield build
    for world in made:
        world.close()
