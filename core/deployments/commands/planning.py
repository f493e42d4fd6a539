"""Says what a deployment would do and take, before it is started, and changes nothing.

Rule: it is prepared and refused by the code that starts a deployment, and its way is chosen by the
code that fills a collection. What cannot be known is said in words.
"""

import math
import random
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from qdrant_rollouts.core.answers.plans import Plan, Sampled
from qdrant_rollouts.core.collections.parts import find_cuts
from qdrant_rollouts.core.collections.readiness import estimate_points
from qdrant_rollouts.core.collections.records import BadRecord
from qdrant_rollouts.core.collections.recovered import backup_of
from qdrant_rollouts.core.collections.versions import without_credentials
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.deployments import alias_lock
from qdrant_rollouts.core.deployments.commands import plan_figures
from qdrant_rollouts.core.deployments.commands.beginning import list_taken_names
from qdrant_rollouts.core.deployments.commands.deployments import Prepared, prepare_deployment
from qdrant_rollouts.core.deployments.commands.plan_figures import Outlook
from qdrant_rollouts.core.deployments.commands.rebuilding import find_unchanged
from qdrant_rollouts.core.deployments.past_plans import describe_past_plans
from qdrant_rollouts.core.deployments.plan import DeploymentView, StepContext, StepOutputs
from qdrant_rollouts.core.deployments.steps import (
    collections,
    estimates,
    population,
    reading,
    slicing,
)
from qdrant_rollouts.core.deployments.steps.estimates import Work
from qdrant_rollouts.core.deployments.steps.source_sample import OF_PLANS
from qdrant_rollouts.core.deployments.steps.ways import NewCollection, Way
from qdrant_rollouts.core.errors import AppError, Broken, Refused, Unavailable
from qdrant_rollouts.core.ports import Source, State
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.statistics import extrapolation
from qdrant_rollouts.core.statistics.intervals import Interval

_UNNAMED = "the new collection"


class _NoTurn:
    """The turn of a plan. Nobody has it, so nothing can be done under it."""

    number = 0

    def save(self, state: State, *, progress: bool = False) -> None:
        raise Broken("a plan saves nothing")

    def save_within(self, session: Session, state: State) -> None:
        raise Broken("a plan saves nothing")

    def check(self, seconds: float) -> None:
        raise Broken("a plan acts on nothing")

    def prolong(self) -> None:
        raise Broken("a plan acts on nothing")

    def fence(self, session: Session) -> None:
        raise Broken("a plan writes nothing")


def plan_deployment(
    services: Services,
    alias: str,
    *,
    source: str | None = None,
    strategy: str | None = None,
    queries: Sequence[str] | None = None,
    rollback_on_failure: bool | None = None,
    collection: str | None = None,
    options: Mapping[str, Any] | None = None,
    draw: random.Random | None = None,
) -> Plan:
    """Returns what ``start_deployment`` would do with these arguments, and what that would take.
    Raises Refused as it does, and for what the first steps would refuse. ``draw`` draws the places
    of the sample; without it, they differ from plan to plan."""
    prepared = prepare_deployment(
        services,
        alias,
        source=source,
        strategy=strategy,
        queries=queries,
        rollback_on_failure=rollback_on_failure,
        collection=collection,
        options=options,
        writes=False,
    )
    list_taken_names(services, alias)
    with services.sessions() as session:
        alias_lock.check_alias_idle(session, alias)
    declared = not (source or strategy or queries or collection or options)
    outlook = _look_ahead(services, alias, prepared, draw or random.Random())  # noqa: S311
    texts = plan_figures.sum_texts(outlook)
    tokens, by_vector = plan_figures.estimate_tokens(services, outlook)
    disk, memory, short = plan_figures.compare_room(services, outlook)
    return {
        "alias": alias,
        "strategy": prepared.spec.strategy,
        "source": _show_source(prepared),
        "old_collection": prepared.blue,
        "steps": [step.name for step in prepared.steps if not step.skipped],
        "way": outlook.way.name if outlook.way else None,
        "why": outlook.way.why if outlook.way else outlook.unknown,
        "slices": outlook.slices,
        "unchanged": _why_unchanged(services, alias) if declared else "",
        "sample": _describe_sample(outlook.work),
        "records": plan_figures.describe_records(outlook),
        "changes": plan_figures.describe_changes(outlook),
        "texts": texts,
        "tokens": tokens,
        "seconds": plan_figures.estimate_seconds(services, alias, prepared, outlook),
        "watching": plan_figures.estimate_watching(prepared),
        "workers": plan_figures.find_workers(services, prepared),
        "disk": disk,
        "memory": memory,
        "cost": plan_figures.estimate_cost(services, outlook, by_vector),
        "warnings": [*prepared.warnings, *_warn_of_bad_records(prepared, outlook.work), *short],
        "errors": describe_past_plans(services, alias),
    }


# --- what would be done ---------------------------------------------------------------------------


