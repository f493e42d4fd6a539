"""Runs the work of one turn, and turns its errors into outcomes."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy.exc import DBAPIError

from qdrant_rollouts.core.database.faults import explain_error
from qdrant_rollouts.core.deployments.plan import Hold, Outcome, Reject, Wait
from qdrant_rollouts.core.errors import LeaseLost, Limited, Refused, Unavailable, is_connection_lost
from qdrant_rollouts.core.sanitize.redaction import redact
from qdrant_rollouts.core.services import Services

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RetryLater:
    """A service did not answer. The engine tries again and waits longer each time."""

    reason: str


@dataclass(frozen=True, slots=True)
class Crashed:
    """The turn was interrupted."""

    reason: str


RunOutcome = Outcome | RetryLater | Crashed


def run_turn(services: Services, work: Callable[[], Outcome], label: str) -> RunOutcome:
    """Does the work. This is the only place that turns an error of a step into an outcome. Raises
    LeaseLost if the turn belongs to another worker by now. ``label`` names the work in the log."""
    try:
        return _redact_outcome(work())
    except LeaseLost:
        raise
    except services.interruptions as error:
        return Crashed(f"interrupted: {type(error).__name__}")
    except Unavailable as error:
        return _outcome_when_away(error)
    except Refused as error:
        return Reject(str(error))
    except Exception as error:
        # This is the engine's boundary for steps: an unexpected error must end in a recorded
        # rollback, and must not stop the deployment silently.
        if elsewhere := _cause_elsewhere(services, error):
            return RetryLater(elsewhere)
        log.exception("%s failed", label)
        return Reject(redact(f"unexpected {type(error).__name__}: {error}"))


def _cause_elsewhere(services: Services, error: Exception) -> str:
    """Returns a fault of the database, if that is the cause: it does not answer, or its schema is
    not the one that this program needs."""
    if isinstance(error, DBAPIError) and is_connection_lost(error):
        return str(explain_error(error))
    return _unfit(services)


def _unfit(services: Services) -> str:
    """Returns why this program cannot work on the database any more. For example, a newer release
    has removed something that it needs."""
    try:
        return services.standing().unfit
    except Unavailable:
        return ""


def _redact_outcome(outcome: Outcome) -> Outcome:
    """Redacts the reason, because it may repeat what a server reports, for example why its
    optimizer stopped."""
    if isinstance(outcome, Wait | Reject | Hold):
        return replace(outcome, reason=redact(outcome.reason))
    return outcome


def _outcome_when_away(error: Unavailable) -> RunOutcome:
    """Returns the outcome of a turn in which a service was not available. A rate limit says when it
    allows requests again."""
    if isinstance(error, Limited):
        return Wait(error.seconds, str(error), progress=False)
    return RetryLater(str(error))
