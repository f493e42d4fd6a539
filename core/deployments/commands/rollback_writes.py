"""What a rollback does with what was written since the older version was replaced.

Rule: the older version is made like the live one only if the live one has everything that was
written to the older one. Otherwise that would be deleted there.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.orm import Session, selectinload

from qdrant_rollouts.core.collections.alike import why_not_alike
from qdrant_rollouts.core.collections.deletion import retention_policy
from qdrant_rollouts.core.collections.serving_history import ROLLBACK
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.database.models import Deployment, EventRow
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.deployments import way_back
from qdrant_rollouts.core.deployments.claims import read_outputs
from qdrant_rollouts.core.deployments.commands.writes import settle_rollback
from qdrant_rollouts.core.deployments.plan import StepOutputs
from qdrant_rollouts.core.deployments.steps.data import CaughtUp
from qdrant_rollouts.core.errors import Busy
from qdrant_rollouts.core.lifecycle import Status
from qdrant_rollouts.core.services import Services


@dataclass(frozen=True, slots=True)
class WayBack:
    """A way from ``live`` to ``older``. ``moves``: the deployments that moved the alias, from the
    one that has replaced ``older``, the earliest first; empty if a person replaced it. ``by_hand``:
    a person has moved the alias since. ``spec``: the settings that decide what becomes of writes.
    ``named``: what a person typed for the version, empty for the default."""

    alias: str
    live: str
    older: str
    moves: tuple[Deployment, ...]
    by_hand: bool
    spec: IndexSpec
    named: str

    def command(self, option: str) -> str:
        """Returns the command that goes this way with one more option."""
        return way_back.build_command(
            self.alias, *(["--to", self.named] if self.named else []), option
        )


@dataclass(frozen=True, slots=True)
class WritesOnTheWay:
    """What becomes of what was written to the live version since the older one was replaced, in
    words. ``brings_back``: the live version is the truth, so it comes along. ``refusal``: why a
    rollback without ``now`` is refused, empty if it is not."""

    said: str
    brings_back: bool
    refusal: str = ""


def foresee_writes(
    services: Services, alias: str, live: str, older: str, named: str = ""
) -> WritesOnTheWay:
    """Returns what a rollback to ``older`` does with writes, and whether it is refused because of
    them. ``named`` is what a person typed for it. Raises Unavailable if the store must be asked and
    does not answer."""
    way = find_way(services, alias, live, older, named)
    return foresee_settled_writes(
        services, way, settle_rollback(services, way.spec, alias, live, older)
    )


def find_way(services: Services, alias: str, live: str, older: str, named: str) -> WayBack:
    with services.sessions() as session:
        brought = _find_last_move(session, alias, Deployment.green == live)
        leaves = Deployment.blue == older
        last = _find_last_move(session, alias, or_(leaves, Deployment.green == older), leaves)
        moves: tuple[Deployment, ...] = ()
        if last is not None and last.blue == older:
            moves = _list_moves_from(session, last)
        if brought is not None:
            spec = read_stored(IndexSpec, brought.spec)
        else:
            spec = retention_policy.find_spec(session, alias, services.indexes())
        by_hand = bool(moves) and _is_moved_by_hand(session, alias, moves[0])
    return WayBack(alias, live, older, moves, by_hand, spec, named)


def _select_moves(alias: str, *which: ColumnElement[bool]) -> Select[Deployment]:
    return select(Deployment).where(
        Deployment.alias == alias,
        Deployment.kind == "rollout",
        Deployment.status == Status.LIVE,
        *which,
    )


def _find_last_move(
    session: Session, alias: str, which: ColumnElement[bool], *later: ColumnElement[bool]
) -> Deployment | None:
    """Returns the last of the moves ``which``; of two in the same moment one that is ``later``."""
    latest = (Deployment.finished_at, *later)
    query = _select_moves(alias, which).order_by(*(one.desc() for one in latest))
    return session.scalars(query.limit(1)).first()


def _list_moves_from(session: Session, first: Deployment) -> tuple[Deployment, ...]:
    """Returns ``first`` and the later moves of its alias, the earliest first."""
    query = (
        _select_moves(first.alias, Deployment.finished_at >= first.finished_at)
        .order_by(Deployment.finished_at, Deployment.created_at, Deployment.strategy == ROLLBACK)
        .options(selectinload(Deployment.steps))
    )
    moves = session.scalars(query).all()
    return tuple(moves[moves.index(first) :])


def _is_moved_by_hand(session: Session, alias: str, since: Deployment) -> bool:
    query = select(EventRow.id).where(
        EventRow.alias == alias,
        EventRow.event == "alias.switched",
        EventRow.deployment_id.is_(None),
        EventRow.at >= since.finished_at,
    )
    return session.scalars(query.limit(1)).first() is not None


def _why_not_compared(services: Services, way: WayBack) -> str:
    """Returns why the older version must not be made like the live one; empty if it may be. The
    live one may lack what was written to the older one, which a comparison would delete there."""
    why = _why_not_brought(way)
    if why or len(way.moves) == 1:
        return why
    try:
        why = why_not_alike(services, way.alias, way.live, way.older)
    except Busy:
        return ""
    return f"{way.older} cannot be kept like {way.live}: {why}" if why else ""


def _why_not_brought(way: WayBack) -> str:
    """Returns why the live version may lack what was written to the older one; empty if each
    version between them got what was written to the one before it."""
    if way.by_hand:
        return (
            f"a person has moved {way.alias} since {way.older} was replaced, so {way.live} may "
            f"lack what was written to {way.older}"
        )
    at = way.older
    for move in way.moves:
        if move.blue != at:
            break
        if not _brought_writes(move):
            return (
                f"{move.green} never got what was written to {move.blue}, so to make {way.older} "
                f"like {way.live} would delete that there"
            )
        at = move.green
    if at != way.live:
        return f"no deployment has brought to {way.live} what was written to {way.older}"
    return ""


def foresee_settled_writes(services: Services, way: WayBack, spec: IndexSpec) -> WritesOnTheWay:
    """``spec`` is settled for this way."""
    if spec.writes.way == "compare" and (why := _why_not_compared(services, way)):
        return WritesOnTheWay(
            f"only with --now: {why}; what was written to {way.live} since stays there",
            brings_back=True,
            refusal=f"{why}; `{way.command('--now')}` goes back to it as it is",
        )
    with services.sessions() as session:
        said = way_back.describe_writes(session, way.alias, spec, way.live, way.older)
    return WritesOnTheWay(said, brings_back=spec.writes.leads_live)


def _brought_writes(move: Deployment) -> bool:
    """Returns whether ``move`` brought to its green what had been written to its blue. It did not
    if it follows no live collection, if it moved the alias at once, or if nothing could be read."""
    if not read_stored(IndexSpec, move.spec).writes.leads_live:
        return False
    if any(step.arguments.get("lists") for step in move.steps):
        return False
    caught_up = StepOutputs(read_outputs(move)).find(CaughtUp)
    return caught_up is None or not caught_up.gave_up