def _look_ahead(services: Services, alias: str, prepared: Prepared, draw: random.Random) -> Outlook:
    """Chooses the way and reads a sample, as the steps will."""
    if prepared.source is None:
        return _look_at_existing(services, prepared)
    if backup_of(prepared.source.address) is not None:
        return Outlook(
            unknown=f"{prepared.source.address} is read only after it was restored, so its way is "
            f"chosen then; its manifest counts {prepared.source.size():,} points"
        )
    context = open_context(services, alias, prepared)
    source = reading.open_deployment_source(context)
    way = green = None
    slices = 0
    try:
        design = collections.design_green(context)
        made = {name: maker.by for name, maker in design.makers.items()}
        green = NewCollection(design.vectors, design.schema, made)
        way = population.choose_way(context, source, green)
        with name_faults(source):
            work = estimates.estimate_work(
                context, source, green, design.makers, way, OF_PLANS, draw
            )
        way = population.expect_way(context, way, work)
        slices = _count_slices(context, prepared.source, way)
    except Unavailable as error:
        return Outlook(way, green, slices=slices, unknown=f"not known: {error}")
    return Outlook(way, green, design.makers, work, slices)


def _count_slices(context: StepContext, source: Source, way: Way) -> int:
    if way.name not in slicing.CUT_WAYS:
        return 1
    spec = context.deployment.spec
    wanted = slicing.count_slices(context.services, spec, source, way.name)
    return len(find_cuts(source, wanted)) + 1


@contextmanager
def name_faults(source: Source) -> Iterator[None]:
    """Refuses what a function of the operator raises, by its type and place: the message may hold
    records, and the trace is that of a program that the caller may not know."""
    try:
        yield
    except (AppError, SQLAlchemyError):
        raise
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise Refused(
            f"{without_credentials(source.address)} failed while a sample was read: "
            f"{type(error).__name__} at {PurePath(place.filename).name}:{place.lineno}"
        ) from error


def _look_at_existing(services: Services, prepared: Prepared) -> Outlook:
    assert prepared.existing is not None
    try:
        points = estimate_points(services.store, prepared.existing)
    except Unavailable as error:
        return Outlook(unknown=f"not known: {error}")
    why = f"nothing is filled: {prepared.existing} is taken as it is"
    work = Work(extrapolation.exactly(points), {}, complete=True)
    return Outlook(work=work, unknown=why)


def open_context(services: Services, alias: str, prepared: Prepared) -> StepContext:
    """Returns the context that the first steps of this deployment would have. They get the source
    that is open already: to open a site again is to fetch its list of pages again."""
    opened = prepared.source
    assert opened is not None

    def open_source(text: str) -> Source:
        return opened if text == opened.address else services.source(text)

    return StepContext(
        deployment=DeploymentView(
            id="",
            alias=alias,
            plan=tuple(step.name for step in prepared.steps),
            blue=prepared.blue,
            green=_UNNAMED,
            spec=prepared.spec,
            source=opened.address,
            number=0,
        ),
        saved={},
        outputs=StepOutputs(()),
        services=replace(services, source=open_source),
        turn=_NoTurn(),
    )


def _show_source(prepared: Prepared) -> str | None:
    if prepared.source is None:
        return None
    return without_credentials(prepared.source.address)


def _why_unchanged(services: Services, alias: str) -> str:
    """Returns why a rebuild of the index, as it is declared, would build nothing."""
    try:
        same = find_unchanged(services, alias)
    except Unavailable:
        return ""
    return same.reason if same is not None else ""


def _warn_of_bad_records(prepared: Prepared, work: Work | None) -> list[str]:
    if work is None:
        return []
    told = describe_bad_records(prepared.spec, work.bad, work.bad_records)
    return [told] if told else []


def describe_bad_records(
    spec: IndexSpec, bad: Sequence[BadRecord], estimated: Interval | None
) -> str:
    """Returns how many ``bad`` records a sample has, what a deployment would do about them, and the
    first one; empty if there are none. ``estimated``: how many the source has; None if that is not
    known."""
    if not bad:
        return ""
    most = spec.max_bad_records
    if are_left_out(spec, estimated):
        after = "they are left out (on_bad_record: skip)"
    elif spec.on_bad_record == "fail":
        after = "the deployment would end there (on_bad_record: fail)"
    elif estimated is not None and estimated.low > most:
        after = (
            f"the deployment would end there, because the source has about {estimated.value:,.0f} "
            f"and at least {math.ceil(estimated.low):,}, and max_bad_records is {most:,}"
        )
    else:
        after = (
            f"the deployment would end there if the source has more than max_bad_records: {most:,}"
        )
    return f"{len(bad):,} bad records in the sample; {after}: {bad[0]}"


def are_left_out(spec: IndexSpec, estimated: Interval | None) -> bool:
    """Returns whether a deployment goes on without so many bad records."""
    if spec.on_bad_record == "fail" or estimated is None:
        return False
    return estimated.high <= spec.max_bad_records


def _describe_sample(work: Work | None) -> Sampled:
    if work is None:
        return {"records": 0, "complete": False, "spread": False, "bad": 0, "first_bad": ""}
    return {
        "records": work.sampled,
        "complete": work.complete,
        "spread": work.spread,
        "bad": len(work.bad),
        "first_bad": str(work.bad[0]) if work.bad else "",
    }
