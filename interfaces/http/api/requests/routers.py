"""What routers in other processes send: one model for each request.

A field that this release does not know is left out, because an application may be newer than the
server. Feedback has no such rule: a misspelt ``user_id`` would count for nobody.
"""

from collections import Counter
from typing import Annotated, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from qdrant_rollouts.core.routing import exposures
from qdrant_rollouts.core.routing.exposures import Person, ServedList
from qdrant_rollouts.core.routing.traffic import TrafficKey
from qdrant_rollouts.core.statistics.assignment import BASIS
from qdrant_rollouts.core.statistics.groups import GROUPS
from qdrant_rollouts.core.statistics.histogram import BUCKETS
from qdrant_rollouts.core.statistics.traffic_sketch import TrafficSketch
from qdrant_rollouts.interfaces.http.api.endpoint import Body
from qdrant_rollouts.interfaces.http.api.requests.experiments import FeedbackRequest
from qdrant_rollouts.interfaces.http.api.requests.fields import Name, Number, Word

MOST_OBSERVATIONS = 1000
MOST_CELLS = 50_000
MOST_USERS = 2000
MOST_FEEDBACK = 200
_MOST_SERVED = 10_000
_LARGEST = 2**31 - 1

#: ``HOST:PID:RANDOM``, or anything else with a colon: names without one belong to folded rows.
RouterName = Annotated[
    str,
    StringConstraints(min_length=3, max_length=200, pattern=r"^[!-~]+:[!-~]+$"),
    Field(description="Names the router's process: another text after each start, with a colon."),
]
BatchNumber = Annotated[
    int,
    Field(
        ge=1,
        le=_LARGEST,
        description="Higher than that of the router's last batch of this kind. A batch that is "
        "sent again with its number counts once.",
    ),
]
Group = Annotated[int, Field(ge=0, lt=GROUPS)]
LatencyBucket = Annotated[int, Field(ge=0, lt=BUCKETS)]
Count = Annotated[int, Field(ge=0, le=_LARGEST)]
Calls = Annotated[int, Field(ge=1, le=_LARGEST)]
Sum = Annotated[Number, Field(ge=0)]
Unit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{24}$")]


class Report(Body):
    model_config = ConfigDict(extra="ignore")


class ServedRoutesRequest(Report):
    router: RouterName
    serves: Annotated[dict[Name, Count], Field(max_length=_MOST_SERVED)] = Field(
        description="The version of each route that it searches by; none if it ends."
    )


class Cells(Report):
    """Lists of equal length: in the group at a place so many calls took as long as the bucket at
    that place."""

    groups: Annotated[list[Group], Field(max_length=MOST_CELLS)]
    buckets: Annotated[list[LatencyBucket], Field(max_length=MOST_CELLS)]
    calls: Annotated[list[Calls], Field(max_length=MOST_CELLS)]

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if not len(self.groups) == len(self.buckets) == len(self.calls):
            raise ValueError("expected lists of groups, buckets and calls that are equally long")
        return self


