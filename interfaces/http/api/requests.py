"""What requests may contain: one model for each. The models check requests, and are their
documentation."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from qdrant_rollouts.core.defaults import (
    COMPARED,
    GRACE_MINUTES,
    INDEXES,
    LONGEST_GRACE_MINUTES,
    MOST,
    ORPHANS_MINUTES,
    RESULTS,
    ROWS,
    SPLIT,
)
from qdrant_rollouts.core.lifecycle import Status
from qdrant_rollouts.core.operations.asking.bounds import (
    LONGEST_QUERY,
    LONGEST_REASON,
    MOST_ANSWERS,
    MOST_RELEVANT,
)
from qdrant_rollouts.core.ports.messages import Severity
from qdrant_rollouts.core.ports.naming import LONGEST_NAME
from qdrant_rollouts.core.records.requests import MOST_IDS, MOST_RECORDS
from qdrant_rollouts.core.times import convert_to_utc
from qdrant_rollouts.interfaces.http.api.endpoint import Body, Query

Text = Annotated[str, StringConstraints(max_length=2000)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=200)]
#: Of an alias or a collection, which others may have named.
Name = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Limit = Annotated[int, Field(ge=1, le=MOST, description="How many.")]
Alias = Annotated[Name | None, Field(description="Only those of this index.")]
Share = Annotated[float, Field(gt=0, lt=1)]
Metrics = Annotated[list[Word | dict[str, Any]], Field(max_length=50)] | None


class Reasoned(Body):
    reason: Text = Field("", description="Why; kept with the audit events.")


class RollingBack(Reasoned):
    to: Name | None = Field(
        None,
        description="A version: its number or collection. Without it, the last one that served and "
        "that no rollback has left and nobody has marked bad.",
    )
    force: bool = Field(False, description="Go to the version `to` although it is marked bad.")
    now: bool = Field(
        False,
        description="Move the alias first. What was written to the live collection since stays "
        "there and is listed.",
    )


class MarkedVersion(Reasoned):
    version: Name = Field(description="Its number or collection.")
    bad: bool = Field(True, description="False takes the mark back. A bad one needs a reason.")


class Paged(Query):
    alias: Alias = None
    limit: Limit = ROWS
    after: Word | None = Field(None, description="The `next` of the page before.")


class Indexes(Query):
    limit: Limit = INDEXES
    after: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME + 2)] | None = (
        Field(None, description="The `next` of the page before: a rank, a colon and a name.")
    )


class Deployments(Paged):
    status: Status | None = None


class Log(Query):
    level: Literal["info", "warning", "error"] = Field(
        "info", description="The least serious lines that are wanted."
    )


Before = Annotated[
    Annotated[int, Field(ge=1, le=2**62)] | None,
    Field(description="The `next` of the page before."),
]
#: Without a zone it is UTC.
Time = Annotated[datetime, AfterValidator(convert_to_utc)] | None


class Events(Query):
    alias: Alias = None
    deployment: Word | None = Field(None, description="Only those of this deployment.")
    event: Word | None = Field(
        None, description="A kind such as `deployment.live`, or its first part: `deployment`."
    )
    actor: Word | None = Field(None, description="Part of the actor's name.")
    text: Word | None = Field(None, description="Part of what happened, or of the reason.")
    since: Time = Field(None, description="Only those from then on.")
    until: Time = Field(None, description="Only those up to then.")
    limit: Limit = ROWS
    before: Before = None


class OfIndex(Query):
    alias: Alias = None


class Listed(OfIndex):
    limit: Limit = ROWS


class WantedAlerts(Listed):
    severity: Severity | None = None
    alert: Word | None = Field(
        None, description="A name such as `deployment.failed`, or its first part: `deployment`."
    )
    since: Time = Field(None, description="Only those that were sent from then on.")
    before: Before = None


class Difference(Query):
    one: Name = Field(description="A version: its number or collection.")
    other: Name = Field(description="The version it is compared with.")
    sample: Annotated[int, Field(ge=1, le=10_000)] = Field(
        COMPARED, description="Records to compare."
    )


class Charted(Query):
    period: Literal["1h", "6h", "24h", "7d", "30d", "90d"] = Field(
        "24h", description="How long until now: up to a day by minutes, after that by hours."
    )


#: A query of a person, as it is asked and judged.
Asked = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_QUERY)]
#: Names of versions; empty means the default.
Side = Annotated[str, StringConstraints(max_length=LONGEST_NAME)]


class AskedBoth(Query):
    query: Asked
    left: Side = Field(
        "", description="A version: its number or collection. Without it, what serves."
    )
    right: Side = Field(
        "",
        description="The other version. Without it, what a running deployment has built, else the "
        "version before the live one.",
    )
    limit: Annotated[int, Field(ge=1, le=MOST_ANSWERS)] = Field(
        RESULTS, description="How many answers of each."
    )


_RecordId = int | Annotated[str, StringConstraints(min_length=1, max_length=2000)]
_Grade = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class TakenOut(Reasoned):
    query: Asked


class Judgment(Body):
    query: Asked
    relevant: (
        Annotated[list[_RecordId], Field(min_length=1, max_length=MOST_RELEVANT)]
        | Annotated[dict[str, _Grade], Field(min_length=1, max_length=MOST_RELEVANT)]
    ) = Field(description="As in the judged file: ids of records, or ids with grades from 0.")
    reason: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_REASON)] = Field(
        description="Why they are relevant; kept with the line and the events."
    )


#: Maximum numbers of a vector or of a row, and rows of a multivector, in one search.
_NUMBERS = 65_536
_ROWS = 4_096
_LARGEST = 3.4028234663852886e38
_ROW = {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": _NUMBERS}
_INDEX = {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}
_SPARSE = {
    "type": "object",
    "properties": {
        "indices": {"type": "array", "items": _INDEX, "maxItems": _NUMBERS, "uniqueItems": True},
        "values": {"type": "array", "items": {"type": "number"}, "maxItems": _NUMBERS},
    },
    "required": ["indices", "values"],
    "additionalProperties": False,
}
_ANY_KIND = {
    "anyOf": [_ROW, {"type": "array", "items": _ROW, "minItems": 1, "maxItems": _ROWS}, _SPARSE]
}


def _any_kind(value: Any) -> Any:
    """Gives one message for every kind of vector; pydantic's union would name the kinds in the
    path."""
    if value is None or _is_row(value) or _is_sparse(value):
        return value
    if (
        isinstance(value, list)
        and 0 < len(value) <= _ROWS
        and all(map(_is_row, value))
        and len(set(map(len, value))) == 1
    ):
        return value
    raise ValueError(
        f"expected 1 to {_NUMBERS} finite numbers, for a multivector 1 to {_ROWS} equally long "
        "lists of them, for a "
        "sparse vector an object of indices and as many values"
    )


def _is_row(value: Any) -> bool:
    return isinstance(value, list) and 0 < len(value) <= _NUMBERS and all(map(_is_number, value))


def _is_sparse(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() != {"indices", "values"}:
        return False
    indices = value["indices"]
    values = value["values"]
    if not isinstance(indices, list) or not isinstance(values, list) or len(indices) > _NUMBERS:
        return False
    fit = all(type(index) is int and 0 <= index < 2**32 for index in indices) and all(
        map(_is_number, values)
    )
    return fit and len(set(indices)) == len(indices) == len(values)


def _is_number(value: Any) -> bool:
    """A number beyond float32 would become infinite."""
    return type(value) in {int, float} and abs(value) <= _LARGEST


AnyVector = Annotated[Any, BeforeValidator(_any_kind), WithJsonSchema(_ANY_KIND)]


class Searching(Body):
    query: Annotated[str, StringConstraints(min_length=1, max_length=20_000)] | None = Field(
        None, description="A text, embedded with the model of whatever collection answers."
    )
    vector: AnyVector = Field(
        None,
        description="Instead of `query`: of the kind that is searched, dense, a multivector or "
        "sparse.",
    )
    user_id: Word | None = Field(
        None, description="Whose search it is: one user is answered by the same collection."
    )
    limit: Limit = RESULTS

    @property
    def asked(self) -> Any:
        """Returns the text or the vector; exactly one of them is set."""
        asked = self.vector if self.query is None else self.query
        assert asked is not None
        return asked

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.query is None) == (self.vector is None):
            raise ValueError("expected either query or vector")
        return self


class Search(Searching):
    query_id: Annotated[str, StringConstraints(max_length=200)] = Field(
        "",
        description="The name of a search on two lists that were drafted into one; clicks are "
        "reported with it.",
    )
    filter: dict[str, Any] | None = Field(None, description="As Qdrant's REST API spells it.")
    using: Annotated[str, StringConstraints(max_length=LONGEST_NAME)] | None = Field(
        None, description="Another vector's name."
    )
    score_threshold: Number | None = None
    offset: Annotated[int, Field(ge=0, le=10_000)] = 0


class Records(Body):
    records: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MOST_RECORDS)] = Field(
        description="As in a jsonl source of the index: `id`, the fields of its text template, and "
        "others. A patch has only `id` and what changes."
    )


class RecordIds(Body):
    ids: Annotated[list[int | str], Field(min_length=1, max_length=MOST_IDS)] = Field(
        description="Those of the records, as their source gives them."
    )


class PlannedDeployment(Body):
    source: Text | None = Field(
        None,
        description="As in the index file, `python:` and `sql:` excepted; else the index file's.",
    )
    collection: Name | None = Field(
        None, description="Take this collection instead of building one."
    )
    strategy: Word | None = None
    validation_queries: Annotated[list[Text], Field(max_length=1000)] | None = None
    rollback_on_failure: bool | None = None
    options: dict[str, Any] = Field(
        default_factory=dict,
        description='Settings as in the index file, laid over it: `{"soak": {"seconds": 60}}`.',
    )

    @property
    def asked(self) -> dict[str, Any]:
        """Returns the arguments of the core's functions that start and plan a deployment."""
        return {
            "source": self.source,
            "strategy": self.strategy,
            "queries": self.validation_queries,
            "rollback_on_failure": self.rollback_on_failure,
            "collection": self.collection,
            "options": self.options,
        }


