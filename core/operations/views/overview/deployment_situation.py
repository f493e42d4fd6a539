"""One deployment with its situation, for the command line, HTTP and agents."""

from sqlalchemy.orm import selectinload

from qdrant_rollouts.core.answers import deployments as deployment_answers
from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.operations.views.overview.situation import describe_situation
from qdrant_rollouts.core.operations.views.overview.situation.parts import Situation
from qdrant_rollouts.core.operations.views.overview.situation.reading import survey_surroundings
from qdrant_rollouts.core.operations.views.overview.store_snapshot import StoreSnapshot
from qdrant_rollouts.core.services import Services


def get_deployment_with_situation(
    services: Services, deployment_id: str, seen: StoreSnapshot | None = None
) -> deployment_answers.DeploymentWithSituation:
    """Returns the data of ``queries.get_deployment`` and the situation. Without ``seen`` Qdrant is
    not asked. Raises Unknown or Refused for an id that fits none or several."""
    told = queries.get_deployment(services, deployment_id)
    with services.sessions() as session:
        row = session.get_one(Deployment, told["id"], options=[selectinload(Deployment.steps)])
        now = services.clock.now(session)
        around = survey_surroundings(session, row, told, now, seen or StoreSnapshot())
    return {**told, "situation": _build_answer(told["id"], describe_situation(told, around))}


def _build_answer(deployment_id: str, found: Situation) -> deployment_answers.Situation:
    link = found.link
    if link.startswith("#"):
        link = f"/deployments/{deployment_id}{link}"
    return {
        "tone": found.tone,
        "now": found.now,
        "since": [{"what": one.what, "at": one.at} for one in found.since],
        "until": found.until,
        "low": found.low,
        "high": found.high,
        "ended": found.ended,
        "needed": found.needed,
        "person": found.person,
        "advice": found.advice,
        "back": found.back,
        "kept_until": found.kept_until,
        "link": link,
        "see": found.see,
    }
