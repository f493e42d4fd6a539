"""Who may take a turn, and for how long.

Rule: a turn is taken by moving ``turn`` on a locked row, so of any number of knocks for one turn exactly one wins. The
number so reached is the fence: whatever the holder writes later is written only while ``turn`` still has that value.
A holder that dies leaves ``lease_until`` behind; who comes after it sees the lease run out and counts a crash.
"""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, object_session

from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.models import Deployment, StepRow
from qdrant_rollouts.core.deployments.plan import State
from qdrant_rollouts.core.deployments.steps import STEPS
from qdrant_rollouts.core.errors import LeaseLost
from qdrant_rollouts.core.lifecycle import FINAL, MOVING, Event, Place, Status, StepStatus, after
from qdrant_rollouts.core.ports import Knock
from qdrant_rollouts.core.services import Services

log = logging.getLogger(__name__)

#: A knock that comes this little early is let in; clocks and timers are not exact.
_EARLY = timedelta(milliseconds=50)
#: The queue of what is short. There a wish of what waits for a place is honoured too: those that build may be busy.
WISHES = "control"
_OVER = frozenset({StepStatus.DONE, StepStatus.SKIPPED})


@dataclass(frozen=True, slots=True)
class Claim:
    """A turn that was won. ``step`` is None when only the end of the deployment is left to write."""

    deployment: Deployment
    held: int
    step: StepRow | None
    undoing: bool
    wish: str | None
    outputs: Mapping[str, State]
    attempts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Declined:
    """A knock that won nothing, why, and the knock to send instead if it only came too early."""

    reason: str
    again: Knock | None = None


def take(services: Services, deployment_id: str, turn: int, owner: str) -> Claim | Declined:
    """Claims ``turn`` of the deployment for ``owner``."""
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        row = session.get(Deployment, deployment_id, with_for_update=True)
        if row is None:
            return Declined(f"no deployment {deployment_id}")
        refusal = _refusal(row, turn, now)
        if refusal:
            return Declined(refusal)
        if not row.requested and row.wake_at > now + _EARLY:
            return Declined("early", _rearmed(session, services, row, now))
        if row.status == Status.PENDING and not row.requested:
            row.status = after(row.status, Event.START)
            events.record(session, now, f"deployment.{row.status}", deployment_id=row.id, alias=row.alias)
        _mark(services, session, row, now, owner)
        session.flush()
        claim = _claim(row)
        session.expunge_all()
        return claim


def moves(row: Deployment) -> bool:
    """Whether there is anything to take a turn for. What waits for a place takes one for a wish alone."""
    if row.requested:
        return row.status not in FINAL
    return row.place != Place.WAITING and (row.status in MOVING or guarded(row))


def guarded(row: Deployment) -> bool:
    """Whether it is paused in a step that has begun and is looked after all the same."""
    step = current_step(row) if row.status == Status.PAUSED else None
    return step is not None and step.started_at is not None and STEPS[step.name].guard is not None


def fence(session: Session, claim: Claim) -> None:
    """Locks the deployment for this transaction. Raises LeaseLost if the turn is no longer the claim's."""
    found = session.scalar(select(Deployment.turn).where(Deployment.id == claim.deployment.id).with_for_update())
    if found != claim.held:
        raise LeaseLost(f"turn {claim.held} of {claim.deployment.id} was taken over: it is at {found} now")


def current_step(row: Deployment) -> StepRow | None:
    """The step a turn would work on: the first unfinished one, or on the way back the last one begun."""
    if row.status == Status.ROLLING_BACK:
        begun = [step for step in row.steps if step.started_at and not step.undone_at]
        return begun[-1] if begun else None
    return next((step for step in row.steps if step.status not in _OVER), None)


def knock_for(services: Services, row: Deployment, now: datetime) -> Knock:
    """The knock that asks for the row's next turn when it is due, never further off than the broker may hold it."""
    step = current_step(row) or row.steps[-1]
    waits = row.place == Place.WAITING
    ahead = 0.0 if row.requested else max(0.0, (row.wake_at - now).total_seconds())
    undoing = row.status == Status.ROLLING_BACK
    return Knock(
        deployment_id=row.id,
        turn=row.turn,
        step=step.name,
        queue=WISHES if waits else step.queue,
        countdown=min(ahead, services.times.longest_countdown),
        label=f"{row.alias} turn {row.turn} try {step.tries + 1}{' undo' if undoing else ''}",
        first=_is_first(row),
    )


def _is_first(row: Deployment) -> bool:
    """Whether nobody who builds took a place before it: that one is finished before the others get on."""
    session = object_session(row)
    if row.place != Place.TAKEN or session is None:
        return False
    first = select(Deployment.id).where(Deployment.place == Place.TAKEN)
    return session.scalar(first.order_by(Deployment.placed_at, Deployment.id).limit(1)) == row.id


