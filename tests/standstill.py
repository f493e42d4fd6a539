"""A pytest plugin for a machine that stands still, as a virtual machine does while it is saved or
moved.

Nothing makes progress then, but clocks continue: leases, time limits and idle connections expire,
and measured seconds are no longer the product's. A test that failed in a file during which the
machine stood still is run again, once, with new servers and fixtures, and is reported as a rerun.
Without a standstill, a failure is a failure.
"""

import gc
import sys
import threading
import time
import warnings
from contextlib import suppress
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

#: Seconds between two looks at the clock; a busy machine does not delay ``_LOOK`` this much.
STILL = 3.0
_LOOK = 0.2


class Clock(threading.Thread):
    """Reads the clock continuously, and remembers when it could not."""

    def __init__(self) -> None:
        super().__init__(name="clock", daemon=True)
        self._gaps: list[tuple[float, float]] = []

    def run(self) -> None:
        before = time.time()
        while True:
            time.sleep(_LOOK)
            now = time.time()
            if now - before > STILL:
                self._gaps.append((before, now))
            before = now

    def still_since(self, began: float) -> float:
        """Returns seconds."""
        return sum(ended - max(began, at) for at, ended in self._gaps if ended > began)


class Again:
    def __init__(self) -> None:
        self._clock = Clock()
        self._file = Path()
        self._began = 0.0

    def pytest_sessionstart(self) -> None:
        self._clock.start()

    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        if item.path != self._file:
            self._file = item.path
            self._began = time.time()
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._reports(item, nextitem):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _reports(self, item: pytest.Item, nextitem: pytest.Item | None) -> list[pytest.TestReport]:
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        failed = next((report for report in reports if report.failed), None)
        if failed is None or not (still := self._still()):
            return reports
        return [_told(failed, still), *self._anew(item, nextitem)]

    def _still(self) -> float:
        time.sleep(2 * _LOOK)  # the clock may not have been read since
        return self._clock.still_since(self._began)

    def _anew(self, item: pytest.Item, nextitem: pytest.Item | None) -> list[pytest.TestReport]:
        with (
            suppress(Exception),
            warnings.catch_warnings(),
        ):  # what a standstill left may not end in order
            warnings.simplefilter("ignore", ResourceWarning)
            item.session._setupstate.teardown_exact(None)
            _forget_failure()
        self._began = time.time()
        return runtestprotocol(item, log=False, nextitem=nextitem)


def _forget_failure() -> None:
    """pytest keeps the last error for debuggers, and with it whatever the test had open: found in
    the end of the run, it would fail a run that has passed."""
    for name in {"last_exc", "last_value", "last_traceback"} & vars(sys).keys():
        setattr(sys, name, None)
    gc.collect()


def _told(failed: pytest.TestReport, still: float) -> pytest.TestReport:
    failed.outcome = "rerun"  # type: ignore[assignment]  # as pytest-rerunfailures names it; pytest counts any word
    failed.sections.append(("standstill", f"the machine stood still for {still:.0f} s"))
    return failed


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Again())


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    return ("rerun", "R", "RERUN") if str(report.outcome) == "rerun" else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Reports what was run again, why, and how it had failed."""
    for report in terminalreporter.getreports("rerun"):
        terminalreporter.write_line(f"RERUN {report.nodeid}: {dict(report.sections)['standstill']}")
        terminalreporter.write_line(report.longreprtext)
