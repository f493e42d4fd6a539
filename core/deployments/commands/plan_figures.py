"""The figures of a plan: how many records and texts, how long, how much room, what cost. Each has
its interval and its source.

Rule: a figure that is not known is null, and its source says why.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest

from qdrant_rollouts.core.answers.plans import Figure, PlannedWorkers, Room
from qdrant_rollouts.core.collections import room
from qdrant_rollouts.core.collections.makers import Maker
from qdrant_rollouts.core.deployments.commands.deployments import Prepared
from qdrant_rollouts.core.deployments.fillings import list_paces
from qdrant_rollouts.core.deployments.plan import Step
from qdrant_rollouts.core.deployments.steps import estimates
from qdrant_rollouts.core.deployments.steps.estimates import Work
from qdrant_rollouts.core.deployments.steps.ways import NewCollection, Way
from qdrant_rollouts.core.deployments.workers import list_known_workers
from qdrant_rollouts.core.errors import AppError
from qdrant_rollouts.core.ports import Room as FreeRoom
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.statistics import extrapolation
from qdrant_rollouts.core.statistics.extrapolation import Measured, Place
from qdrant_rollouts.core.statistics.intervals import Interval

#: Texts that are embedded to measure a pace, in groups, and texts whose tokens are counted.
_EMBEDDED = 16
_GROUP = 4
_COUNTED = 64
#: An endpoint counts the tokens of a text when it embeds it, and may be paid for it.
_COUNTED_BY_PROVIDER = 16
#: Seconds that each of the two may take.
_LONGEST = 5.0
_NO_EXAMPLE = "no sampled record has a text to embed, so nothing is known of those that others have"
_NO_WORKER = "no worker that takes these turns answers: the deployment waits until one does"


@dataclass(frozen=True, slots=True)
class Outlook:
    """What was found out. ``unknown`` says what stood in the way; then there is no ``work``, and
    maybe no ``way`` and no ``green``. ``slices`` as in ``core.answers.plans``."""

    way: Way | None = None
    green: NewCollection | None = None
    makers: Mapping[str, Maker] | None = None
    work: Work | None = None
    slices: int = 0
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class _Embedded:
    """A vector for which a model must embed ``number`` texts, and ``examples`` of them. If none of
    the sample must be embedded, these are other texts of it."""

    maker: Maker
    number: Interval
    examples: Sequence[Sequence[str]]
    complete: bool
    spread: bool

    def sum_up(self, found: Sequence[Place]) -> Interval:
        """Returns the sum over all its texts, if those at some places have so much together."""
        number = sum(place.records for place in found)
        complete = self.complete and number == self.number.value
        return extrapolation.estimate_sum(self.number, found, complete=complete, spread=self.spread)

    def pick_texts(self, most: int) -> list[str]:
        """Returns at most so many texts, one of each place before a second one of any."""
        rounds = zip_longest(*self.examples)
        texts = (text for one_of_each in rounds for text in one_of_each if text is not None)
        return list(islice(texts, most))


# --- how much it is -------------------------------------------------------------------------------


def describe_records(outlook: Outlook) -> Figure:
    work = outlook.work
    if work is None:
        return _unknown(outlook.unknown)
    if work.records is None:
        return _unknown(work.why_not_counted)
    if work.counted:
        return _figure(work.records, "counted")
    return _figure(work.records, f"by the size of {_name_sample(work)}")


def describe_changes(outlook: Outlook) -> Figure:
    if outlook.way is None or not outlook.way.clones:
        return _unknown("the live collection is not cloned")
    work = outlook.work
    if work is None:
        return _unknown(outlook.unknown)
    if work.changes is None:
        return _unknown(work.why_not_counted or "the points are taken as they are")
    return _figure(work.changes, f"of {_name_sample(work)}, compared with the live collection")


def sum_texts(outlook: Outlook) -> Figure:
    work = outlook.work
    if work is None:
        return _unknown(outlook.unknown)
    if work.texts is None:
        return _unknown(_why_no_texts(work))
    words = "the points are taken as they are"
    if outlook.way is not None and outlook.way.embeds:
        words = f"of {_name_sample(work)}, texts to embed: {work.missing:,}"
    return _figure(extrapolation.add(list(work.texts.values())), words)


def _name_sample(work: Work) -> str:
    if work.spread:
        return f"{work.sampled:,} sampled records"
    return f"the first {work.sampled:,} records"


def _why_no_texts(work: Work) -> str:
    if work.records is None:
        return "the number of records is not known"
    return "no record could be read in time"


def estimate_tokens(services: Services, outlook: Outlook) -> tuple[Figure, dict[str, Interval]]:
    """Returns the tokens of all texts, and those of each vector."""
    work = outlook.work
    if work is None or work.texts is None:
        return _unknown("the number of texts is not known"), {}
    by_vector: dict[str, Interval] = {}
    counted = 0
    try:
        for name, one in _list_embedded(outlook).items():
            if not one.examples:
                return _unknown(_NO_EXAMPLE), {}
            assert one.maker.embedder is not None
            most = _COUNTED_BY_PROVIDER if _provider_of(services, one.maker) else _COUNTED
            found = _count_in_time(one.maker.embedder.count_tokens, one.examples, most)
            if found is None:
                assert one.maker.by.embedding is not None
                return _unknown(f"{one.maker.by.embedding.model} does not say its tokens"), {}
            by_vector[name] = one.sum_up(found)
            counted += sum(place.records for place in found)
    except AppError as error:
        return _unknown(f"not known: {error}"), {}
    words = f"texts in which they were counted: {counted:,}"
    if not counted:
        words = "there are no texts to embed"
    return _figure(extrapolation.add(list(by_vector.values())), words), by_vector


def _list_embedded(outlook: Outlook) -> dict[str, _Embedded]:
    """Returns the vectors for which a model may have to embed texts, by name."""
    work = outlook.work
    if work is None or work.texts is None:
        return {}
    return {
        name: _Embedded(
            maker=maker,
            number=work.texts[name],
            examples=work.examples[name] or work.others[name],
            complete=work.complete,
            spread=work.spread,
        )
        for name, maker in (outlook.makers or {}).items()
        if maker.embedder is not None and name in work.texts and work.texts[name].high > 0
    }


def _count_in_time(
    count: Callable[[str], int | None], places: Sequence[Sequence[str]], most: int
) -> list[Place] | None:
    """Counts at most so many texts, and as many as there is time for, but one at least: one of each
    place before a second one of any. None if they cannot be counted."""
    ends = time.monotonic() + _LONGEST
    counted = [0] * len(places)
    total = [0] * len(places)
    rounds = zip_longest(*places)
    texts = ((at, text) for found in rounds for at, text in enumerate(found) if text is not None)
    for at, text in islice(texts, most):
        number = count(text)
        if number is None:
            return None
        counted[at] += 1
        total[at] += number
        if time.monotonic() >= ends:
            break
    return [Place(*one) for one in zip(counted, total, strict=True) if one[0]]


# --- how long it takes ----------------------------------------------------------------------------


def estimate_seconds(
    services: Services, alias: str, prepared: Prepared, outlook: Outlook
) -> Figure:
    work = outlook.work
    if outlook.way is None and work is not None:
        return _figure(extrapolation.exactly(0), outlook.unknown)
    if outlook.way is None or work is None:
        return _unknown(outlook.unknown)
    if work.records is None or work.texts is None:
        return _unknown(_why_no_texts(work))
    models = {model.model for model in prepared.spec.models}
    with services.sessions() as session:
        paces = list_paces(session, alias, outlook.way.name, models)
    texts = extrapolation.add(list(work.texts.values()))
    found = extrapolation.estimate_seconds(paces, work.records, texts)
    if found is not None:
        return _figure(found, _name_pace(paces))
    return _measure_seconds(services, outlook)


def _name_pace(paces: Sequence[Measured]) -> str:
    if len(paces) == 1:
        return "at the pace of the last deployment; a single one does not say how paces differ"
    return f"at the paces of the last {len(paces)} deployments that were filled in this way"


def _measure_seconds(services: Services, outlook: Outlook) -> Figure:
    """Embeds a few texts, because no deployment has shown a pace yet."""
    parts = []
    embedded = 0
    hosted = False
    try:
        for one in _list_embedded(outlook).values():
            if not one.examples:
                return _unknown(_NO_EXAMPLE)
            found = _measure_pace(one.maker, one.pick_texts(_EMBEDDED))
            parts.append(extrapolation.estimate_sum(one.number, found, spread=one.spread))
            embedded += sum(group.records for group in found)
            hosted = hosted or bool(_provider_of(services, one.maker))
    except AppError as error:
        return _unknown(f"not known: {error}")
    if not parts:
        return _unknown("no deployment of this index has been filled in this way yet")
    total = extrapolation.add(parts)
    low = total.low / max(1, outlook.slices)
    words = (
        f"embedding alone, measured with {embedded:,} texts by this process: reading, writing and "
        "indexing are not in it, because no deployment has shown their pace yet"
    )
    if outlook.slices > 1:
        words += f"; {outlook.slices} workers may need less"
    if hosted:
        low = 0.0
        words += "; full requests, several at a time, are faster, nobody knows by how much"
    return _figure(Interval(total.value, low, total.high), words)


def _measure_pace(maker: Maker, texts: Sequence[str]) -> list[Place]:
    """Returns groups of texts and their seconds, as many as there is time for. The first group is
    left out if others follow, because the model may be loaded for it."""
    ends = time.monotonic() + _LONGEST
    found = []
    for start in range(0, len(texts), _GROUP):
        group = texts[start : start + _GROUP]
        began = time.monotonic()
        maker.documents(group)
        found.append(Place(len(group), time.monotonic() - began))
        if time.monotonic() >= ends:
            break
    return found[1:] or found


def estimate_watching(prepared: Prepared) -> Figure:
    lasting = [
        duration
        for step in prepared.steps
        if not step.skipped and (duration := step.lasts(prepared.spec, step.arguments)) is not None
    ]
    low = sum(one.low for one in lasting)
    high = sum(one.high for one in lasting)
    words = (
        ", ".join(dict.fromkeys(one.source for one in lasting)) or "no step waits by its settings"
    )
    return _figure(Interval(low, low, high), words)


def find_workers(services: Services, prepared: Prepared) -> PlannedWorkers:
    filling = next((step for step in prepared.steps if _fills(step)), None)
    if filling is None:
        return {"queue": None, "names": [], "note": "no step of this plan fills a collection"}
    with services.sessions() as session:
        known = list_known_workers(session, services.clock.now(session))
    names = [one.name for one in known if one.answers and filling.queue in one.queues]
    return {"queue": filling.queue, "names": names, "note": "" if names else _NO_WORKER}


def _fills(step: Step) -> bool:
    return step.traits.fills_green and not step.traits.catches_up


# --- what it needs and costs ----------------------------------------------------------------------


def compare_room(services: Services, outlook: Outlook) -> tuple[Room, Room, list[str]]:
    """Returns the need of disk and of memory beside what is free, and what is clearly missing."""
    try:
        free = services.store.room()
    except AppError as error:
        return *_unknown_room(FreeRoom(), f"not known: {error}"), []
    work = outlook.work
    if outlook.way is None and work is not None:
        nothing = _figure(extrapolation.exactly(0), outlook.unknown)
        return {"needed": nothing, "free": free.disk}, {"needed": nothing, "free": free.memory}, []
    if outlook.green is None or work is None or work.records is None:
        return *_unknown_room(free, "the number of records is not known"), []
    try:
        server = services.store.server()
    except AppError as error:
        return *_unknown_room(free, f"not known: {error}"), []
    size = room.payload_bytes(work.payloads)
    points = max(1, math.ceil(work.records.value))
    estimate = room.estimate_need
    if outlook.way is not None and outlook.way.clones:
        estimate = room.estimate_clone
    need = estimate(outlook.green.schema, points, size, server)
    least = estimate(outlook.green.schema, math.floor(work.records.low), size, server)
    words = "at least: payload indexes, sparse vectors and multivectors are not in it"
    if free.disk is None and free.memory is None:
        words += "; the server does not tell what is free"
    disk, memory = (
        _figure(extrapolation.multiply(work.records, extrapolation.exactly(of_all / points)), words)
        for of_all in (need.disk, need.memory)
    )
    if server.embedded:
        memory = _unknown("the embedded store lives in the memory of its process")
    short = room.lacks(least, free)
    warnings = [f"the server has too little room: {short}"] if short else []
    return {"needed": disk, "free": free.disk}, {"needed": memory, "free": free.memory}, warnings


def _unknown_room(free: FreeRoom, why: str) -> tuple[Room, Room]:
    return {"needed": _unknown(why), "free": free.disk}, {
        "needed": _unknown(why),
        "free": free.memory,
    }


def estimate_cost(services: Services, outlook: Outlook, tokens: Mapping[str, Interval]) -> Figure:
    work = outlook.work
    if work is None or work.texts is None:
        return _unknown("the number of texts is not known")
    paid = {
        name: provider
        for name, one in _list_embedded(outlook).items()
        if (provider := _provider_of(services, one.maker))
    }
    if not paid:
        return _figure(extrapolation.exactly(0), "no text goes to a provider")
    providers = services.providers()
    parts = []
    for name, provider in paid.items():
        price = providers[provider].price_per_million_tokens
        if price is None:
            return _unknown(f"providers.{provider}.price_per_million_tokens is not declared")
        if name not in tokens:
            return _unknown("the number of tokens is not known")
        parts.append(extrapolation.multiply(tokens[name], extrapolation.exactly(price / 1e6)))
    named = ", ".join(dict.fromkeys(paid.values()))
    return _figure(extrapolation.add(parts), f"at the declared price of {named}")


def _provider_of(services: Services, maker: Maker) -> str:
    """Returns the provider of the index file that embeds for this maker; empty if there is none."""
    if maker.by.embedding is None:
        return ""
    kind, colon, _ = maker.by.embedding.model.partition(":")
    return kind if colon and kind in services.providers() else ""


# --- figures --------------------------------------------------------------------------------------


def _figure(found: Interval, source: str) -> Figure:
    shown = estimates.show_interval(found)
    return {**shown, "source": source}  # type: ignore[typeddict-item]


def _unknown(why: str) -> Figure:
    return {"value": None, "low": None, "high": None, "source": why}