def _refusal(row: Deployment, turn: int, now: datetime) -> str:
    if row.turn != turn:
        return f"stale turn {turn}, now {row.turn}"
    if row.lease_until is not None and row.lease_until >= now:
        return f"turn {turn} is under way at {row.lease_owner}"
    if not moves(row):
        waits = row.place == Place.WAITING
        return f"nothing to do: {row.status}{', waits for a place among the rebuilds' if waits else ''}"
    return ""


def _rearmed(session: Session, services: Services, row: Deployment, now: datetime) -> Knock | None:
    """A fresh wake-up call, unless one was sent lately: copies of an early knock must not multiply."""
    if row.knocked_at and now - row.knocked_at < timedelta(seconds=services.times.knock_again_after):
        return None
    session.execute(update(Deployment).where(Deployment.id == row.id).values(knocked_at=now))
    return knock_for(services, row, now)


def _mark(services: Services, session: Session, row: Deployment, now: datetime, owner: str) -> None:
    crashed, dead = row.lease_until is not None, row.lease_owner
    row.claimed_at, row.lease_owner, row.knocks = now, owner, 0
    row.lease_until = now + timedelta(seconds=services.times.lease)
    step = current_step(row)
    if step is None:
        return
    if crashed:
        step.crashes += 1
        _record_death(services, session, row, step, now, dead)
    if not row.requested:
        step.tries += 1
        _begin(row, step, now)


def _record_death(
    services: Services, session: Session, row: Deployment, step: StepRow, now: datetime, dead: str | None
) -> None:
    of = f"{step.crashes} of {services.times.crashes} without progress between them"
    detail = f"its worker {dead or 'of an unknown name'} died or was stopped in the middle of turn {row.turn}: {of}"
    events.record(session, now, f"{step.name}.worker_died", detail, deployment_id=row.id, alias=row.alias)


def _begin(row: Deployment, step: StepRow, now: datetime) -> None:
    if row.status == Status.RUNNING:
        step.status = StepStatus.RUNNING
        step.started_at = step.started_at or now


def _claim(row: Deployment) -> Claim:
    return Claim(
        deployment=row,
        held=row.turn,
        step=current_step(row),
        undoing=row.status == Status.ROLLING_BACK,
        wish=row.requested,
        outputs={step.name: step.output for step in row.steps},
        attempts={step.name: step.attempt for step in row.steps},
    )


class Lease:
    """Keeps a claim alive from a thread while the step works, and is the ``Turn`` the step sees.

    Renewed every ``renew_every`` seconds, never past ``longest_lease`` after the claim, or after ``prolong``. ``check``
    trusts a local monotonic deadline that is counted from **before** each renewal was asked for, so it is never later
    than the row's.
    """

    def __init__(self, services: Services, claim: Claim) -> None:
        self._services, self._claim = services, claim
        self._started = time.monotonic()
        self._prolonged = 0.0
        self._deadline = self._started + services.times.lease
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep_alive, name=f"lease-{claim.deployment.id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    @property
    def number(self) -> int:
        return self._claim.held

    def check(self, seconds: float) -> None:
        left = self._deadline - time.monotonic()
        if left < seconds:
            raise LeaseLost(f"turn {self.number}: {left:.1f} s of the lease are left, {seconds:.0f} s are needed")

    def prolong(self) -> None:
        self._prolonged = time.monotonic() - self._started

    def fence(self, session: Session) -> None:
        fence(session, self._claim)

    def save(self, state: dict[str, Any], *, progress: bool = False) -> None:
        assert self._claim.step is not None
        values: dict[str, Any] = {"state": state, **({"crashes": 0} if progress else {})}
        statement = (
            update(StepRow)
            .where(
                StepRow.deployment_id == self._claim.deployment.id,
                StepRow.position == self._claim.step.position,
            )
            .values(values)
        )
        with self._services.sessions.begin() as session:
            self.fence(session)
            session.execute(statement)

    def _keep_alive(self) -> None:
        while not self._stopped.wait(self._services.times.renew_every):
            try:
                renewed = self._renew()
            except SQLAlchemyError as error:
                log.warning("lease of turn %s was not renewed: %s", self.number, type(error).__name__)
                continue
            if not renewed:
                return

    def _renew(self) -> bool:
        asked, times = time.monotonic(), self._services.times
        longest = self._prolonged + times.longest_lease
        with self._services.sessions.begin() as session:
            now = self._services.clock.now(session)
            end = (self._claim.deployment.claimed_at or now) + timedelta(seconds=longest)
            statement = (
                update(Deployment)
                .where(Deployment.id == self._claim.deployment.id, Deployment.turn == self.number)
                .values(lease_until=min(now + timedelta(seconds=times.lease), end))
                .returning(Deployment.id)
            )
            if session.scalar(statement) is None:
                self._deadline = asked
                return False
        self._deadline = min(asked + times.lease, self._started + longest)
        return True
