"""Routes in the database, and which of them the search processes serve.

Rule: the row is the truth and its version only grows. Search processes hold it in memory. An
announcement tells them to read it at once, and they also read it twice a second.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from qdrant_rollouts.core.answers import indexes as index_answers
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.leases import SLACK
from qdrant_rollouts.core.database.models import RouteRow, SearcherRow
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.routing.route import Arm, Route
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso

#: A process that was silent for this long is gone, or serves a route that nobody can tell it to
#: change.
SILENT_AFTER = 8.0


@dataclass(frozen=True, slots=True)
class Confirmation:
    """How many living search processes serve the newest version of a route, of how many."""

    serving: int
    known: int

    @property
    def all(self) -> bool:
        return self.serving == self.known

    def __str__(self) -> str:
        if not self.known:
            return "no search process yet"
        return f"{self.serving} of {self.known} search processes"


Fence = Callable[[Session], None]


def skip_fence(session: Session) -> None:
    """For callers without a turn."""


def load_route(session: Session, alias: str) -> Route:
    """Returns the alias's route; a route at rest if none was ever set."""
    row = session.get(RouteRow, alias)
    if row is not None:
        return _route_of_row(row)
    return Route(alias)


def current_route(services: Services, alias: str) -> Route:
    with services.sessions() as session:
        return load_route(session, alias)


def list_split_routes(session: Session) -> list[Route]:
    """Returns the routes that use more than the alias itself."""
    tries = RouteRow.green.is_not(None) | RouteRow.experiment_id.is_not(None)
    return [_route_of_row(row) for row in session.scalars(select(RouteRow).where(tries))]


def describe_route(services: Services, alias: str) -> index_answers.Route:
    """Returns the route as plain data, and which search processes serve its newest version."""
    with services.sessions() as session:
        living = _read_served_versions(services, session, alias)
        return _describe_confirmed(load_route(session, alias), living[alias])


def list_routes(services: Services) -> list[index_answers.Route]:
    """Returns every route that was ever set, including those at rest."""
    with services.sessions() as session:
        living = _read_served_versions(services, session)
        return [
            _describe_confirmed(route, living[route.alias]) for route in read_all_routes(session)
        ]


def read_all_routes(session: Session) -> list[Route]:
    return [
        _route_of_row(row) for row in session.scalars(select(RouteRow).order_by(RouteRow.alias))
    ]


def compute_routes_tag(session: Session) -> str:
    """Returns a text that is another one after any change of a route. It is made from the versions
    and their times, so a database that was restored from a backup gives another one too."""
    columns = RouteRow.alias, RouteRow.version, RouteRow.changed_at
    rows = session.execute(select(*columns).order_by(RouteRow.alias)).all()
    texts = [f"{alias}\0{version}\0{as_iso(changed)}" for alias, version, changed in rows]
    return hashlib.blake2b("\n".join(texts).encode(), digest_size=12).hexdigest()


def _describe_confirmed(route: Route, living: Sequence[int]) -> index_answers.Route:
    agreed = _count_serving(route, living, route.version)
    confirmed: index_answers.Confirmed = {"serving": agreed.serving, "known": agreed.known}
    return {**route.to_json(), "confirmed": confirmed}


def _read_served_versions(
    services: Services, session: Session, alias: str | None = None
) -> defaultdict[str, list[int]]:
    """Returns the version that each living search process serves, by alias: of one, or of all."""
    query = select(SearcherRow.alias, SearcherRow.version).where(alive(services.clock.now(session)))
    if alias is not None:
        query = query.where(SearcherRow.alias == alias)
    found: defaultdict[str, list[int]] = defaultdict(list)
    for name, version in session.execute(query):
        found[name].append(version)
    return found


def _count_serving(route: Route, living: Sequence[int], newest: int) -> Confirmation:
    """``newest``: the version in the database, read after ``living``. A process with a newer one
    has it from a database that was restored since, and serves another route."""
    serving = sum(route.version <= version <= newest for version in living)
    return Confirmation(serving, len(living))


def find_newer_routes(session: Session, versions: Mapping[str, int]) -> set[str]:
    """Returns those of the aliases whose route has a newer version."""
    query = select(RouteRow.alias, RouteRow.version).where(RouteRow.alias.in_(versions))
    return {alias for alias, version in session.execute(query) if version > versions[alias]}


def set_route(
    services: Services,
    alias: str,
    *,
    actor: str = events.SYSTEM,
    fence: Fence = skip_fence,
    **wanted: Any,
) -> Route:
    """Sets the route to ``wanted`` (columns of ``RouteRow``; the others are at rest) and announces
    it.

    If it is already set, nothing changes and the version stays, so it is safe to repeat. Returns
    the route as it was read back. Raises Refused if the route belongs to a running experiment, and
    what ``fence`` raises: a turn that is too late sets no route.
    """
    try:
        changed = _set_fenced(services, alias, actor, fence, wanted)
    # another process wrote this alias's first row at the same moment; now there is one to lock
    except IntegrityError:
        changed = _set_fenced(services, alias, actor, fence, wanted)
    if changed:
        services.channel.announce(alias)
    return current_route(services, alias)


