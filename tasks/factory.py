"""Puts the app together: settings, one task per step, the commands, maintenance, and the schedule."""

import time
from collections.abc import Callable

from celery import Celery

from qdrant_rollouts import beat_schedule
from qdrant_rollouts.adapters.celery import INTERRUPTIONS, CeleryKnocker, make_app
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.tasks import commands, experiments, maintenance, pulse, roster, steps
from qdrant_rollouts.wiring import PerProcess, build


def create_app(settings: Settings, services: PerProcess | None = None, wall: Callable[[], float] = time.time) -> Celery:
    """``services`` and ``wall``, this machine's clock, are for tests that wire the outside differently; by default
    everything is as the settings say."""
    app = make_app(settings)
    app.conf.beat_schedule = beat_schedule.SCHEDULE
    services = services or PerProcess(lambda: build(settings, CeleryKnocker(app), interruptions=INTERRUPTIONS))
    steps.register(app, services)
    commands.register(app, services)
    experiments.register_feedback(app, services)
    maintenance.register(app, services)
    pulse.install(app)
    roster.install(app, settings, wall)
    return app