class Deploy(Reasoned, PlannedDeployment):
    alias: Name


class Abort(Reasoned):
    keep: bool = Field(False, description="Ends the watch and leaves the new collection serving.")


class Promote(Reasoned):
    full: bool = Field(
        False, description="Past every stage and watch that is left; needs a reason, skips no gate."
    )


class NewAlias(Reasoned):
    alias: Name
    collection: Name
    force: bool = Field(False, description="Repoint an alias that points elsewhere.")


class Switch(Reasoned):
    collection: Name
    delete_old: bool = Field(
        False, description="Delete the old collection by the index's own rule."
    )


class Delete(Reasoned):
    grace_period_minutes: Annotated[Number, Field(ge=0, le=LONGEST_GRACE_MINUTES)] | None = Field(
        None,
        description=f"If not told, what its index says, and {GRACE_MINUTES:g} where it is of none.",
    )


class Adopt(Reasoned):
    collection: Name | None = Field(None, description="Another than the one the alias points to.")
    trust: bool = Field(
        False, description="Take the declared model though it makes other vectors than are stored."
    )


class Collect(Reasoned):
    orphans: bool = Field(
        False,
        description=f"Delete orphans too, {ORPHANS_MINUTES:g} minutes from now; look at them "
        "first.",
    )


class Planned(Body):
    rate: Number | None = Field(
        None, description="The primary metric now, as a share of users or with `deviation`."
    )
    deviation: Number | None = Field(
        None, description="How far users differ in it: one standard deviation."
    )
    users_per_day: Number | None = Field(None, description="New users a day.")
    split: Share = Field(SPLIT, description="The treatment's share.")
    metrics: Metrics = None
    options: dict[str, Any] = Field(
        default_factory=dict, description="Further settings of the experiment."
    )


