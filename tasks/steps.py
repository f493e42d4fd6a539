"""One Celery task per step, so that Flower shows each stage. The name is only a label: the row
decides what is done."""

import logging
from collections.abc import Callable
from functools import partial

from celery import Celery, Task

from qdrant_rollouts.adapters.broker_errors import BROKER_AWAY
from qdrant_rollouts.adapters.celery import LONG_LIMITS, give_back
from qdrant_rollouts.core.database import events, leases
from qdrant_rollouts.core.deployments import due_slices, engine, slices
from qdrant_rollouts.core.deployments.steps import STEPS
from qdrant_rollouts.core.deployments.turn_record import TurnResult
from qdrant_rollouts.core.errors import LeaseLost
from qdrant_rollouts.core.services import Services

log = logging.getLogger(__name__)


class Rejected(Exception):
    """The turn was committed and its step rejected; raised afterwards so that Flower shows it in
    red."""


def register_steps(app: Celery, services: Callable[[], Services]) -> None:
    for step in STEPS.values():
        limits = LONG_LIMITS if step.long else {}
        app.task(
            _build_step_task(services),
            name=f"deployments.{step.name}",
            bind=True,
            ignore_result=True,
            shared=False,
            **limits,
        )


def register_slices(app: Celery, services: Callable[[], Services]) -> None:
    def fill(self: Task, deployment_id: str, slice: int, turn: int) -> str:  # noqa: A002 - the argument's name is a contract
        try:
            with events.use_source("celery"):
                written = slices.advance_slice(
                    services(), deployment_id, slice, turn, leases.name_owner()
                )
        except LeaseLost as lost:
            return f"fenced: {lost}"
        return _answer(written)

    app.task(
        fill,
        name=f"deployments.{due_slices.FILL}",
        bind=True,
        ignore_result=True,
        shared=False,
    )


def _answer(written: TurnResult) -> str:
    if written.foreign:
        raise give_back(written.line, counted=True)
    if written.failed:
        raise Rejected(written.line)
    return written.line


def _build_step_task(services: Callable[[], Services]) -> Callable[[Task, str, int], str]:
    def take_turn(self: Task, deployment_id: str, turn: int) -> str:
        try:
            with events.use_source("celery"):
                written = engine.advance(
                    services(),
                    deployment_id,
                    turn,
                    leases.name_owner(),
                    partial(_send_phase_event, self),
                )
        except LeaseLost as lost:
            return f"fenced: {lost}"
        return _answer(written)

    return take_turn


def _send_phase_event(task: Task, phase: str) -> None:
    """Sends a custom event, which Flower shows as the task's state during the turn. Nothing depends
    on its arrival."""
    try:
        task.send_event(f"task-{phase}", retry=False)
    except BROKER_AWAY as error:
        log.warning("phase %s of %s was not sent: %s", phase, task.name, type(error).__name__)
