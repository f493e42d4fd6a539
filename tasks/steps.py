"""One Celery task per step, so that Flower shows each stage. The name is a label: the row decides what is done."""

import os
import socket
from collections.abc import Callable

from celery import Celery

from core import engine, events
from core.errors import LeaseLost
from core.services import Services
from core.steps import STEPS


class Rejected(Exception):
    """The turn was committed and its step rejected; raised afterwards so that Flower shows it in red."""


#: Seconds for a long step: its lease ends it long before, if it does not get on.
_LONG = {"soft_time_limit": 86_400, "time_limit": 86_415}


def register(app: Celery, services: Callable[[], Services]) -> None:
    for step in STEPS.values():
        limits = _LONG if step.long else {}
        app.task(_task(services), name=f"deployments.{step.name}", ignore_result=True, shared=False, **limits)


def owner() -> str:
    """Who holds a lease: this process, on this machine."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _task(services: Callable[[], Services]) -> Callable[[str, int], str]:
    def take_turn(deployment_id: str, turn: int) -> str:
        try:
            with events.through("celery"):
                written = engine.advance(services(), deployment_id, turn, owner())
        except LeaseLost as lost:
            return f"fenced: {lost}"
        if written.failed:
            raise Rejected(written.line)
        return written.line

    return take_turn
