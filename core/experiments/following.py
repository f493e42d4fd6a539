"""Brings what is written to an experiment's control to its treatments while it runs, so that they
differ by their models and not by their age, and a winner has every write.

Rule: a comparison goes on where it was, whoever does it, and it ends with the experiment. Whatever
fails here is told once and does not disturb the experiment.
"""

import logging
import secrets
import time
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from qdrant_rollouts.core.collections.makers import open_makers
from qdrant_rollouts.core.collections.stamps import read_stamp
from qdrant_rollouts.core.config.experiment_spec import ExperimentSpec
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.database import events, treatments
from qdrant_rollouts.core.database.experiment_rows import Experiment, Treatment
from qdrant_rollouts.core.database.leases import name_owner
from qdrant_rollouts.core.database.step_data import read_data, write_data
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.deployments import way_back
from qdrant_rollouts.core.deployments.commands.writes import why_compared_as_is
from qdrant_rollouts.core.deployments.steps import comparing
from qdrant_rollouts.core.deployments.steps.comparing import Comparison
from qdrant_rollouts.core.deployments.steps.data import PIECE_SECONDS, RoundState
from qdrant_rollouts.core.deployments.steps.pieces import GoesOn, limit_to
from qdrant_rollouts.core.errors import (
    AppError,
    LeaseLost,
    Refused,
    Unavailable,
    is_connection_lost,
)
from qdrant_rollouts.core.gate.evidence.opening import existing_plan
from qdrant_rollouts.core.sanitize.quoting import error_text
from qdrant_rollouts.core.sanitize.redaction import redact
from qdrant_rollouts.core.services import Services

log = logging.getLogger(__name__)

#: Seconds.
_LONGEST_TURN = 15.0


@dataclass(frozen=True, slots=True)
class _Turn:
    """A worker's claim of one treatment, and the round that is under way."""

    services: Services
    experiment: Experiment
    collection: str
    owner: str
    round: RoundState

    @property
    def control(self) -> str:
        return read_stored(ExperimentSpec, self.experiment.spec).control.collection

    @property
    def alias(self) -> str:
        assert self.experiment.alias is not None
        return self.experiment.alias

    def find_row(self, session: Session) -> Treatment:
        """Returns the row, locked. Raises LeaseLost if the claim or the experiment has ended."""
        key = self.experiment.id, self.collection
        row = treatments.find_claimed(session, key, self.owner)
        if row is None:
            raise LeaseLost(f"{self.collection} is not followed by this worker any more")
        return row

    def check(self, seconds: float) -> None:
        """Prolongs the claim, so that a write that begins now ends in it. Raises LeaseLost if the
        claim or the experiment has ended."""
        with self.services.sessions.begin() as session:
            treatments.prolong(self.find_row(session), self.services.clock.now(session))


def list_due(services: Services) -> list[str]:
    """Returns the ids of the running experiments of which a treatment has to be compared now."""
    with services.sessions() as session:
        now = services.clock.now(session)
        return [row.id for row in treatments.list_running(session) if _is_due(session, row, now)]


def _is_due(session: Session, row: Experiment, now: datetime) -> bool:
    known = treatments.list_treatments(session, row.id)
    names = {arm.collection for arm in read_stored(ExperimentSpec, row.spec).treatments}
    return bool(names - known.keys()) or any(treatments.is_due(one, now) for one in known.values())


def follow_control(services: Services, experiment_id: str) -> str:
    """Works for a turn on the treatments of an experiment. Safe to run twice. Returns what was
    done, as a line of text."""
    ends = time.monotonic() + min(services.times.turn_time, _LONGEST_TURN)
    lines = []
    while time.monotonic() < ends:
        turn = _claim_treatment(services, experiment_id)
        if turn is None:
            break
        lines.append(_work_contained(turn, ends))
    return "; ".join(lines) or f"no treatment of experiment {experiment_id} is due"


def _claim_treatment(services: Services, experiment_id: str) -> _Turn | None:
    owner = f"{name_owner()}:{secrets.token_hex(4)}"
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        row = next(
            (one for one in treatments.list_running(session) if one.id == experiment_id), None
        )
        if row is None:
            return None
        arms = read_stored(ExperimentSpec, row.spec).treatments
        treatments.add_missing(session, row.id, now, {arm.collection for arm in arms})
        claimed = treatments.claim_due(session, row.id, now, owner)
        if claimed is None:
            return None
        begun = read_data(RoundState, claimed.round)
        return _Turn(services, row, claimed.collection, owner, begun)


