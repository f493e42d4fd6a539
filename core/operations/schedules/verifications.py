"""Scheduled verifications: the gate, run in pieces on the live collection; its findings are stored
with the run.

A turn is taken under a lease that is longer than every time limit, so it needs no renewal. If a
worker dies, its lease expires, and the turn is repeated from the last save. Only the run's own row
is changed.
"""

import time
from datetime import timedelta
from typing import Any

from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.schedule_rows import ScheduleRun
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.gate import verdict
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.gate.evidence.opening import open_existing
from qdrant_rollouts.core.gate.reasons import describe_reasons
from qdrant_rollouts.core.lifecycle import RunStatus
from qdrant_rollouts.core.operations.schedules import runs
from qdrant_rollouts.core.operations.schedules.runs import Run
from qdrant_rollouts.core.services import Services

State = dict[str, Any]


def verify_for_turn(services: Services, run: Run) -> str:
    """Takes one turn; the report ends the run. Only a pass is a success."""
    held, state, crashes = _claim_turn(services, run)
    if crashes >= services.times.crashes:
        return runs.end_run(
            services, held, RunStatus.FAILED, f"its worker died or was stopped {crashes} times"
        )
    try:
        opened = _open_scheduled_gate(services, run.alias, state)
        ends = time.monotonic() + services.times.turn_time
        wait = verdict.collect_evidence(opened, lambda: time.monotonic() >= ends)
    except Refused as refused:
        return runs.end_run(services, held, RunStatus.FAILED, str(refused))
    except Unavailable as away:
        return _release_run(services, held, state, f"tried again: {away}")
    if wait is not None:
        return _release_run(
            services,
            held,
            {"collection": opened.green, "memory": opened.memory},
            verdict.describe_progress(opened),
        )
    return _end_with_verdict(services, held, verdict.build_report(opened))


def _claim_turn(services: Services, run: Run) -> tuple[Run, State, int]:
    with services.sessions.begin() as session:
        row = session.get_one(ScheduleRun, run.id, with_for_update=True)
        now = services.clock.now(session)
        died = row.lease_until is not None
        state = dict(row.state)
        crashes = row.crashes + died
        if died:
            of = f"{crashes} of {services.times.crashes} without progress between them"
            detail = f"{run.name}: its worker died or was stopped in the middle of a turn: {of}"
            events.record_event(session, now, "schedule.worker_died", detail, alias=run.alias)
        until = now + timedelta(seconds=services.times.longest_lease)
        return runs.take_run(session, run, lease_until=until, crashes=crashes), state, crashes


def _open_scheduled_gate(services: Services, alias: str, state: State) -> GateContext:
    """Begins again if another collection serves than the one being verified."""
    live = services.store.aliases()
    if alias not in live:
        raise Refused(
            f"alias {alias} does not exist: nothing serves that could be verified; deploy it"
        )
    memory = state.get("memory", {}) if state.get("collection") == live[alias] else {}
    spec = commands.resolve_spec(services, alias, live)
    return open_existing(services, live[alias], live[alias], spec, memory)


def _release_run(services: Services, held: Run, state: State, message: str) -> str:
    with services.sessions.begin() as session:
        runs.take_run(session, held, lease_until=None, crashes=0, state=state, message=message)
    return f"{held.name}: {message}"


def _end_with_verdict(services: Services, held: Run, report: State) -> str:
    if report["verdict"] == "pass":
        message = "; ".join([f"{report['collection']} passes the gate", *report["warnings"]])
        return runs.end_run(services, held, RunStatus.DONE, message, report)
    found = "is not certain to pass the gate"
    if report["verdict"] == "block":
        found = "does not pass the gate"
    message = f"{report['collection']} {found}: {describe_reasons(report)}"
    return runs.end_run(services, held, RunStatus.FAILED, message, report)
