"""What beat knocks for: turns that were lost, and deletions that are due."""

from collections.abc import Callable

from celery import Celery

from core import engine, retention
from core.services import Services


def register(app: Celery, services: Callable[[], Services]) -> None:
    """Without events: they would be 17,280 rows a day in Flower."""

    def rouse() -> str:
        return f"{len(engine.overdue(services()))} knocked again"

    def delete_due() -> str:
        return "; ".join(retention.delete_due(services())) or "nothing due"

    app.task(rouse, name="deployments.rouse", send_events=False, shared=False)
    app.task(delete_due, name="collections.delete_due", send_events=False, shared=False)