class GroupCalls(Report):
    """Lists of equal length: so many calls of the group at a place."""

    groups: Annotated[list[Group], Field(max_length=GROUPS)] = Field(default_factory=list)
    calls: Annotated[list[Calls], Field(max_length=GROUPS)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if len(self.groups) != len(self.calls):
            raise ValueError("expected lists of groups and calls that are equally long")
        return self

    def count(self) -> Counter[int]:
        found: Counter[int] = Counter()
        for group, calls in zip(self.groups, self.calls, strict=True):
            found[group] += calls
        return found


class Sketch(Report):
    """``failed`` and ``nothing`` are calls among those of ``cells`` that failed, and that found
    nothing."""

    cells: Cells
    failed: GroupCalls = Field(default_factory=GroupCalls)
    nothing: GroupCalls = Field(default_factory=GroupCalls)
    seconds: Sum = Field(0, description="Of all calls together, without embedding.")
    embedding: Sum = Field(0, description="Seconds in which texts of searches were embedded.")
    embedded: Count = Field(0, description="Calls with a text that was embedded.")
    fallbacks: Count = Field(0, description="Failed calls that blue answered instead.")
    anonymous: Count = Field(0, description="Calls without a user.")
    pairs: Count = Field(0, description="Shadow: answers that were compared.")
    overlap: Sum = 0
    overlap_squares: Sum = 0
    log_ratio: Number = 0
    log_ratio_squares: Sum = 0

    @model_validator(mode="after")
    def _check_counts(self) -> Self:
        calls: Counter[int] = Counter()
        for group, number in zip(self.cells.groups, self.cells.calls, strict=True):
            calls[group] += number
        if not (self.failed.count() <= calls and self.nothing.count() <= calls):
            raise ValueError("failed and nothing: expected at most as many calls as cells has")
        return self

    def as_tally(self) -> TrafficSketch:
        found = TrafficSketch.from_json(self.model_dump(exclude={"cells", "failed", "nothing"}))
        cells = zip(self.cells.groups, self.cells.buckets, self.cells.calls, strict=True)
        for group, bucket, calls in cells:
            found.cells[group, bucket] += calls
        found.failed = self.failed.count()
        found.nothing = self.nothing.count()
        return found


class Observation(Report):
    alias: Name
    stage: Annotated[str, StringConstraints(max_length=200)] = Field(
        description="The `stage` of the route that the searches followed."
    )
    variant: Word
    kind: Annotated[str, StringConstraints(pattern="^(real|synthetic|shadow|bypassed)$")] = "real"
    collection: Name
    sketch: Sketch

    def key(self) -> TrafficKey:
        return TrafficKey(self.alias, self.stage, self.variant, self.kind, self.collection)


class ObservationsRequest(Report):
    router: RouterName
    batch: BatchNumber
    observations: Annotated[list[Observation], Field(max_length=MOST_OBSERVATIONS)]

    def tallies(self) -> dict[TrafficKey, TrafficSketch]:
        found: dict[TrafficKey, TrafficSketch] = {}
        for one in self.observations:
            found.setdefault(one.key(), TrafficSketch()).merge(one.sketch.as_tally())
        return found


class Latencies(Report):
    """Lists of equal length: so many searches took as long as the bucket at a place."""

    buckets: Annotated[list[LatencyBucket], Field(max_length=BUCKETS)]
    calls: Annotated[list[Calls], Field(max_length=BUCKETS)]

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if len(self.buckets) != len(self.calls):
            raise ValueError("expected lists of buckets and calls that are equally long")
        return self


class UserSearches(Report):
    experiment: Word
    unit: Unit = Field(description="The hash that names the user in this experiment.")
    variant: Word
    stage: Annotated[int, Field(ge=0, le=_LARGEST)]
    collection: Name
    bucket: Annotated[int, Field(ge=0, lt=BASIS)]
    group: Group
    searches: Calls = 1
    errors: Count = 0
    zero_results: Count = 0
    log_ms: Number = Field(0, description="The sum of ln(milliseconds) of the searches.")
    latencies: Latencies
    crossed: bool = Field(False, description="Whether several arms served the user.")

    def person(self) -> Person:
        return Person(self.experiment, self.unit)

    def seen(self) -> exposures.UserSearches:
        return exposures.UserSearches(
            variant=self.variant,
            stage=self.stage,
            collection=self.collection,
            bucket=self.bucket,
            group=self.group,
            searches=self.searches,
            errors=self.errors,
            zero_results=self.zero_results,
            log_ms=self.log_ms,
            latencies=Counter(dict(zip(self.latencies.buckets, self.latencies.calls, strict=True))),
            crossed=self.crossed,
        )


class ServedDocument(Report):
    document: Annotated[str, StringConstraints(max_length=2000)] | int
    credit: Annotated[int, Field(ge=-1, le=1)] = Field(
        description="Of a click: 1 for the treatment, -1 for the control, 0 for neither."
    )


class InterleavedList(Report):
    experiment: Word
    unit: Unit
    query_id: Word
    served: Annotated[list[ServedDocument], Field(max_length=1000)]

    def key(self) -> tuple[Person, str]:
        return Person(self.experiment, self.unit), self.query_id

    def documents(self) -> ServedList:
        return [[one.document, one.credit] for one in self.served]


class ExposuresRequest(Report):
    router: RouterName
    batch: BatchNumber
    users: Annotated[list[UserSearches], Field(max_length=MOST_USERS)] = Field(default_factory=list)
    lists: Annotated[list[InterleavedList], Field(max_length=MOST_USERS)] = Field(
        default_factory=list
    )

    def people(self) -> dict[Person, exposures.UserSearches]:
        found: dict[Person, exposures.UserSearches] = {}
        for one in self.users:
            if one.person() in found:
                found[one.person()].merge(one.seen())
            else:
                found[one.person()] = one.seen()
        return found


class KeyedFeedback(FeedbackRequest):
    experiment: Word
    key: Word = Field(description="Names this piece of feedback: sent twice, it is counted once.")


class FeedbackBatchRequest(Body):
    feedback: Annotated[list[KeyedFeedback], Field(min_length=1, max_length=MOST_FEEDBACK)]
    patient: bool = Field(
        False,
        description="Of a user whose exposure has not arrived yet count nothing, so that the "
        "feedback can be sent again.",
    )