class NewExperiment(Reasoned):
    name: Word
    control: Name
    treatments: Annotated[list[Name], Field(min_length=1, max_length=10)]
    alias: Name | None = None
    split: Share = Field(SPLIT, description="The share of the treatments together.")
    metrics: Metrics = None
    options: dict[str, Any] = Field(
        default_factory=dict, description="Further settings of the experiment."
    )
    start: bool = True


class Widen(Reasoned):
    coverage: Annotated[int, Field(ge=1, le=10_000)] = Field(
        description="Basis points of the users."
    )


class Feedback(Body):
    metric: Word
    value: Number
    variant: Annotated[str, StringConstraints(max_length=200)] = ""
    user_id: Word | None = None
    key: Word | None = Field(
        None, description="Names this piece of feedback: given twice, it is counted once."
    )
    query_id: Annotated[str, StringConstraints(max_length=200)] = ""
    document: Annotated[str, StringConstraints(max_length=2000)] | int = ""


class NewBackup(Reasoned):
    alias: Name
    keep: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None,
        description="Of this alias so many are left; the oldest are removed when this one is made.",
    )


class Times(Reasoned):
    """Keys that are not sent keep their values."""

    cron: Word | None = None
    zone: Word | None = None
    misfire: Literal["once", "skip"] | None = None
    late_after_minutes: Annotated[Number, Field(ge=0)] | None = None
    jitter_minutes: Annotated[Number, Field(ge=0, le=1440)] | None = None
    overlap: Literal["skip", "wait"] | None = None
    if_paused: Literal["replace", "skip"] | None = Field(None, description="Of a rebuild only.")
    success_within_hours: Annotated[Number, Field(gt=0)] | None = None


class TestAlert(Reasoned):
    channel: Word | None = Field(
        None, description="One channel of the index file, else all of them."
    )
