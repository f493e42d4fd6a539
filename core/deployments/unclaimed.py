"""Why no worker takes a due turn. Only this module judges it, for alerts, status, pages, doctor and
metrics.

A waiting turn has one of three causes, and each needs another reaction. No worker consumes its
queue: start one. All its workers are busy: wait, or start another. A worker has room and does not
take it: messages are lost or discarded, and a person must check that worker. ``judge`` finds the
cause from the workers' rows alone.

Rule: an alert counts the seconds in which the service was running (``ServiceClock``), so a jumping
clock makes no turn late. It also uses only existing rows: if no worker at all answers, the rows are
what is late.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.alerts import outbox
from qdrant_rollouts.core.alerts.outbox import Alert
from qdrant_rollouts.core.answers import workers as worker_answers
from qdrant_rollouts.core.database.alert_rows import ConditionRow
from qdrant_rollouts.core.database.models import Deployment, ServiceClock
from qdrant_rollouts.core.database.worker_rows import UnclaimedRow
from qdrant_rollouts.core.deployments import due_turns, workers
from qdrant_rollouts.core.deployments.turns import current_step, moves
from qdrant_rollouts.core.deployments.workers import Worker
from qdrant_rollouts.core.services import Services

#: Seconds that a turn is due before it is reported: a lost knock is sent again in that time.
LATE = 15.0
#: Seconds after which a turn that a worker with room does not take counts as lost: by then it was
#: knocked for again twice.
LOST = 60.0
#: How long a worker must have room without interruption: between two turns every worker has room
#: for a moment.
ROOM = timedelta(seconds=30)
#: Seconds until the alert that no worker takes a turn, and until the alert that all workers have
#: been busy.
TELL = 300.0
TELL_BUSY = 3600.0
CLOCK_OFF = "worker.clock_off"
_NO_PROGRESS = "no_progress"
_MOST = 2000
#: How many workers and tasks are named in one sentence.
_NAMED = 3


class Cause(StrEnum):
    UNLISTENED = "unlistened"
    BUSY = "busy"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn that is due and free. ``late``: for how many seconds. ``run``: the kind of its
    deployment."""

    deployment_id: str
    alias: str
    run: str
    step: str
    queue: str
    late: float


@dataclass(frozen=True, slots=True)
class Finding:
    """``next`` is what a person can do."""

    turn: Turn
    cause: Cause
    text: str
    next: str

    @property
    def told_after(self) -> float:
        if self.cause is Cause.BUSY:
            return TELL_BUSY
        return TELL


def judge(turn: Turn, roster: Sequence[Worker], waiting: int, now: datetime) -> Finding | None:
    """Returns why no worker has taken ``turn``, one of ``waiting`` for its queue; None while it is
    too early to say."""
    if turn.late < LATE:
        return None
    takers = [worker for worker in roster if turn.queue in worker.queues]
    answering = [worker for worker in takers if worker.answers]
    if not answering:
        return _find_no_listener(turn, takers, now)
    free = [worker for worker in answering if _has_room(worker)]
    if not free:
        return _busy(turn, answering, waiting, now)
    if turn.late >= LOST:
        return _find_lost_message(turn, free)
    return None


def without_takers(queues: Iterable[str], roster: Sequence[Worker]) -> dict[str, list[Worker]]:
    """Returns each queue with the workers that answer and consume it."""
    return {
        queue: [one for one in roster if one.answers and queue in one.queues] for queue in queues
    }


def start(queue: str) -> str:
    """Returns what a person does about a queue without workers."""
    return (
        f"start a worker: celery -A qdrant_rollouts.tasks worker -Q {queue}; without a broker: "
        "rollouts up"
    )


def occupation(worker: Worker, now: datetime) -> str:
    """Describes what a worker does, since when and for how long; or since when it has room."""
    if not worker.busy:
        if not worker.idle_since:
            return "between two tasks"
        return f"with nothing since {_clock(worker.idle_since, now)}"
    told = [_task(one.words, one.since, now) for one in worker.busy[:_NAMED]]
    return f"with {', '.join(told)}{_more(worker.busy)}"


def _has_room(worker: Worker) -> bool:
    return worker.idle_since is not None and worker.seen_at - worker.idle_since >= ROOM


def _find_no_listener(turn: Turn, silent: Sequence[Worker], now: datetime) -> Finding:
    text = f"{_due(turn)}: no worker takes queue {turn.queue}"
    if silent:
        last = max(silent, key=lambda worker: worker.seen_at)
        text += (
            f"; {last.name} did, and was last heard of "
            f"{_span((now - last.seen_at).total_seconds())} ago"
        )
    return Finding(turn, Cause.UNLISTENED, text, start(turn.queue))


