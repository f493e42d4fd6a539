"""How the Celery app is assembled, without any server."""

import pytest

from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.errors import Unavailable
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.tasks.factory import create_app
from qdrant_rollouts.wiring import PerProcess


def unavailable(name: str) -> PerProcess:
    def make() -> Services:
        raise Unavailable(name)

    return PerProcess(make)


def test_each_app_of_a_process_runs_its_own_tasks():
    """Celery shares tasks among all apps of a process; the tasks of the first one once answered for
    all others."""
    first = create_app(Settings(), unavailable("first"))
    second = create_app(Settings(), unavailable("second"))
    for app, name in ((first, "first"), (second, "second")):
        for task, arguments in (("deployments.create", ("id", 1)), ("deployments.rouse", ())):
            with pytest.raises(Unavailable, match=name):
                app.tasks[task].run(*arguments)