def _work_contained(turn: _Turn, ends: float) -> str:
    """Whatever cannot be brought over now is tried again after the pause, so that it keeps no other
    treatment from its turn."""
    try:
        return _work_on_treatment(turn, ends)
    except LeaseLost as error:
        return str(error)
    except turn.services.interruptions as error:
        _note_failure(turn, f"interrupted: {type(error).__name__}", may_pass=True)
        raise
    except AppError as error:
        log.warning("%s gets no writes now: %s", turn.collection, error)
        _note_failure(turn, str(error), may_pass=isinstance(error, Unavailable))
        return f"{turn.collection}: {error}"
    except Exception as error:
        lost = isinstance(error, DBAPIError) and is_connection_lost(error)
        told = f"unexpected {type(error).__name__}: {error_text(redact(str(error)))}"
        _note_failure(turn, told, may_pass=lost)
        raise
    finally:
        _release(turn)


def _work_on_treatment(turn: _Turn, ends: float) -> str:
    if _is_followed_by_journal(turn):
        return f"{turn.collection} is followed by the journal"
    why = _look_why_left_alone(turn)
    if why:
        return f"{turn.collection} is compared as it is: {why}"
    services = turn.services
    comparing.check_not_emptied(services.store, turn.control, turn.collection)
    spec = services.indexes().get(turn.alias, IndexSpec())
    _check_models(turn, spec)
    follower = comparing.open_version(services, spec, turn.control, turn.collection)
    comparison = Comparison(services.store, follower, turn.check, "skip", within_pages=True)
    current = turn.round
    more = True
    while more and time.monotonic() < ends:
        current, more = comparing.compare_piece(comparison, current, _limit_piece(ends))
        _save_round(turn, current, more=more)
    told = f"{current.made:,} points made, {current.deleted:,} deleted"
    return f"{turn.collection}: {current.checked:,} points compared, {told}"


def _check_models(turn: _Turn, spec: IndexSpec) -> None:
    """Raises Refused if a model would make other vectors now than those that are there."""
    services = turn.services
    stamp = read_stamp(services.store, turn.collection)
    assert stamp is not None  # otherwise the treatment is left alone
    makers = open_makers(services, existing_plan(services, turn.collection, spec))
    for name, by in stamp.made.items():
        if makers[name].identity != by.identity:
            raise Refused(
                f"its model has changed: {by.identity} made its vectors, and it is "
                f"{makers[name].identity} now"
            )


def _limit_piece(ends: float) -> GoesOn:
    return limit_to(min(ends - time.monotonic(), PIECE_SECONDS))


def _look_why_left_alone(turn: _Turn) -> str:
    """Returns why the treatment is left alone now, and says so if that has changed."""
    services = turn.services
    index = services.indexes().get(turn.alias, IndexSpec())
    if services.store.aliases().get(turn.alias) != turn.control:
        why = f"{turn.alias} does not lead to {turn.control} any more"
    else:
        why = why_compared_as_is(services, index, turn.alias, turn.control, turn.collection)
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        row = turn.find_row(session)
        if why and not row.left_alone:
            _tell(turn, session, now, why)
        row.left_alone = why
        if why:
            row.round = {}
            treatments.forget_failure(row)
            treatments.put_off(row, now)
    return why


def _is_followed_by_journal(turn: _Turn) -> bool:
    with turn.services.sessions.begin() as session:
        followed = way_back.is_followed(session, turn.alias, turn.control, turn.collection)
        if followed:
            row = turn.find_row(session)
            row.left_alone = ""
            treatments.forget_failure(row)
            treatments.put_off(row, turn.services.clock.now(session))
    return followed


def _save_round(turn: _Turn, current: RoundState, *, more: bool) -> None:
    with turn.services.sessions.begin() as session:
        now = turn.services.clock.now(session)
        row = turn.find_row(session)
        treatments.forget_failure(row)
        row.next_at = now
        row.round = write_data(current) if more else {}
        if more:
            return
        row.rounds += 1
        row.made = current.made
        row.deleted = current.deleted
        row.bad = current.bad
        row.round_ended_at = now
        treatments.put_off(row, now)


def _note_failure(turn: _Turn, why: str, *, may_pass: bool) -> None:
    """Remembers that writes do not reach the treatment, and says so once. What may pass by itself,
    as a server that does not answer, is said when it has lasted for some time."""
    with turn.services.sessions.begin() as session:
        now = turn.services.clock.now(session)
        key = turn.experiment.id, turn.collection
        row = treatments.find_claimed(session, key, turn.owner)
        if row is None:
            return
        treatments.put_off(row, now)
        if treatments.note_failure(row, now, why, may_pass=may_pass):
            _tell(turn, session, now, why)


def _tell(turn: _Turn, session: Session, now: datetime, why: str) -> None:
    told = (
        f"{turn.experiment.id} {turn.experiment.name}: {turn.collection} does not get what is "
        f"written to {turn.control}: {why}"
    )
    events.record_event(session, now, events.WARNING, told, alias=turn.alias)


def _release(turn: _Turn) -> None:
    with turn.services.sessions.begin() as session:
        key = turn.experiment.id, turn.collection
        row = session.get(Treatment, key, with_for_update=True)
        if row is not None and row.followed_by == turn.owner:
            row.followed_by = None
            row.followed_until = None
