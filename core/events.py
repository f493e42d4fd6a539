"""The log of what happened: one row for each change of status, step result, wish, switch and deletion."""

from datetime import datetime

from sqlalchemy.orm import Session

from core.models import EventRow

SYSTEM = "system"


def record(
    session: Session,
    now: datetime,
    event: str,
    detail: str = "",
    *,
    actor: str = SYSTEM,
    deployment_id: str | None = None,
    alias: str | None = None,
) -> None:
    session.add(EventRow(at=now, event=event, detail=detail, actor=actor, deployment_id=deployment_id, alias=alias))
