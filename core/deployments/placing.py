"""Places among the rebuilds: how many deployments build at once (``concurrency`` of the index
file).

Rule: a deployment that builds holds a place from its first turn until its alias has moved, its
canary's first stage begins, its plan is at its end, or its work is undone. While it is paused or
needs a person, it holds none. When it continues, it waits for a place again if bulk work is left.
Nothing else waits: steps that move an alias, watch, undo, back up or restore.

A place is a word in the deployment's own row, written in the transaction that makes it true, and
places are counted under one lock. So a killed process leaks nothing, and there are never more
places than the limit.
"""

import logging
from datetime import datetime, timedelta

from sqlalchemy import update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.models import Deployment, Places, Version
from qdrant_rollouts.core.database.step_traits import StepTraits, Trait, traits_of
from qdrant_rollouts.core.database.upserts import insert_new
from qdrant_rollouts.core.deployments import places
from qdrant_rollouts.core.deployments.claims import knock_for
from qdrant_rollouts.core.deployments.places import Limits, Rebuild
from qdrant_rollouts.core.deployments.plan import Plan
from qdrant_rollouts.core.deployments.turns import current_step
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.lifecycle import FINAL, Place, Status
from qdrant_rollouts.core.ports import Knock
from qdrant_rollouts.core.services import Services

log = logging.getLogger(__name__)

#: A place that was free at once is not reported.
_TOLD = timedelta(seconds=1)
_INSTANT = timedelta(microseconds=1)
_STOPPED = frozenset({Status.PAUSED, Status.NEEDS_OPERATOR, *FINAL})


def enter(session: Session, row: Deployment, plan: Plan, spec: IndexSpec) -> None:
    """Lets a new deployment wait for a place, if it will build."""
    if not any(step.traits.builds for step in plan):
        return
    row.place = Place.WAITING
    row.models = sorted({model.model for model in spec.models})
    with session.no_autoflush:
        live = None
        if row.blue:
            live = session.get(Version, row.blue)
    row.records = int(live.facts.get("points") or 0) if live is not None else 0


def settle(row: Deployment, before: Status) -> bool:
    """Decides the place of a deployment after a turn that found it in the status ``before``.
    Returns whether others may begin now, or whether it waits for a place itself."""
    had = row.place
    row.place = _place(row, before)
    if row.place != Place.TAKEN:
        row.placed_at = None
    return had != row.place


def give(services: Services) -> list[Knock]:
    """Gives free places to the next ones, and knocks for them. Safe to repeat; if the database is
    busy or does not answer, the next sweep does it."""
    try:
        knocks = _give_places(services)
    except SQLAlchemyError as error:
        log.warning("places are given by the next sweep: %s", type(error).__name__)
        return []
    for knock in knocks:
        services.knock(knock)
    return knocks


def _give_places(services: Services) -> list[Knock]:
    said = _read_limits(services)
    with services.sessions() as session:
        standing = places.look(session)
        if not standing.next_ones() and said in (None, standing.limits):
            return []
    with services.sessions.begin() as session:
        _lock(session, said)
        now = services.clock.now(session)
        chosen = enumerate(places.look(session).next_ones())
        given = [one for number, one in chosen if _give(session, one, now, number * _INSTANT)]
        rows = [session.get_one(Deployment, one.id) for one in given]
        return [knock_for(row, now, again=True) for row in rows]


def _read_limits(services: Services) -> Limits | None:
    """Reads the limits from the index file. If it cannot be read, the earlier limits remain."""
    try:
        said = services.concurrency()
    except Refused as error:
        log.warning("the limits of rebuilds stay as they were: %s", error)
        return None
    if said is None:
        return None
    return Limits(said.rebuilds, said.per_model)


def _lock(session: Session, said: Limits | None) -> None:
    """Locks the places, so that only one process at a time gives them. The limits are stored for
    processes that only read."""
    limits = said or Limits()
    insert_new(
        session, Places, [{"id": 1, "rebuilds": limits.rebuilds, "per_model": limits.per_model}]
    )
    row = session.get_one(Places, 1, with_for_update=True)
    if said is not None:
        row.rebuilds = said.rebuilds
        row.per_model = said.per_model
    session.flush()


def _give(session: Session, one: Rebuild, now: datetime, after: timedelta) -> bool:
    """Returns False if the deployment no longer waits: its own turn, for a request, may end during
    this look. ``after`` others that get a place at the same moment."""
    waits = Deployment.id == one.id, Deployment.place == Place.WAITING
    given = (
        update(Deployment)
        .where(*waits)
        .values(place=Place.TAKEN, placed_at=now + after, knocked_at=None, knocks=0)
    )
    if session.scalar(given.returning(Deployment.id)) is None:
        return False
    if now - one.asked_at >= _TOLD:
        detail = "has a place among the rebuilds now"
        events.record_event(
            session, now, "deployment.placed", detail, deployment_id=one.id, alias=one.alias
        )
    return True


def _place(row: Deployment, before: Status) -> Place | None:
    if row.status in _STOPPED:
        return None
    if row.status == Status.ROLLING_BACK:
        return Place.TAKEN if row.place == Place.TAKEN else None
    if row.place == Place.TAKEN:
        return Place.TAKEN if _has_come_to(row, _until(row)) else None
    goes_on = row.place == Place.WAITING or before == Status.PAUSED
    return Place.WAITING if goes_on and _is_building(row) else None


def _is_building(row: Deployment) -> bool:
    """Returns whether it has bulk work left: it builds, and green is not judged yet. What was
    written meanwhile is little work, and somebody may have approved green."""
    builds = any(traits_of(step.name).builds for step in row.steps)
    ends = (_first(row, _catches_up), _first(row, _shares), _first(row, _moves))
    return builds and _has_come_to(row, min(ends))


def _has_come_to(row: Deployment, end: int) -> bool:
    """Returns whether it is at a step before the one at ``end``."""
    step = current_step(row)
    return step is not None and step.position < end


def _until(row: Deployment) -> int:
    """Returns the step at which a place is given back. The first stage of a canary may last for
    days."""
    shared = _first(row, _shares)
    if shared < len(row.steps):
        return shared
    return _first(row, _moves) + 1


def _first(row: Deployment, trait: Trait) -> int:
    """Returns the position of the first step that has ``trait``; the end of the plan if none has
    it."""
    return next(
        (step.position for step in row.steps if trait(traits_of(step.name))), len(row.steps)
    )


def _catches_up(traits: StepTraits) -> bool:
    return traits.catches_up


def _shares(traits: StepTraits) -> bool:
    return traits.shares_searches


def _moves(traits: StepTraits) -> bool:
    return traits.moves_alias
