"""Places among the rebuilds: how many deployments build at once (``concurrency`` of the index file).

Rule: a deployment that builds holds a place from its first turn until its alias has moved, or its canary's first stage
begins, or its plan is at its end, or what it built is taken back. While it is paused, or a person is needed, it holds
none; going on, it waits for one again if there is bulk work left. Nothing else waits: what moves an alias, watches,
undoes, backs up and restores.

A place is a word in the deployment's own row, written in the transaction that makes it true, and those that have it are
counted under one lock. So nothing can leak when somebody is killed, and there are never more than the limit.
"""

import logging
from datetime import datetime, timedelta

from sqlalchemy import select, update
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

#: A place that was free at once is nothing to be told of.
_TOLD = timedelta(seconds=1)
_INSTANT = timedelta(microseconds=1)
_STOPPED = frozenset({Status.PAUSED, Status.NEEDS_OPERATOR, *FINAL})


def enter(session: Session, row: Deployment, plan: Plan, spec: IndexSpec) -> None:
    """A deployment that is being written down waits for a place, if it is to build."""
    if not any(step.traits.builds for step in plan):
        return
    row.place = Place.WAITING
    row.models = sorted({model.model for model in spec.models})
    with session.no_autoflush:
        live = session.get(Version, row.blue) if row.blue else None
    row.records = int(live.facts.get("points") or 0) if live is not None else 0


def settle(row: Deployment, before: Status) -> bool:
    """After a turn that found it in the status ``before``: what place it has from now on. Whether others may begin now,
    or it waits for a place itself."""
    had = row.place
    row.place = _place(row, before)
    if row.place != Place.TAKEN:
        row.placed_at = None
    return had != row.place


def give(services: Services) -> list[Knock]:
    """Gives the places that are free to those who are next, and knocks for them. Harmless however often it is done; the
    next sweep does what a database that is busy or away keeps from it."""
    try:
        knocks = _given(services)
    except SQLAlchemyError as error:
        log.warning("places are given by the next sweep: %s", type(error).__name__)
        return []
    for knock in knocks:
        services.knock(knock)
    return knocks


def _given(services: Services) -> list[Knock]:
    said = _said(services)
    with services.sessions() as session:
        waits = session.scalar(select(Deployment.id).where(Deployment.place == Place.WAITING).limit(1)) is not None
        if not waits and said in (None, places.limits(session)):
            return []
    with services.sessions.begin() as session:
        _lock(session, said)
        now = services.clock.now(session)
        chosen = enumerate(places.look(session).next_ones())
        given = [one for number, one in chosen if _give(session, one, now, number * _INSTANT)]
        rows = [session.get_one(Deployment, one.id) for one in given]
        return [knock_for(row, now, again=True) for row in rows]


def _said(services: Services) -> Limits | None:
    """An index file that cannot be read leaves it at what it said before."""
    try:
        said = services.concurrency()
    except Refused as error:
        log.warning("the limits of rebuilds stay as they were: %s", error)
        return None
    return Limits(said.rebuilds, said.per_model) if said is not None else None


def _lock(session: Session, said: Limits | None) -> None:
    """Whoever gives places does it alone; the limits are written down for those who only look."""
    limits = said or Limits()
    insert_new(session, Places, [{"id": 1, "rebuilds": limits.rebuilds, "per_model": limits.per_model}])
    row = session.get_one(Places, 1, with_for_update=True)
    if said is not None:
        row.rebuilds = said.rebuilds
        row.per_model = said.per_model
    session.flush()


def _give(session: Session, one: Rebuild, now: datetime, after: timedelta) -> bool:
    """False where it does not wait any more: a turn of its own, for a wish, may end while this looks. ``after`` others
    that are given one in the same moment."""
    waits = Deployment.id == one.id, Deployment.place == Place.WAITING
    given = update(Deployment).where(*waits).values(place=Place.TAKEN, placed_at=now + after, knocked_at=None, knocks=0)
    if session.scalar(given.returning(Deployment.id)) is None:
        return False
    if now - one.asked_at >= _TOLD:
        detail = "has a place among the rebuilds now"
        events.record_event(session, now, "deployment.placed", detail, deployment_id=one.id, alias=one.alias)
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
    """Whether it has bulk work left: it builds, and green has not been shown to a search yet."""
    builds = any(traits_of(step.name).builds for step in row.steps)
    return builds and _has_come_to(row, min(_first(row, _shares), _first(row, _moves)))


def _has_come_to(row: Deployment, end: int) -> bool:
    """Whether it stands at a step before the one at ``end``."""
    step = current_step(row)
    return step is not None and step.position < end


def _until(row: Deployment) -> int:
    """The step at which a place is given back. A canary may watch its first stage for days."""
    shared = _first(row, _shares)
    return shared if shared < len(row.steps) else _first(row, _moves) + 1


def _first(row: Deployment, trait: Trait) -> int:
    """The position of the first step that has ``trait``; behind the plan where none has."""
    return next((step.position for step in row.steps if trait(traits_of(step.name))), len(row.steps))


def _shares(traits: StepTraits) -> bool:
    return traits.shares_searches


def _moves(traits: StepTraits) -> bool:
    return traits.moves_alias
