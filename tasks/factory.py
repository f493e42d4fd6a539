"""Puts the app together: settings, one task per step, the commands, maintenance, and the
schedule."""

import time
from collections.abc import Callable
from typing import Any

from celery import Celery

from qdrant_rollouts import beat_schedule
from qdrant_rollouts.adapters.celery import AGAIN, INTERRUPTIONS, CeleryKnocker, make_app
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.tasks import (
    commands,
    experiments,
    fitting,
    loading,
    maintenance,
    pulse,
    roster,
    steps,
)
from qdrant_rollouts.wiring import PerProcess, build_services


def create_app(
    settings: Settings, services: PerProcess | None = None, wall: Callable[[], float] = time.time
) -> Celery:
    """``services`` and ``wall``, this machine's clock, are for tests that wire the outside
    differently; the default is according to the settings."""
    app = make_app(settings)
    app.conf.beat_schedule = {name: _again(entry) for name, entry in beat_schedule.SCHEDULE.items()}
    services = services or PerProcess(
        lambda: build_services(settings, CeleryKnocker(app), interruptions=INTERRUPTIONS)
    )
    fitting_services = fitting.install(app, services)
    steps.register_steps(app, fitting_services)
    steps.register_slices(app, fitting_services)
    commands.register_commands(app, fitting_services)
    experiments.register_feedback(app, fitting_services)
    maintenance.register_sweeps(app, fitting_services)
    pulse.install_pulse(app)
    loading.install_loading()
    roster.install(app, settings, wall)
    return app


def _again(entry: dict[str, Any]) -> dict[str, Any]:
    """Marks a task as one that is sent again by itself."""
    return {**entry, "options": {**entry["options"], "headers": {AGAIN: True}}}
