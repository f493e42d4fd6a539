"""Brings what is written to an experiment's control to its treatments while it runs, so that they
differ by their models and not by their age, and a winner has every write.

Rule: a comparison goes on where it was, whoever does it, and it ends with the experiment. Whatever
fails here is told once and does not disturb the experiment.
"""

import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from qdrant_rollouts.core.answers import experiments as experiment_answers
from qdrant_rollouts.core.answers.words import WritesWord
from qdrant_rollouts.core.collections.makers import open_makers
from qdrant_rollouts.core.collections.merging import BucketDigests, compare_page
from qdrant_rollouts.core.collections.stamps import read_stamp
from qdrant_rollouts.core.config.experiment_spec import ArmSpec, ExperimentSpec
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.database import events, treatments
from qdrant_rollouts.core.database.experiment_rows import Experiment, Treatment
from qdrant_rollouts.core.database.leases import name_owner
from qdrant_rollouts.core.database.step_data import read_data, write_data
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.deployments import way_back
from qdrant_rollouts.core.deployments.commands.writes import why_compared_as_is
from qdrant_rollouts.core.deployments.steps import comparing
from qdrant_rollouts.core.deployments.steps.data import PIECE_SECONDS, RoundState
from qdrant_rollouts.core.deployments.steps.followers import Follower, apply_changes
from qdrant_rollouts.core.deployments.steps.pieces import GoesOn, limit_to
from qdrant_rollouts.core.errors import (
    AppError,
    LeaseLost,
    Refused,
    Unavailable,
    is_connection_lost,
)
from qdrant_rollouts.core.gate.evidence.opening import existing_plan
from qdrant_rollouts.core.lifecycle import ExperimentStatus
from qdrant_rollouts.core.sanitize.quoting import error_text
from qdrant_rollouts.core.sanitize.redaction import redact
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso

log = logging.getLogger(__name__)

#: Seconds.
_LONGEST_SLICE = 15.0
_NO_ALIAS = "no alias leads to the control"
_NEVER_RAN = "the experiment never ran"
_RAN_BEFORE = "the experiment ran under an older release, which brings no writes"


@dataclass(frozen=True, slots=True)
class _Words:
    """How it is said what a treatment gets of the writes, before, while or after it does."""

    kept: str
    left_alone: str
    fails: str
    no_round: str


_BEFORE = _Words(
    kept="will be kept like the control",
    left_alone="will be compared as it is",
    fails="what is written to the control does not reach it",
    no_round="",
)
_NOW = _Words(
    kept="kept like the control",
    left_alone="compared as it is",
    fails="what is written to the control does not reach it",
    no_round="; no comparison has ended yet",
)
_AFTER = _Words(
    kept="was kept like the control until the experiment ended",
    left_alone="was left as it was",
    fails="what was written to the control did not reach it when the experiment ended",
    no_round="; no comparison was finished",
)


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


# --- which treatments -----------------------------------------------------------------------------


def why_left_alone(
    services: Services, spec: ExperimentSpec, alias: str | None
) -> Mapping[str, str]:
    """Returns why each treatment is compared as it is, by collection; empty if it is kept like the
    control."""
    control = spec.control.collection
    names = [arm.collection for arm in spec.treatments]
    if alias is None:
        return dict.fromkeys(names, _NO_ALIAS)
    index = services.indexes().get(alias, IndexSpec())
    return {name: why_compared_as_is(services, index, alias, control, name) for name in names}


def describe_writes(session: Session, row: Experiment) -> list[experiment_answers.TreatmentWrites]:
    """Returns what each treatment gets of what is written to the control."""
    known = treatments.list_treatments(session, row.id)
    spec = read_stored(ExperimentSpec, row.spec)
    return [
        _describe_treatment(session, row, arm, known.get(arm.collection)) for arm in spec.treatments
    ]


def _describe_treatment(
    session: Session, experiment: Experiment, arm: ArmSpec, row: Treatment | None
) -> experiment_answers.TreatmentWrites:
    way, why_not = _find_way(session, experiment, arm.collection, row)
    if row is None:
        row = Treatment(rounds=0, made=0, deleted=0, bad=0, failure="")
    return {
        "variant": arm.variant,
        "collection": arm.collection,
        "way": way,
        "why_not": why_not,
        "rounds": row.rounds,
        "round_ended_at": as_iso(row.round_ended_at),
        "made": row.made,
        "deleted": row.deleted,
        "bad": row.bad,
        "failure": row.failure,
        "text": _describe_in_words(_choose_words(experiment), row, way, why_not),
    }


def _find_way(
    session: Session, experiment: Experiment, collection: str, row: Treatment | None
) -> tuple[WritesWord, str]:
    """Returns how the treatment is kept like the control, or was; and why not if it is not. What
    the journal does after the experiment has nothing to do with it."""
    if experiment.finished_at is not None:
        if experiment.started_at is None:
            return "none", _NEVER_RAN
        if row is None:
            return "none", _RAN_BEFORE
    elif _is_journaled(session, experiment, collection):
        return "journal", ""
    if row is None or not row.left_alone:
        return "compare", ""
    return "none", row.left_alone


def _is_journaled(session: Session, experiment: Experiment, collection: str) -> bool:
    if experiment.alias is None:
        return False
    control = read_stored(ExperimentSpec, experiment.spec).control.collection
    return way_back.is_followed(session, experiment.alias, control, collection)


def _choose_words(experiment: Experiment) -> _Words:
    if experiment.finished_at is not None:
        return _AFTER
    return _BEFORE if experiment.status == ExperimentStatus.DRAFT else _NOW


def _describe_in_words(words: _Words, row: Treatment, way: WritesWord, why_not: str) -> str:
    if way == "none":
        return f"{words.left_alone}: {why_not}"
    if way == "journal":
        return f"{words.kept} by the journal"
    if row.failure:
        return f"{words.fails}: {row.failure}"
    if not row.rounds:
        return words.kept + words.no_round
    counts = f"{row.made:,} points made, {row.deleted:,} deleted"
    if row.bad:
        counts += f", {row.bad:,} not possible with its model or rules"
    return f"{words.kept}; comparison {row.rounds:,}: {counts}"


# --- the work -------------------------------------------------------------------------------------


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
    """Works for a slice on the treatments of an experiment. Safe to run twice. Returns what was
    done, as a line of text."""
    ends = time.monotonic() + min(services.times.slice, _LONGEST_SLICE)
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
    current = turn.round
    more = True
    while more and time.monotonic() < ends:
        current, more = _compare_piece(turn, follower, current, _limit_piece(ends))
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


def _compare_piece(
    turn: _Turn, follower: Follower, current: RoundState, goes_on: GoesOn
) -> tuple[RoundState, bool]:
    """Compares pages, and writes what differs, until the end or until ``goes_on`` says no. It ends
    in the middle of a page too, because a slow model needs longer than a slice for a page. Returns
    the round, and whether there is more of it."""
    store = turn.services.store
    while True:
        store.pace(turn.control)
        found = compare_page(
            store, follower.leading, follower.following, current.position, BucketDigests()
        )
        changed = apply_changes(store, follower, found.ids, check=turn.check, goes_on=goes_on)
        stopped = changed.stopped_at is not None
        current = replace(
            current,
            position=changed.stopped_at if stopped else found.following,
            checked=current.checked + found.checked,
            made=current.made + changed.made,
            deleted=current.deleted + changed.deleted,
            bad=current.bad + len(changed.bad),
        )
        if current.position is None or not goes_on():
            return current, current.position is not None


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
