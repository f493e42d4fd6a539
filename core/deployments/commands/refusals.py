"""What would refuse a deployment now, all of it at once, and not only what speaks against it first.

Rule: the checks are those of ``prepare_deployment``. No model is loaded and nothing is written; the
source and the models of an index have checks of their own.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from qdrant_rollouts.core.collections.live_source import name_source
from qdrant_rollouts.core.collections.model_proof import find_unknown_vectors
from qdrant_rollouts.core.collections.vectors import made_by_models
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.deployments.commands.deployments import (
    check_blue,
    plan_steps,
    settle_spec,
)
from qdrant_rollouts.core.deployments.commands.specs import check_server_version, check_validation
from qdrant_rollouts.core.deployments.commands.strictness import check_limits
from qdrant_rollouts.core.deployments.commands.vector_declarations import check_vectors
from qdrant_rollouts.core.deployments.strategies import STRATEGIES
from qdrant_rollouts.core.errors import Busy, Limited, Refused, Unavailable
from qdrant_rollouts.core.gate.evidence.context import JudgedQuery
from qdrant_rollouts.core.gate.evidence.judged import warn_of_too_few
from qdrant_rollouts.core.gate.evidence.opening import read_judged_queries
from qdrant_rollouts.core.ports import PointId
from qdrant_rollouts.core.ports.naming import shell_word
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.services import Services

_REFUSED = "deploying it would be refused now: correct"
#: Points of a page, and records that a finding names.
_PAGE = 500
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Obstacle:
    """``text`` names the thing, as a deployment would. ``act`` is what to do about it."""

    text: str
    act: str


def list_refusals(
    services: Services, alias: str, declared: IndexSpec, live: Mapping[str, str]
) -> list[Obstacle]:
    """Returns what the settings of a declared index would be refused for. Raises Unavailable if a
    server does not answer."""
    blue = live.get(alias)
    settings = f"{_REFUSED} its settings in the index file"
    try:
        spec, _ = settle_spec(services, alias, live, {}, {}, None)
    except Refused as error:
        return [Obstacle(str(error), settings)]
    checks: tuple[tuple[Callable[[], object], str], ...] = (
        (partial(check_server_version, services), f"{_REFUSED} that first"),
        (partial(check_validation, services, spec, blue), settings),
        (partial(_check_strategy, spec, alias, blue), settings),
        (partial(_check_collections, services, spec, alias, live), settings),
    )
    found = [Obstacle(text, act) for check, act in checks if (text := _try(check))]
    return [*found, *_find_unknown_model(services, alias, declared, spec, blue)]


def _check_strategy(spec: IndexSpec, alias: str, blue: str | None) -> None:
    """A strategy that this version does not know has a finding of its own."""
    if spec.strategy in STRATEGIES:
        check_blue(plan_steps(spec, existing=False), alias, blue)


def _try(check: Callable[[], object]) -> str:
    """Returns why it is refused; empty if it is not."""
    try:
        check()
    except Refused as error:
        return str(error)
    return ""


def _check_collections(
    services: Services, spec: IndexSpec, alias: str, live: Mapping[str, str]
) -> None:
    """Raises Refused for what the limits and vectors of the live collection make impossible. A
    source that cannot be opened has a finding of its own."""
    if spec.source is None:
        return
    try:
        source = services.source(name_source(spec.source, alias, live))
    except (Refused, Unavailable):
        return
    check_limits(services, spec, live.get(alias), source)
    check_vectors(services, spec, live.get(alias), source)


def _find_unknown_model(
    services: Services, alias: str, declared: IndexSpec, spec: IndexSpec, blue: str | None
) -> Iterator[Obstacle]:
    """Only a proof, for which the model is loaded, can say whether the live collection is of the
    declared model."""
    if blue is None or declared.accept_new_model:
        return
    try:
        made = made_by_models(spec, services.store.schema(blue))
        unknown = find_unknown_vectors(services.store, blue, made)
    except (Busy, Limited, Refused):  # what is refused has a finding already
        return
    if unknown:
        yield Obstacle(
            f"nothing says which model made the vectors of {blue}",
            f"`rollouts plan {shell_word(alias)}` proves it, or says why it would be refused",
        )


# --- judged queries -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JudgedFile:
    """``queries``: how many there are. ``obstacles`` are what a deployment refuses, or what its
    gate leaves out."""

    queries: int
    obstacles: tuple[Obstacle, ...]


def check_judged_file(
    services: Services, alias: str, spec: IndexSpec, live: Mapping[str, str]
) -> JudgedFile:
    """Reads the file as the gate does. Raises Unavailable if its source does not answer."""
    try:
        judged = read_judged_queries(services, spec)
    except Refused as error:
        act = (
            f"{_REFUSED} that in {quote_value(spec.validation.judged)}, or take validation.judged "
            "out of the index file"
        )
        return JudgedFile(0, (Obstacle(str(error), act),))
    obstacles = []
    if few := warn_of_too_few(spec.validation, judged):
        obstacles.append(Obstacle(few, "until then the gate does not decide by them"))
    if alias in live:
        obstacles += _find_gone_records(services, spec, live[alias], judged)
    return JudgedFile(len(judged), tuple(obstacles))


def _find_gone_records(
    services: Services, spec: IndexSpec, live: str, judged: tuple[JudgedQuery, ...]
) -> Iterator[Obstacle]:
    try:
        there = _find_existing(services, live, judged)
    except Busy:
        return
    gone = {
        one.names[id]: one.query
        for one in judged
        for id in one.grades
        if id not in there and one.others.get(id) not in there
    }
    if not gone:
        return
    named = ", ".join(
        f"{quote_value(id)} of {quote_value(query)}" for id, query in list(gone.items())[:_NAMED]
    )
    if len(gone) > _NAMED:
        named += f" and {len(gone) - _NAMED:,} more"
    count = "1 record is" if len(gone) == 1 else f"{len(gone):,} records are"
    yield Obstacle(
        f"{quote_value(spec.validation.judged)}: {count} not in {live}: {named}",
        "the gate leaves them out; correct the ids, or judge these queries anew (if the next "
        "version has them, they count from the one after it)",
    )


def _find_existing(
    services: Services, collection: str, judged: tuple[JudgedQuery, ...]
) -> set[PointId]:
    wanted = list({id for one in judged for id in one.every})
    found: set[PointId] = set()
    for begin in range(0, len(wanted), _PAGE):
        page = wanted[begin : begin + _PAGE]
        found |= {point.id for point in services.store.fetch(collection, page, vectors=False)}
    return found
