"""Finds the row that a person's input means."""

from sqlalchemy import select

from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.errors import Refused, Unknown
from qdrant_rollouts.core.sanitize.quoting import LONGEST_VALUE, quote_value
from qdrant_rollouts.core.services import Services


def find_deployment(services: Services, deployment_id: str) -> str:
    """Returns the full id of the one deployment whose id begins with this text. Raises Refused for
    none or several."""
    with services.sessions() as session:
        query = (
            select(Deployment.id)
            .where(Deployment.id.startswith(deployment_id, autoescape=True))
            .limit(2)
        )
        found = session.scalars(query).all() if 0 < len(deployment_id) <= LONGEST_VALUE else []
    if len(found) == 1:
        return found[0]
    if found:
        raise Refused(f"deployment id {quote_value(deployment_id)} fits several; give more of it")
    raise Unknown(
        f"there is no deployment {quote_value(deployment_id)}; "
        f"{_suggest_deployment(services, deployment_id)}"
    )


def _suggest_deployment(services: Services, alias: str) -> str:
    """Returns the next act of a person who gave no deployment's id, and perhaps an index."""
    newest = (
        select(Deployment.id)
        .where(Deployment.alias == alias)
        .order_by(Deployment.created_at.desc())
        .limit(1)
    )
    with services.sessions() as session:
        found = session.scalar(newest) if len(alias) <= LONGEST_VALUE else None
    if found is None:
        return "`rollouts list` shows them"
    return f"it is an index, and its newest deployment is {found}: `rollouts status {found}`"