def _busy(turn: Turn, answering: Sequence[Worker], waiting: int, now: datetime) -> Finding:
    count = len(answering)
    if count > 1:
        who = f"all {count} workers of queue {turn.queue} are"
    else:
        who = f"the only worker of queue {turn.queue} is"
    doing = [f"worker {worker.name} {occupation(worker, now)}" for worker in answering[:_NAMED]]
    others = "no other turn waits"
    if waiting > 1:
        others = f"{waiting} turns wait"
    text = f"{_due(turn)}: {who} busy: {'; '.join(doing)}{_more(answering)}; {others}"
    return Finding(
        turn,
        Cause.BUSY,
        text,
        f"wait, or start one more: celery -A qdrant_rollouts.tasks worker -Q {turn.queue}",
    )


def _find_lost_message(turn: Turn, free: Sequence[Worker]) -> Finding:
    text = (
        f"{_due(turn)}: {_join_names(free)} takes queue {turn.queue}, has room and does not take "
        "it: its messages are "
    )
    text += (
        "lost or thrown away. "
        + "; ".join(_evidence(worker) for worker in free[:_NAMED])
        + _more(free)
    )
    look = (
        "see its log for discarded, unknown or rejected messages, and whether it has this broker "
        "and this release"
    )
    if any(worker.clock_is_off for worker in free):
        look = f"set its clock (NTP); {look}"
    return Finding(turn, Cause.LOST, text, f"{look}; then restart it. `rollouts workers` shows all")


def _evidence(worker: Worker) -> str:
    counted = f"{worker.received:,} messages received, {worker.discarded:,} discarded"
    return f"{worker.name}: version {worker.version}, clock {worker.clock_words}, {counted}"


def _due(turn: Turn) -> str:
    return f"{turn.step} of {turn.alias} has been due for {_span(turn.late)}"


def _join_names(found: Sequence[Worker]) -> str:
    if len(found) == 1:
        return f"worker {found[0].name}"
    return f"each of {len(found)} workers"


def _more(found: Sequence[object]) -> str:
    if len(found) > _NAMED:
        return f" and {len(found) - _NAMED:,} more"
    return ""


def _task(words: str, since: datetime, now: datetime) -> str:
    return f"{words} since {_clock(since, now)} ({_span((now - since).total_seconds())})"


def _clock(since: datetime, now: datetime) -> str:
    if since.date() == now.date():
        return f"{since:%H:%M}"
    return f"{since:%Y-%m-%d %H:%M}"


def _span(seconds: float) -> str:
    return f"{max(0.0, seconds):,.0f} s"


def findings(services: Services, session: Session, now: datetime) -> list[Finding]:
    """Returns the findings for every waiting turn, the latest first, in the database's time."""
    rows = due_turns.list_late(session, now, LATE, _MOST)
    if not rows:
        return []
    elapsed = _read_elapsed(session)
    noted = {row.deployment_id: row for row in session.scalars(select(UnclaimedRow))}
    turns = [_turn(row, _shown_late(row, noted.get(row.id), elapsed, now)) for row in rows]
    return _judge_turns(turns, workers.list_known_workers(session, now), now)


def waits(
    services: Services, session: Session, now: datetime, row: Deployment
) -> worker_answers.Waits | None:
    """Returns why no worker takes this deployment's turn; None while there is nothing to say."""
    if not _may_be_late(row, now):
        return None
    mine = (
        found for found in findings(services, session, now) if found.turn.deployment_id == row.id
    )
    return next((_waits(found) for found in mine), None)


def list_workers_and_waits(services: Services) -> worker_answers.Workers:
    """Returns the workers, and the turns that wait for one."""
    told = workers.list_workers(services)
    with services.sessions() as session:
        found = findings(services, session, services.clock.now(session))
    return {**told, "waiting": [_describe_waiting_turn(one) for one in found]}


def _waits(found: Finding) -> worker_answers.Waits:
    return {
        "cause": str(found.cause),
        "text": found.text,
        "next": found.next,
        "seconds": round(found.turn.late, 1),
    }


def _describe_waiting_turn(found: Finding) -> worker_answers.WaitingTurn:
    turn = found.turn
    return {
        **_waits(found),
        "deployment_id": turn.deployment_id,
        "alias": turn.alias,
        "step": turn.step,
        "queue": turn.queue,
    }


def _judge_turns(turns: Sequence[Turn], roster: Sequence[Worker], now: datetime) -> list[Finding]:
    waiting = Counter(turn.queue for turn in turns)
    found = (judge(turn, roster, waiting[turn.queue], now) for turn in turns)
    return sorted((one for one in found if one), key=lambda one: -one.turn.late)


