"""Two installations (on SQLite and on PostgreSQL) for the tests of this folder, and the figures
that they measure."""

import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.installation import BRISK, PATIENCE, RUNNING, Installation, both
from tests.acceptance.night import INSTALLATION, Night, night

Houses = dict[str, Installation]
#: Seconds for a test together with the fixtures that it needs first. These tests run whole stories
#: on two installations, which take minutes on a busy machine, and each wait in them has its own
#: limit.
_LONGEST = 900
_FIGURES = pytest.StashKey[list[str]]()
_OTHERS_FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="package")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Houses]:
    """Installations with short waits. Tests that measure waits start their own."""
    with both(tmp_path_factory.mktemp("houses"), times=BRISK, tick=1.0) as running:
        yield running


@pytest.fixture(scope="package")
def nights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Night]:
    """The long run. It measures times, so on the second database it begins while the first one
    waits for the leases of its dead workers."""
    folder = tmp_path_factory.mktemp("nights")
    with both(folder, **INSTALLATION) as running, ThreadPoolExecutor(len(running)) as pool:
        begun = {}
        for name, house in running.items():
            all_dead = threading.Event()
            begun[name] = pool.submit(night, house, all_dead.set)
            begun[name].add_done_callback(lambda _, over=all_dead: over.set())
            all_dead.wait(PATIENCE.cut(120))
        return {name: future.result() for name, future in begun.items()}


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def house(houses: Houses, database: str) -> Installation:
    return houses[database]


@pytest.fixture(scope="session")
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Records a line that is printed at the end of the run; docs/understand/faults-measured.md has
    the lines of one run."""
    return request.config.stash.setdefault(_FIGURES, []).append


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    figures = config.stash.get(_FIGURES, []) + config.stash.get(_OTHERS_FIGURES, [])
    if figures:
        terminalreporter.section("acceptance: measured")
        for line in figures:
            terminalreporter.write_line(line)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Passes the figures of a process to the one that writes the summary."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["figures"] = session.config.stash.get(_FIGURES, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    taken = node.config.stash.setdefault(_OTHERS_FIGURES, [])
    taken += getattr(node, "workeroutput", {}).get("figures", [])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the tests with an installation of their own first. The shared ones, once started, run
    to the end, and would disturb tests that measure times."""
    here = [item for item in items if item.path.parent == Path(__file__).parent]
    for item in here:
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_LONGEST))
    ordered = iter(sorted(here, key=_shares_installations))
    items[:] = [
        next(ordered) if item.path.parent == Path(__file__).parent else item for item in items
    ]


def _shares_installations(item: pytest.Item) -> bool:
    return "houses" in getattr(item, "fixturenames", ())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Sets the limit for all waits, so that none lasts longer than the time that pytest-timeout
    gives the test with its fixtures."""
    mark = item.get_closest_marker("timeout")
    config = item.config
    PATIENCE.begin(
        float(mark.args[0] if mark else config.getoption("timeout") or config.getini("timeout"))
    )
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds what the workers wrote to the report of a failure, also if a fixture of the test
    failed."""
    report = yield
    if report.failed:
        used = [
            value
            for value in getattr(item, "funcargs", {}).values()
            if isinstance(value, Installation)
        ]
        report.sections += [("the installation", house.story()) for house in used or RUNNING]
    return report
