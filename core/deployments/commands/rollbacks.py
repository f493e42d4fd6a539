"""The command that goes back to an older version.

Rule: nothing is built or judged on the way back. So it leads only to a version that has served the
alias before, or that a person has adopted; any other goes through the gate, by a deployment.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.orm import Session, selectinload

from qdrant_rollouts.core.collections import aliases, lineage
from qdrant_rollouts.core.collections.alike import why_not_alike
from qdrant_rollouts.core.collections.deletion import retention_policy
from qdrant_rollouts.core.collections.deletion.deletions import find_last_deletions
from qdrant_rollouts.core.collections.serving_history import (
    ROLLBACK,
    ServingHistory,
    read_history,
)
from qdrant_rollouts.core.collections.version_facts import describe_mark, say_mark
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.models import Deletion, Deployment, EventRow, Version
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.deployments import alias_lock, way_back
from qdrant_rollouts.core.deployments.claims import read_outputs
from qdrant_rollouts.core.deployments.commands.beginning import (
    InTransaction,
    begin_deployment,
    do_nothing,
)
from qdrant_rollouts.core.deployments.commands.specs import get_serving_collection, live_aliases
from qdrant_rollouts.core.deployments.commands.vector_declarations import check_search
from qdrant_rollouts.core.deployments.commands.writes import settle_rollback
from qdrant_rollouts.core.deployments.plan import StepOutputs
from qdrant_rollouts.core.deployments.steps.data import CaughtUp
from qdrant_rollouts.core.deployments.strategies import rollback as rollback_strategy
from qdrant_rollouts.core.errors import AppError, Busy, Refused
from qdrant_rollouts.core.lifecycle import DeletionStatus, Status
from qdrant_rollouts.core.ports.naming import check_found_name, shell_word
from qdrant_rollouts.core.services import Services


@dataclass(frozen=True, slots=True)
class _WayBack:
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


def start_rollback(
    services: Services,
    alias: str,
    *,
    actor: str,
    to: str | None = None,
    force: bool = False,
    reason: str = "",
    now: bool = False,
    along: InTransaction = do_nothing,
) -> str:
    """Starts a rollback and returns the deployment's id. It leads to ``to``, a version by its
    number or collection, or else to the last version that served and that no rollback has left and
    nobody has marked bad. ``force`` confirms that ``to`` may be marked bad. ``now``: waits for
    nothing, and lists what was written since and stays behind."""
    check_found_name("alias", alias)
    current = get_serving_collection(live_aliases(services), alias)
    with services.sessions() as session:
        alias_lock.check_alias_idle(session, alias)
        history = read_history(session, alias)
    if to is None:
        if force:
            raise Refused("force confirms a version that is marked bad: name it with --to")
        older = _choose_default(services, alias, current, history)
    else:
        older = _find_named(services, alias, current, to, history)
        _check_mark(services, alias, older, to, force=force)
        _check_serves(services, alias, older)
    way = _find_way(services, alias, current, older, to or "")
    spec = settle_rollback(services, way.spec, alias, current, older)
    if now and spec.writes.leads_live:
        said = f"what was written to {current} since stays there, and is listed"
    else:
        writes = _foresee_writes(services, way, spec)
        if writes.refusal:
            raise Refused(writes.refusal)
        said = writes.said
    if to is not None:
        along = _with_writes_told(services, alias, said, along)
    return begin_deployment(
        services,
        alias,
        spec.model_copy(update={"strategy": ROLLBACK}),
        rollback_strategy.plan_rollback(spec, now=now),
        blue=current,
        actor=actor,
        existing=older,
        reason=reason,
        along=along,
        told_as="rollback_by_hand",
    )


def describe_rollback(services: Services, alias: str, to: str | None = None) -> str:
    """Returns what a rollback of ``alias`` does with what was written since the older version was
    replaced, in words; empty if there is nothing to go back to."""
    live = services.store.aliases().get(alias)
    if live is None:
        return ""
    with services.sessions() as session:
        history = read_history(session, alias)
    try:
        if to is None:
            older = _choose_default(services, alias, live, history)
        else:
            older = _find_named(services, alias, live, to, history)
    except Refused:
        return ""
    return foresee_writes(services, alias, live, older, to or "").said


def foresee_writes(
    services: Services, alias: str, live: str, older: str, named: str = ""
) -> WritesOnTheWay:
    """Returns what a rollback to ``older`` does with writes, and whether it is refused because of
    them. ``named`` is what a person typed for it. Raises Unavailable if the store must be asked and
    does not answer."""
    way = _find_way(services, alias, live, older, named)
    return _foresee_writes(services, way, settle_rollback(services, way.spec, alias, live, older))


def _choose_default(services: Services, alias: str, live: str, history: ServingHistory) -> str:
    older = history.find_default(live)
    if older is None:
        others = history.served - {live}
        raise Refused(
            f"{alias} has no version before {live} to go back to"
            + (f"; {_name_others(alias)}" if others else "")
        )
    if _is_gone(services, older):
        raise Refused(
            f"{older}, the version before {live}, is no longer retained: "
            f"{_describe_gone(services, alias, older)}"
        )
    return older


def _name_others(alias: str) -> str:
    return (
        f"`rollouts versions {shell_word(alias)}` shows the others, and "
        f"`{way_back.build_command(alias, '--to', 'VERSION')}` goes to one of them"
    )


def _find_named(
    services: Services, alias: str, live: str, named: str, history: ServingHistory
) -> str:
    """Returns the collection of the named version, if it serves nothing yet, is there, and has
    served before. A collection that has served may be one that another program made."""
    adopted = False
    older = named
    if named not in history.served:
        version = lineage.find_version(services, alias, named)
        older, adopted = version.collection, version.deployment_id is None
    if older == live:
        raise Refused(
            f"{older} serves {alias} already; `rollouts versions {shell_word(alias)}` shows the "
            "others"
        )
    if _is_gone(services, older):
        raise Refused(f"{older} is no longer there: {_describe_gone(services, alias, older)}")
    if older not in history.served and not adopted:
        raise Refused(
            f"{older} has never served {alias}, and a rollback asks no gate: `rollouts deploy "
            f"--collection {shell_word(older)} {shell_word(alias)}` takes it through one"
        )
    return older


def _check_mark(services: Services, alias: str, older: str, named: str, *, force: bool) -> None:
    with services.sessions() as session:
        row = session.get(Version, older)
        mark = describe_mark(row) if row is not None else None
    if mark is not None and not force:
        confirmed = way_back.build_command(alias, "--to", named, "--force")
        raise Refused(f"{older} is {say_mark(mark)}; `{confirmed}` goes back to it anyway")


def _check_serves(services: Services, alias: str, older: str) -> None:
    """Raises Refused unless the version is ready, and has the vectors that the declared search of
    the index asks. If another process has the embedded store open, the switch itself looks."""
    try:
        aliases.check_target(services, older)
        declared = services.indexes().get(alias)
        if declared is not None:
            check_search(services, declared, older)
    except Busy:
        return
    except Refused as error:
        raise Refused(f"{older} cannot serve {alias} now: {error}") from error


def _find_way(services: Services, alias: str, live: str, older: str, named: str) -> _WayBack:
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
    return _WayBack(alias, live, older, moves, by_hand, spec, named)


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


def _why_not_compared(services: Services, way: _WayBack) -> str:
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


def _why_not_brought(way: _WayBack) -> str:
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


def _foresee_writes(services: Services, way: _WayBack, spec: IndexSpec) -> WritesOnTheWay:
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


def _with_writes_told(
    services: Services, alias: str, told: str, along: InTransaction
) -> InTransaction:
    """Records what becomes of writes with the deployment, so that whoever asked for one version is
    told in the answer."""

    def both(session: Session, deployment_id: str) -> None:
        along(session, deployment_id)
        now = services.clock.now(session)
        events.record_event(
            session,
            now,
            events.WARNING,
            told,
            deployment_id=deployment_id,
            alias=alias,
        )

    return both


def _brought_writes(move: Deployment) -> bool:
    """Returns whether ``move`` brought to its green what had been written to its blue. It did not
    if it follows no live collection, if it moved the alias at once, or if nothing could be read."""
    if not read_stored(IndexSpec, move.spec).writes.leads_live:
        return False
    if any(step.arguments.get("lists") for step in move.steps):
        return False
    caught_up = StepOutputs(read_outputs(move)).find(CaughtUp)
    return caught_up is None or not caught_up.gave_up


def _is_gone(services: Services, collection: str) -> bool:
    """Returns False if another process has the store open: the switch itself checks again before it
    acts."""
    try:
        return collection not in services.store.collections()
    except Busy:
        return False


def _describe_gone(services: Services, alias: str, collection: str) -> str:
    """Returns what became of a collection that is not there, and what to do instead."""
    with services.sessions() as session:
        deletion = find_last_deletions(session, [collection]).get(collection)
        backups = select(Deployment.id).where(
            Deployment.kind == "backup",
            Deployment.green == collection,
            Deployment.status == Status.LIVE,
        )
        made = list(session.scalars(backups.order_by(Deployment.finished_at.desc())))
    word = shell_word(alias)
    backup = _find_kept_backup(services, made)
    if backup is None:
        act = f"no backup of it is kept; `rollouts deploy {word}` builds a new version"
    else:
        act = f"`rollouts backup restore {backup}` deploys its backup"
    return f"{_say_deleted(deletion)}, {act}"


def _say_deleted(deletion: Deletion | None) -> str:
    if deletion is None or deletion.status != DeletionStatus.DELETED:
        return "it was removed by hand"
    assert deletion.finished_at is not None
    return f"it was deleted {deletion.finished_at:%Y-%m-%d %H:%M} UTC"


def _find_kept_backup(services: Services, made: list[str]) -> str | None:
    """Returns the newest of these backups that is still on the shelf, as far as that answers."""
    try:
        kept = set(services.shelf.backups())
    except AppError:
        return None
    return next((backup for backup in made if backup in kept), None)
