"""The engine driven by threads of this process, for the embedded default; elsewhere Celery, Redis
and beat do this.

Rule: one runner per working folder, held by a lock on a file next to the embedded store, which only
one process can open. The lock only tells other commands whether some process runs what they record;
the rows decide who may take a turn, as everywhere.
"""

import fcntl
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from sqlalchemy.exc import SQLAlchemyError

from qdrant_rollouts.adapters import private
from qdrant_rollouts.adapters.presence import Presence, Process
from qdrant_rollouts.core.alerts import deliveries
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.database import events, leases
from qdrant_rollouts.core.deployments import engine, following
from qdrant_rollouts.core.deployments.steps import STEPS
from qdrant_rollouts.core.deployments.turn_record import TurnResult
from qdrant_rollouts.core.deployments.workers import Said, Task
from qdrant_rollouts.core.errors import AppError, LeaseLost, Refused
from qdrant_rollouts.core.experiments import following as treatments
from qdrant_rollouts.core.operations.schedules import sweep as schedule_sweep
from qdrant_rollouts.core.operations.sweeps import SWEEPS
from qdrant_rollouts.core.ports import Knock
from qdrant_rollouts.core.services import Services, Times
from qdrant_rollouts.wiring import EMBEDDED_STORE, build_services

log = logging.getLogger(__name__)

LOCK_FILE = Path(EMBEDDED_STORE).with_name("runner.lock")
#: As many simultaneous turns as the control worker has children; one deployment never has more than
#: one.
WORKERS = 4
#: Shorter turns than a worker's, because Ctrl-C waits for the current turn. A lost knock is sent
#: again sooner, because knocks are lost only when a process ends. A timer here holds a knock that
#: is not due yet, because there is only one clock, so it does not wait for the next sweep.
TIMES = Times(slice=5.0, knock_again_after=3.0, holds_waits=True)
#: Seconds between sweeps (celery-facts 2.6), and the number of sweeps between two looks at due
#: deletions.
_PULSE = 1.0
_DELETIONS = 10
#: Seconds between two deliveries of alerts.
_ALERTS = 2.0
#: The only queue is the pool's own, which accepts every step.
_QUEUES = tuple(sorted({step.queue for step in STEPS.values()}))


class Embedded:
    """Receives the knocks of this process's services and answers them from threads.

    Before it is started it drops every knock: the rows wait for the next runner. Starting raises
    Refused while another process of this folder runs; stopping waits for running turns and leaves
    the rest to the rows.
    """

    def __init__(self, settings: Settings, times: Times = TIMES) -> None:
        self.services = build_services(settings, self, times)
        self._guard = threading.Lock()
        self._stopped = threading.Event()
        self._lock: IO[str] | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._timers: set[threading.Timer] = set()
        self._turns: set[Future[TurnResult]] = set()
        self._work: Future[str] = Future()
        self._work.set_result("nothing yet")
        self._lends_store = settings.lends_store
        self._database_url = settings.database_url.get_secret_value()
        self._crew = Crew()
        self._through = events.current_source()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        self._lock = take_lock()
        self._stopped.clear()
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="turn")
        self._pulse = threading.Thread(target=self._run_sweeps, name="pulse", daemon=True)
        self._pulse.start()
        self._telling = threading.Thread(target=self._run_alerts, name="alerts", daemon=True)
        self._telling.start()
        self._presence = Presence(self._database_url, self._crew.describe)
        self._presence.start()

    def stop(self) -> None:
        self._stopped.set()
        with self._guard:
            pool = self._pool
            self._pool = None
            timers = self._timers
            self._timers = set()
        for timer in timers:
            timer.cancel()
        self._pulse.join()
        self._telling.join()
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)
            self._deliver_alerts()
        self._presence.stop()
        if self._lock is not None:
            self._lock.close()

    def ask_to_stop(self) -> None:
        """Ends ``wait``; safe in a signal handler."""
        self._stopped.set()

    def wait(self) -> None:
        """Returns when it was asked to stop, or when its sweep has ended with an unexpected
        error."""
        self._stopped.wait()

    def __call__(self, knock: Knock) -> None:
        with self._guard:
            if self._pool is None:
                return
            if knock.countdown <= 0:
                self._submit_turn(self._pool, knock)
                return
            timer = threading.Timer(knock.countdown, self._pass_on_knock, (knock,))
            timer.daemon = True
            self._timers.add(timer)
            timer.start()

    def _pass_on_knock(self, knock: Knock) -> None:
        with self._guard:
            self._timers = {
                timer for timer in self._timers if timer is not threading.current_thread()
            }
            if self._pool is not None:
                self._submit_turn(self._pool, knock)

    def _submit_turn(self, pool: ThreadPoolExecutor, knock: Knock) -> None:
        turn = pool.submit(self._advance_turn, knock)
        self._turns = {*(other for other in self._turns if not other.done()), turn}
        turn.add_done_callback(lambda done: _log_turn(knock, done))

    def _advance_turn(self, knock: Knock) -> TurnResult:
        with (
            events.use_source(self._through),
            self._crew.at_work(f"deployments.{knock.step}", knock.deployment_id),
        ):
            return engine.take_turn(self.services, knock, leases.name_owner())

    def _run_alerts(self) -> None:
        """A separate thread, because a channel that does not answer must not delay a turn."""
        while not self._stopped.wait(_ALERTS):
            self._deliver_alerts()

    def _deliver_alerts(self) -> None:
        try:
            deliveries.deliver_due(self.services)
        except (AppError, SQLAlchemyError) as error:
            log.warning("alerts are tried again in %g s: %s", _ALERTS, error)

    def _run_sweeps(self) -> None:
        beats = 0
        try:
            while True:
                self._sweep_as_source(with_deletions=beats % _DELETIONS == 0)
                beats += 1
                if self._stopped.wait(_PULSE):
                    return
        finally:
            self._stopped.set()

    def _sweep_as_source(self, *, with_deletions: bool) -> None:
        with events.use_source(self._through):
            self._sweep_once(with_deletions=with_deletions)

    def _sweep_once(self, *, with_deletions: bool) -> None:
        self._try_sweep("deployments.rouse", engine.knock_overdue_turns)
        if with_deletions:
            self._try_sweep("schedules.sweep", self._sweep_schedules)
            self._try_sweep("writes.follow", self._follow_writes)
            for name, sweep in SWEEPS.items():
                self._try_sweep(name, sweep)
        self._try_sweep("the store", self._lend_store)

    def _try_sweep(self, name: str, sweep: Callable[[Services], object]) -> None:
        """A sweep that fails keeps no other from its work."""
        try:
            sweep(self.services)
        except (AppError, SQLAlchemyError) as error:
            log.warning("%s is tried again by a later sweep: %s", name, self._unfit() or error)

    def _sweep_schedules(self, services: Services) -> None:
        wanted = schedule_sweep.sweep_schedules(services).open
        runs = [partial(schedule_sweep.take_up_run, services, run_id) for run_id in wanted]
        self._work_beside("schedules.take_up", runs)

    def _follow_writes(self, services: Services) -> None:
        behind = following.list_behind(services)
        followers = [
            *(partial(following.follow_back, services, alias) for alias in behind),
            *(
                partial(treatments.follow_control, services, id)
                for id in treatments.list_due(services)
            ),
        ]
        self._work_beside("writes.follow", followers)

    def _unfit(self) -> str:
        """A newer program may have changed the database of this folder so that this one cannot work
        with it."""
        try:
            return self.services.standing().unfit
        except AppError:
            return ""

    def _work_beside(self, task: str, works: Sequence[Callable[[], str]]) -> None:
        """Does these works, one after the other, next to the turns. While others are done, they
        wait for the next sweep: the rows know what is left."""
        with self._guard:
            if self._pool is None or not works or not self._work.done():
                return
            self._work = self._pool.submit(self._work_off, task, works)
            self._work.add_done_callback(_log_run)

    def _work_off(self, task: str, works: Sequence[Callable[[], str]]) -> str:
        with events.use_source(self._through), self._crew.at_work(task):
            return "; ".join(work() for work in works)

    def _lend_store(self, services: Services) -> None:
        """Only one process can open the embedded store: while nothing is to be done, others may
        search it and move aliases."""
        with self._guard:
            idle = (
                not self._timers and all(turn.done() for turn in self._turns) and self._work.done()
            )
        if idle and self._lends_store:
            services.store.close()