def _may_be_late(row: Deployment, now: datetime) -> bool:
    free = row.lease_until is None or row.lease_until < now
    return (
        free and moves(row) and bool(row.requested or (now - row.wake_at).total_seconds() >= LATE)
    )


def _read_elapsed(session: Session) -> float:
    return session.scalar(select(ServiceClock.elapsed)) or 0.0


def _turn(row: Deployment, late: float) -> Turn:
    step = current_step(row) or row.steps[-1]
    return Turn(row.id, row.alias, outbox.run_word(row.kind), step.name, step.queue, late)


def _shown_late(
    row: Deployment, noted: UnclaimedRow | None, elapsed: float, now: datetime
) -> float:
    """Returns for how many seconds the turn has been due. Only a sweep has recorded since when an
    operator's request is due: the row's time is later than the request, or that of a turn before a
    pause."""
    if not row.requested:
        return _past_seconds(row, now)
    if noted is not None and noted.turn == row.turn:
        return elapsed - noted.since
    return 0.0


def _past_seconds(row: Deployment, now: datetime) -> float:
    """Returns how long ago the row's time was; 0 if a request does not wait for it."""
    if row.requested:
        return 0.0
    return max(0.0, (now - row.wake_at).total_seconds())


def watch(services: Services) -> None:
    """Raises alerts for turns that no worker takes and for wrong clocks, once for as long as each
    lasts, and ends them. Every sweep calls this; of simultaneous sweeps one does it."""
    with services.sessions.begin() as session:
        running = session.get(ServiceClock, 1, with_for_update={"skip_locked": True})
        if running is None:
            return
        now = services.clock.now(session)
        roster = workers.list_known_workers(session, now)
        turns = _note(session, now, running.elapsed)
        if any(worker.answers for worker in roster):
            for found in _judge_turns(turns, roster, now):
                if found.turn.late >= found.told_after:
                    outbox.record_alert(session, now, _alert(found))
        _watch_clocks(session, now, roster)


def _note(session: Session, now: datetime, elapsed: float) -> list[Turn]:
    """Records every waiting turn with its wait in running time, and removes turns that no longer
    wait."""
    noted = {row.deployment_id: row for row in session.scalars(select(UnclaimedRow))}
    turns = []
    for row in due_turns.list_late(session, now, LATE, _MOST):
        known = noted.pop(row.id, None)
        since = elapsed - min(LATE, _past_seconds(row, now))
        if known is None:
            session.add(UnclaimedRow(deployment_id=row.id, turn=row.turn, since=since))
        elif known.turn != row.turn:
            known.turn = row.turn
            known.since = since
        else:
            since = known.since
        turns.append(_turn(row, elapsed - since))
    for known in noted.values():
        _note_taken(session, now, known)
    return turns


def _note_taken(session: Session, now: datetime, known: UnclaimedRow) -> None:
    row = session.get_one(Deployment, known.deployment_id)
    session.delete(known)
    outbox.resolve_alerts(
        session,
        now,
        row.alias,
        (f"{outbox.run_word(row.kind)}.{_NO_PROGRESS}",),
        "its turn was taken",
    )


def _alert(found: Finding) -> Alert:
    turn = found.turn
    return Alert(
        turn.alias,
        f"{turn.run}.{_NO_PROGRESS}",
        found.text,
        value=f"{turn.late:.0f} s without a worker",
        bound=f"{found.told_after:.0f} s",
        next=found.next,
        deployment_id=turn.deployment_id,
    )


def _watch_clocks(session: Session, now: datetime, roster: Sequence[Worker]) -> None:
    told = set(session.scalars(select(ConditionRow.alias).where(ConditionRow.what == CLOCK_OFF)))
    for worker in roster:
        if worker.answers and worker.clock_is_off:
            outbox.record_alert(session, now, _clock_alert(worker))
        elif (
            worker.answers
            and abs(worker.clock_offset) < workers.CLOCK_RIGHT
            and worker.name in told
        ):
            outbox.resolve_alerts(
                session, now, worker.name, (CLOCK_OFF,), f"its clock is {worker.clock_words}"
            )
    for name in told - {worker.name for worker in roster}:
        outbox.resolve_alerts(session, now, name, (CLOCK_OFF,), "this worker is gone")


def _clock_alert(worker: Worker) -> Alert:
    return Alert(
        worker.name,
        CLOCK_OFF,
        f"the clock of {worker.name} is {worker.clock_words}",
        value=f"{worker.clock_offset:.1f} s",
        bound=f"{workers.CLOCK_OFF:g} s",
        next=CLOCK_NEXT,
    )


CLOCK_NEXT = "set that machine's clock (NTP); if every worker is off alike, the database's"
