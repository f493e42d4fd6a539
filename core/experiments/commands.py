"""The commands for experiments. A command refuses before it changes anything."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from qdrant_rollouts.core.alerts import outbox
from qdrant_rollouts.core.alerts.outbox import Alert
from qdrant_rollouts.core.collections.stamps import read_stamp
from qdrant_rollouts.core.config.experiment_spec import (
    CONTROL,
    DEFAULT_METRICS,
    INTERLEAVED,
    TREATMENT,
    ExperimentSpec,
    parse_metrics,
)
from qdrant_rollouts.core.config.index_file import validate_as
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.experiment_rows import Experiment
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.database.treatments import note_treatments
from qdrant_rollouts.core.defaults import SPLIT
from qdrant_rollouts.core.deployments import alias_lock
from qdrant_rollouts.core.deployments.commands import InTransaction, do_nothing
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.experiments import treatment_writes
from qdrant_rollouts.core.experiments.listing import find_experiment
from qdrant_rollouts.core.lifecycle import ExperimentEvent, ExperimentStatus, next_experiment_status
from qdrant_rollouts.core.ports.naming import check_found_name, check_name
from qdrant_rollouts.core.routing import enrolment, table
from qdrant_rollouts.core.routing.route import Arm
from qdrant_rollouts.core.sanitize.quoting import shorten_text
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.statistics.assignment import BASIS, weights_of
from qdrant_rollouts.core.times import as_iso


def create_experiment(
    services: Services,
    name: str,
    control: str,
    treatments: Sequence[str],
    *,
    actor: str,
    alias: str | None = None,
    split: float = SPLIT,
    metrics: Sequence[str | Mapping[str, Any]] | None = None,
    options: Mapping[str, Any] | None = None,
    start: bool = True,
    reason: str = "",
    along: InTransaction = do_nothing,
) -> str:
    """Creates an experiment, starts it unless told otherwise, and returns its id.

    ``split`` is the total share of the treatments. ``options`` are further keys of
    ``ExperimentSpec``. Without ``alias`` the experiment belongs to the alias that points to
    ``control``, if there is one. Otherwise it can be searched only with ``route_query``.
    """
    check_name("experiment", name)
    spec = _build_spec(services, control, treatments, split, metrics, options or {})
    alias = _find_alias_of_control(services, control, alias)
    row = Experiment(
        id=secrets.token_hex(6),
        name=name,
        alias=alias,
        route="",
        spec=spec.model_dump(mode="json"),
        actor=actor,
    )
    row.route = alias or f"experiment:{row.id}"
    left_alone = treatment_writes.why_left_alone(services, spec, alias)
    with services.sessions.begin() as session:
        row.created_at = services.clock.now(session)
        if start:
            alias_lock.check_alias_idle(session, row.route)
        session.add(row)
        _record_experiment_event(
            session, row.created_at, row, "created", _describe_spec(spec), actor, reason
        )
        session.flush()
        note_treatments(session, row.id, row.created_at, left_alone)
        if start:
            _start_experiment(services, session, row, actor, reason)
        along(session, row.id)
    services.channel.announce(row.route)
    return row.id


def start_experiment(
    services: Services,
    experiment_id: str,
    *,
    actor: str,
    reason: str = "",
    along: InTransaction = do_nothing,
) -> str:
    """Splits the searches of a draft's alias from now on, if the alias still points to its
    control."""
    with services.sessions() as session:
        row = find_experiment(session, experiment_id)
    if row.alias is not None:
        _find_alias_of_control(services, row.spec["arms"][0]["collection"], row.alias)
    spec = read_stored(ExperimentSpec, row.spec)
    left_alone = treatment_writes.why_left_alone(services, spec, row.alias)

    def start(session: Session, row: Experiment) -> None:
        now = services.clock.now(session)
        note_treatments(session, row.id, now, left_alone)
        _start_experiment(services, session, row, actor, reason)

    return _change_experiment(services, experiment_id, start, along)


def stop_experiment(
    services: Services,
    experiment_id: str,
    *,
    actor: str,
    reason: str = "",
    along: InTransaction = do_nothing,
) -> str:
    """The control answers all users again; observations are kept. Feedback of users of both arms is
    accepted until their windows close."""

    def end(session: Session, row: Experiment) -> None:
        end_experiment(
            services, session, row, ExperimentEvent.STOP, reason or "stopped", actor, reason
        )

    return _change_experiment(services, experiment_id, end, along)


def widen_experiment(
    services: Services,
    experiment_id: str,
    coverage: int,
    *,
    actor: str,
    reason: str = "",
    along: InTransaction = do_nothing,
) -> str:
    """Enrols more users; no user changes arm. Raises Refused for a smaller coverage than now,
    because that would send users back."""

    def widen(session: Session, row: Experiment) -> None:
        now = 0
        if row.stages:
            now = row.stages[-1]["coverage"]
        if row.status != ExperimentStatus.RUNNING or not now < coverage <= BASIS:
            raise Refused(
                f"experiment {row.id} is {row.status} with a coverage of {now} basis points: "
                f"{coverage} is not above "
                f"that and at most {BASIS}"
            )
        detail = f"coverage {now} -> {coverage} basis points"
        _record_experiment_event(
            session, services.clock.now(session), row, "widened", detail, actor, reason
        )
        _add_stage(services, session, row, coverage, actor)

    return _change_experiment(services, experiment_id, widen, along)


def end_experiment(
    services: Services,
    session: Session,
    row: Experiment,
    event: ExperimentEvent,
    message: str,
    actor: str,
    reason: str = "",
) -> None:
    """Gives the route back and records the reason; announce the route after the transaction."""
    row.status = next_experiment_status(row.status, event)
    row.finished_at = services.clock.now(session)
    row.message = message
    if table.load_route(session, row.route).experiment_id == row.id:
        table.set_route_within(services, session, row.route, actor=actor, experiment_id=row.id)
    _record_experiment_event(session, row.finished_at, row, str(row.status), message, actor, reason)
    outbox.resolve_alerts(
        session,
        row.finished_at,
        row.route,
        ("experiment.invalid", "experiment.unseen"),
        message,
        actor,
    )
    if event is ExperimentEvent.STOP:
        record_experiment_alert(
            session, row.finished_at, row, "stopped", message, actor=actor, reason=reason
        )


def record_experiment_alert(
    session: Session,
    now: datetime,
    row: Experiment,
    what: str,
    text: str,
    *,
    actor: str = events.SYSTEM,
    reason: str = "",
    act: str = "nothing to do",
) -> None:
    """Records an alert of ``experiment.WHAT``."""
    said = f"experiment {row.name} ({row.id}): {text}"
    told = Alert(row.route, f"experiment.{what}", said, actor=actor, reason=reason, next=act)
    outbox.record_alert(session, now, told)


def _change_experiment(
    services: Services, experiment_id: str, change: Any, along: InTransaction
) -> str:
    with services.sessions.begin() as session:
        row = session.get_one(
            Experiment, find_experiment(session, experiment_id).id, with_for_update=True
        )
        change(session, row)
        along(session, row.id)
        found = row.id
        route = row.route
    services.channel.announce(route)
    return found


def _start_experiment(
    services: Services, session: Session, row: Experiment, actor: str, reason: str
) -> None:
    status = next_experiment_status(row.status, ExperimentEvent.START)
    spec = read_stored(ExperimentSpec, row.spec)
    table.lock_route(services, session, row.route)
    alias_lock.check_alias_idle(session, row.route)
    now = services.clock.now(session)
    row.status = status
    row.started_at = now
    row.next_look_at = now + timedelta(minutes=spec.look_minutes)
    try:
        session.flush()
    except IntegrityError as error:
        raise Unavailable(
            f"another experiment on {row.route} began in the same moment; try again"
        ) from error
    _record_experiment_event(session, now, row, "started", _describe_spec(spec), actor, reason)
    act = f"rollouts experiment report {row.id}"
    record_experiment_alert(
        session, now, row, "started", _describe_spec(spec), actor=actor, reason=reason, act=act
    )
    _add_stage(services, session, row, spec.coverage, actor)


def _add_stage(
    services: Services, session: Session, row: Experiment, coverage: int, actor: str
) -> None:
    spec = read_stored(ExperimentSpec, row.spec)
    row.stages = [
        *row.stages,
        {"coverage": coverage, "started_at": as_iso(services.clock.now(session))},
    ]
    table.set_route_within(
        services,
        session,
        row.route,
        actor=actor,
        experiment_id=row.id,
        stage=enrolment.stage_name(row.id, len(row.stages)),
        salt=row.id,
        blue=spec.control.collection,
        arms=[arm.to_json() for arm in _build_arms(spec, coverage)],
    )


def _build_arms(spec: ExperimentSpec, coverage: int) -> list[Arm]:
    """In interleave mode both arms serve every enrolled user."""
    if spec.mode == "interleave":
        (treatment,) = spec.treatments
        both = Arm(INTERLEAVED, treatment.collection, ((0, coverage),), spec.document)
        return [Arm(CONTROL, spec.control.collection, ()), both]
    ranges = spec.ranges(coverage)
    return [
        Arm(arm.variant, arm.collection, mine) for arm, mine in zip(spec.arms, ranges, strict=True)
    ]


def _build_spec(
    services: Services,
    control: str,
    treatments: Sequence[str],
    split: float,
    metrics: Sequence[str | Mapping[str, Any]] | None,
    options: Mapping[str, Any],
) -> ExperimentSpec:
    collections = [check_found_name("collection", name) for name in (control, *treatments)]
    there = services.store.collections()
    for collection in collections:
        if collection not in there:
            raise Refused(
                f"collection {shorten_text(collection)} does not exist; there are: "
                f"{', '.join(sorted(there)) or 'none'}"
            )
    weights = options.get("weights") or _split_weights(split, len(treatments))
    if len(weights) != len(collections):
        raise Refused(f"weights {weights} are not one for each of {', '.join(collections)}")
    arms = [
        {
            "variant": variant,
            "collection": collection,
            "weight": weight,
            "identity": _model_identity(services, collection),
        }
        for variant, collection, weight in zip(
            _name_variants(treatments), collections, weights, strict=True
        )
    ]
    asked = {key: value for key, value in options.items() if key != "weights"}
    default = ("clicks",) if asked.get("mode") == "interleave" else DEFAULT_METRICS
    chosen = [
        metric.model_dump() for metric in parse_metrics(default if metrics is None else metrics)
    ]
    return validate_as(ExperimentSpec, {**asked, "arms": arms, "metrics": chosen}, "experiment")


def _name_variants(treatments: Sequence[str]) -> list[str]:
    if len(treatments) == 1:
        return [CONTROL, TREATMENT]
    return [CONTROL, *(f"{TREATMENT}_{number}" for number, _ in enumerate(treatments, 1))]


def _split_weights(split: float, treatments: int) -> list[int]:
    """The treatments share ``split`` evenly; the remainder stays with the control."""
    _, points = weights_of(split)
    each = points // max(treatments, 1)
    return [BASIS - each * treatments, *[each] * treatments]


def _model_identity(services: Services, collection: str) -> str | None:
    stamp = read_stamp(services.store, collection)
    return stamp.identity if stamp else None


def _find_alias_of_control(services: Services, control: str, alias: str | None) -> str | None:
    found = services.store.aliases()
    if alias is not None:
        check_found_name("alias", alias)
        if found.get(alias) != control:
            raise Refused(
                f"alias {alias} leads to {found.get(alias, 'nothing')}, not to the control "
                f"{control}"
            )
        return alias
    leading = sorted(name for name, target in found.items() if target == control)
    if len(leading) > 1:
        raise Refused(
            f"aliases {', '.join(leading)} lead to {control}: name the one whose searches should "
            "be split"
        )
    return leading[0] if leading else None


def _describe_spec(spec: ExperimentSpec) -> str:
    arms = ", ".join(f"{arm.variant} {arm.collection} {arm.weight / 100:g} %" for arm in spec.arms)
    return f"{arms}; {', '.join(f'{metric.name} ({metric.role})' for metric in spec.metrics)}"


def _record_experiment_event(
    session: Session,
    now: datetime,
    row: Experiment,
    event: str,
    detail: str,
    actor: str,
    reason: str = "",
) -> None:
    detail = f"{row.id} {row.name}: {detail}"
    events.record_event(
        session, now, f"experiment.{event}", detail, actor=actor, reason=reason, alias=row.alias
    )
