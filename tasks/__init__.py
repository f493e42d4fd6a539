"""The Celery app, ``tasks:app``: thin names over ``core.engine`` and ``core.commands``."""

from core.redaction import guard_process
from core.settings import load_settings
from tasks.factory import create_app

guard_process()
app = create_app(load_settings())

__all__ = ["app"]
