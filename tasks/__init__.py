"""The Celery app: ``celery -A qdrant_rollouts.tasks``, or ``celery -A tasks`` in the root of the
repository.

Its tasks are thin names for functions of ``core.deployments.engine`` and
``core.deployments.commands``.
"""

import os
import sys

from qdrant_rollouts.adapters import flower
from qdrant_rollouts.checkout import stand_for
from qdrant_rollouts.core.config.settings import load_settings
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.sanitize.redaction import guard_process
from qdrant_rollouts.tasks.factory import create_app


def _prepare_flower() -> None:
    """Flower reads the variable after this module was imported."""
    try:
        if value := os.environ.get(flower.VARIABLE):
            os.environ[flower.VARIABLE] = flower.normalize_logins(value)
    except Refused as error:
        sys.exit(str(error))


if __name__ == "tasks":
    stand_for(__name__)
else:
    guard_process()
    if "flower" in sys.argv:
        _prepare_flower()
    app = create_app(load_settings())

__all__ = ["app"]
