"""The Celery app, ``tasks:app``: thin names over ``core.engine`` and ``core.commands``."""

import os
import sys

from adapters import flower
from core.errors import Refused
from core.redaction import guard_process
from core.settings import load_settings
from tasks.factory import create_app


def _prepare_flower() -> None:
    """Flower reads the variable after this module was imported."""
    try:
        if value := os.environ.get(flower.VARIABLE):
            os.environ[flower.VARIABLE] = flower.logins(value)
    except Refused as error:
        sys.exit(str(error))


guard_process()
if "flower" in sys.argv:
    _prepare_flower()
app = create_app(load_settings())

__all__ = ["app"]