def clear_route(
    services: Services,
    alias: str,
    *,
    stage: str = "",
    actor: str = events.SYSTEM,
    fence: Fence = skip_fence,
) -> Route:
    """From now on the alias itself answers all users; observations belong to ``stage``."""
    return set_route(services, alias, stage=stage, actor=actor, fence=fence)


def release_route(services: Services, session: Session, alias: str, deployment_id: str) -> None:
    """Takes the deployment's collections out of the route, if they are in it, as part of somebody's
    transaction. Search processes see it at their next look."""
    row = session.get(RouteRow, alias)
    if row is not None and row.deployment_id == deployment_id:
        set_route_within(services, session, alias, actor=events.SYSTEM)


def set_route_within(
    services: Services,
    session: Session,
    alias: str,
    *,
    actor: str,
    experiment_id: str | None = None,
    **wanted: Any,
) -> bool:
    """As ``set_route``, within the caller's transaction; the caller announces the route afterwards.
    Returns whether anything changed. ``experiment_id`` is the experiment that asks: only it may
    change its route."""
    row = lock_route(services, session, alias)
    if row.experiment_id not in (None, experiment_id):
        raise Refused(
            f"experiment {row.experiment_id} splits the searches of {alias}; "
            f"`rollouts experiment stop {row.experiment_id}` ends it"
        )
    target = {**_AT_REST, **wanted}
    if row.version and all(getattr(row, name) == value for name, value in target.items()):
        return False
    before = _route_of_row(row)
    for name, value in target.items():
        setattr(row, name, value)
    row.experiment_id = experiment_id if target["arms"] else None
    row.version += 1
    row.changed_at = services.clock.now(session)
    _record_route_change(session, row, before, actor)
    return True


def lock_route(services: Services, session: Session, alias: str) -> RouteRow:
    """Creates the alias's row if necessary, and locks it until the transaction ends: if two callers
    begin something on an alias at once, the second waits here and then sees the first."""
    row = session.get(RouteRow, alias, with_for_update=True)
    if row is None:
        row = RouteRow(alias=alias, version=0, changed_at=services.clock.now(session))
        session.add(row)
        session.flush()
    return row


def confirm_route(services: Services, route: Route) -> Confirmation:
    """Returns which living processes serve this version or a newer one."""
    with services.sessions() as session:
        living = _read_served_versions(services, session, route.alias)
        newest = load_route(session, route.alias).version
        return _count_serving(route, living[route.alias], max(route.version, newest))


def alive(now: datetime) -> ColumnElement[bool]:
    """Search processes that reported recently. A report from the future was written before the
    clock was set back."""
    silent = timedelta(seconds=SILENT_AFTER)
    return SearcherRow.seen_at.between(now - silent, now + max(silent, SLACK))


def report_served_routes(services: Services, process: str, served: Mapping[str, int]) -> None:
    """A process reports which version of each alias's route it serves."""
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        for alias, version in served.items():
            session.merge(SearcherRow(process=process, alias=alias, version=version, seen_at=now))


def forget_process(services: Services, process: str) -> None:
    """A process that ends serves nothing any more; rows of dead processes are removed as well."""
    with services.sessions.begin() as session:
        long_ago = services.clock.now(session) - timedelta(hours=1)
        gone = (SearcherRow.process == process) | (SearcherRow.seen_at < long_ago)
        for row in session.scalars(select(SearcherRow).where(gone)):
            session.delete(row)


_AT_REST: dict[str, Any] = {
    "stage": "",
    "salt": "",
    "blue": None,
    "green": None,
    "share": 0,
    "shadow": 0,
    "deployment_id": None,
    "arms": [],
}


def _set_fenced(
    services: Services, alias: str, actor: str, fence: Fence, wanted: dict[str, Any]
) -> bool:
    with services.sessions.begin() as session:
        fence(session)
        return set_route_within(services, session, alias, actor=actor, **wanted)


def _record_route_change(session: Session, row: RouteRow, before: Route, actor: str) -> None:
    after = _route_of_row(row)
    if before.at_rest and after.at_rest:
        return
    detail = f"version {row.version}: {_describe_split(after)}"
    deployment = row.deployment_id
    events.record_event(
        session,
        row.changed_at,
        "route.changed",
        detail,
        actor=actor,
        alias=row.alias,
        deployment_id=deployment,
    )


def _route_of_row(row: RouteRow) -> Route:
    return Route(
        alias=row.alias,
        version=row.version,
        stage=row.stage,
        salt=row.salt,
        blue=row.blue,
        green=row.green,
        share=row.share,
        shadow=row.shadow,
        deployment_id=row.deployment_id,
        experiment_id=row.experiment_id,
        arms=tuple(Arm.of(arm) for arm in row.arms),
    )


def _describe_split(route: Route) -> str:
    if route.at_rest:
        return f"{route.alias} serves all searches"
    if route.experiment_id:
        shares = [f"{_percentage_of_arm(arm):g} % {arm.collection}" for arm in route.arms]
        return f"experiment {route.experiment_id}: {', '.join(shares)}, the rest {route.blue}"
    unseen = ""
    if route.shadow:
        unseen = f", {route.shadow / 100:g} % asked in shadow"
    return f"{route.share / 100:g} % {route.green}, the rest {route.blue}{unseen}"


def _percentage_of_arm(arm: Arm) -> float:
    return sum(end - start for start, end in arm.ranges) / 100