class Crew:
    """What the threads do, for processes that look from outside."""

    def __init__(self) -> None:
        self._process = Process(f"embedded@{socket.gethostname()}", "embedded")
        self._guard = threading.Lock()
        self._tasks: dict[int, tuple[str, str | None, float]] = {}
        self._begun = 0
        self._idle_from: float | None = time.monotonic()

    @contextmanager
    def at_work(self, task: str, deployment_id: str | None = None) -> Iterator[None]:
        me = threading.get_ident()
        with self._guard:
            self._begun += 1
            self._tasks[me] = (task, deployment_id, time.monotonic())
            if len(self._tasks) >= WORKERS:
                self._idle_from = None
        try:
            yield
        finally:
            with self._guard:
                del self._tasks[me]
                self._idle_from = self._idle_from or time.monotonic()

    def describe(self) -> Said:
        now = time.monotonic()
        with self._guard:
            busy = tuple(
                Task(name, deployment_id, now - since)
                for name, deployment_id, since in self._tasks.values()
            )
            idle = None
            if self._idle_from is not None:
                idle = now - self._idle_from
            begun = self._begun
        return self._process.describe(
            queues=_QUEUES, concurrency=WORKERS, busy=busy, idle=idle, received=begun
        )


def take_lock() -> IO[str]:
    """Returns the runner's lock; closing the file releases it. Raises Refused, naming the process
    that has it."""
    private.make_folder(LOCK_FILE.parent)
    private.make_file(LOCK_FILE)
    file = LOCK_FILE.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise Refused(
            f"process {_pid_of_runner()} runs the deployments of this folder already ({LOCK_FILE})"
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def running_elsewhere() -> str | None:
    """Returns the id of the process that runs the deployments of this folder; None if there is
    none."""
    if not LOCK_FILE.exists():
        return None
    with LOCK_FILE.open(encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _pid_of_runner()
    return None


def _pid_of_runner() -> str:
    return LOCK_FILE.read_text(encoding="utf-8") or "unknown"


def _log_run(done: "Future[str]") -> None:
    try:
        log.info("%s", done.result())
    except CancelledError:
        log.info("a scheduled run was no longer taken up")
    except (AppError, SQLAlchemyError) as error:
        log.warning("a scheduled run is taken up again by a later sweep: %s", error)


def _log_turn(knock: Knock, done: "Future[TurnResult]") -> None:
    try:
        log.info("%s: %s", knock.label, done.result().line)
    except CancelledError:
        log.info("%s was no longer begun", knock.label)
    except LeaseLost as lost:
        log.info("%s: fenced: %s", knock.label, lost)
    except (AppError, SQLAlchemyError) as error:
        log.warning("%s is tried again when its lease has run out: %s", knock.label, error)
