"""Which treatments of an experiment get what is written to its control, and what is said of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from qdrant_rollouts.core.answers import experiments as experiment_answers
from qdrant_rollouts.core.answers.words import WritesWord
from qdrant_rollouts.core.config.experiment_spec import ArmSpec, ExperimentSpec
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.database import treatments
from qdrant_rollouts.core.database.experiment_rows import Experiment, Treatment
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.deployments import way_back
from qdrant_rollouts.core.deployments.commands.writes import why_compared_as_is
from qdrant_rollouts.core.lifecycle import ExperimentStatus
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso

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


def describe_treatments(
    session: Session, row: Experiment
) -> list[experiment_answers.TreatmentWrites]:
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
