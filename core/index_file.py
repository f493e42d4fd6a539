"""The index file: what people declare about an index, validated once, at the edge.

A wrong key, type or value is refused with its path, the value and what was expected.
"""

import math
import re
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    field_validator,
    model_validator,
)

from core import cron
from core.alert_spec import AlertsSpec
from core.errors import Malformed, Refused
from core.experiments.assignment import share_of
from core.naming import check_name

# Strict: "yes" is no duration and true is no number, whatever a lenient reading makes of them.
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
Count = Annotated[int, Field(ge=0, strict=True)]
AtLeastOne = Annotated[int, Field(ge=1, strict=True)]

Model = TypeVar("Model", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class ChunkSpec(_Strict):
    """How documents are cut into chunks; ``field`` defaults to the last of the template, ``max_tokens`` to what the
    model reads. Both counts are of the model's tokens."""

    field: str | None = None
    max_tokens: Annotated[int, Field(ge=16, strict=True)] | None = None
    overlap: Count = 0


class EmbeddingSpec(_Strict):
    """Which model turns a record into a vector. ``text`` is a template over the record's fields, plain names only."""

    model: str
    revision: str | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    text: str = "{text}"
    #: Name of the collection's vector; empty is the unnamed one.
    vector: str = ""
    #: Documents longer than the model reads become several points; see ``core.chunks``.
    chunk: ChunkSpec | None = None

    @field_validator("text")
    @classmethod
    def _plain_names(cls, text: str) -> str:
        if not template_fields(text):
            raise ValueError("expected at least one {field}")
        return text

    @model_validator(mode="after")
    def _field_of_the_template(self) -> Self:
        names = template_fields(self.text)
        if self.chunk is not None and self.chunk.field not in {None, *names}:
            raise ValueError(f"chunk.field is {self.chunk.field!r}; expected a field of text: {', '.join(names)}")
        return self


class CollectionSpec(_Strict):
    """Vector settings that differ from the live collection's, or from the server's defaults on a first deployment."""

    distance: Literal["Cosine", "Dot", "Euclid", "Manhattan"] | None = None
    datatype: Literal["float32", "float16", "uint8"] | None = None
    on_disk: StrictBool | None = None
    hnsw: dict[str, int | bool] | None = None
    quantization: dict[str, Any] | None = None
    shard_number: AtLeastOne | None = None
    replication_factor: AtLeastOne | None = None
    on_disk_payload: StrictBool | None = None
    payload_indexes: dict[str, str | dict[str, Any]] = {}


def _score(value: Any) -> Any:
    """One message for both kinds of value; a union would name the kinds in the path."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value == "calibrated" or (number and -1 <= value <= 1):
        return value
    raise ValueError('expected a number from -1 to 1, or "calibrated"')


class SamplesSpec(_Strict):
    """How much evidence the gate takes; ``judged`` is the fewest judged queries that may decide anything."""

    records: AtLeastOne = 300
    queries: AtLeastOne = 300
    judged: AtLeastOne = 50


class CheckSpec(_Strict):
    """``bound`` replaces the check's own; ``accept_inconclusive`` lets a deployment go on where it cannot tell."""

    bound: Annotated[float, Field(allow_inf_nan=False, strict=True)] | None = None
    accept_inconclusive: StrictBool = False


def _said(value: Any) -> Any:
    """The same: true, false, a bound, or both settings by name."""
    if isinstance(value, bool | Mapping | CheckSpec) or (isinstance(value, int | float) and math.isfinite(value)):
        return CheckSpec.model_validate(value) if isinstance(value, Mapping) else value
    raise ValueError("expected true, false, a number as the bound, or keys bound and accept_inconclusive")


def _asks(text: str) -> str:
    if not text.strip():
        raise ValueError("expected text to search for")
    return text


class ValidationSpec(_Strict):
    queries: tuple[Annotated[str, AfterValidator(_asks)], ...] = ()
    min_results: AtLeastOne = 5
    min_top_score: Annotated[float | Literal["calibrated"], BeforeValidator(_score)] = 0.7
    #: A JSONL file of ``query`` and ``relevant``; see ``core.evidence.judged``.
    judged: str | None = None
    checks: dict[str, Annotated[bool | float | CheckSpec, BeforeValidator(_said)]] = {}
    slices: tuple[str, ...] = ()
    samples: SamplesSpec = SamplesSpec()
    seed: Count = 7
    budget_seconds: Positive = 1800
    live_searches_per_second: Annotated[float, Field(ge=1, allow_inf_nan=False, strict=True)] = 100

    def check(self, name: str) -> CheckSpec | None:
        """What the file says of a check, in the long form; None if it is switched off or not named."""
        said = self.checks.get(name, False)
        if isinstance(said, CheckSpec):
            return said
        if said is False:
            return None
        return CheckSpec() if said is True else CheckSpec(bound=float(said))


class SoakSpec(_Strict):
    seconds: Seconds = 300
    interval_seconds: Positive = 10
    max_errors: Count = 5


class Stage(_Strict):
    """A share of the searches for a time. ``shadow`` asks green unseen instead; users see blue only."""

    percentage: Annotated[float, Field(ge=0, le=100, strict=True)]
    duration_minutes: Seconds
    shadow: StrictBool = False

    @model_validator(mode="after")
    def _shows_something(self) -> Self:
        if self.shadow != (self.percentage == 0):
            raise ValueError("a stage of 0 % needs shadow: true, and only such a stage may have it")
        share_of(self.percentage)
        return self


class BreakersSpec(_Strict):
    """What rolls a canary back without statistics: see ``core.experiments.canary``."""

    error_rate: Annotated[float, Field(gt=0, le=1, strict=True)] = 0.05
    calls: AtLeastOne = 200
    errors: AtLeastOne = 20
    mean_latency_ms: Positive = 200
    looks: AtLeastOne = 10


class MarginsSpec(_Strict):
    """How much worse than blue is still not worse: of p95 as a share, of the error rate as a difference."""

    p95: Positive = 0.10
    error_rate: Positive = 0.005


class CanarySpec(_Strict):
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)] = (
        Stage(percentage=5, duration_minutes=30),
        Stage(percentage=25, duration_minutes=60),
        Stage(percentage=50, duration_minutes=120),
        Stage(percentage=100, duration_minutes=0),
    )
    look_seconds: Positive = 60
    #: A stage short of evidence is prolonged by at most so many times its duration.
    extension: Seconds = 1
    min_searches: AtLeastOne = 200
    min_users: AtLeastOne = 100
    margins: MarginsSpec = MarginsSpec()
    breakers: BreakersSpec = BreakersSpec()
    shadow_percentage: Annotated[float, Field(gt=0, le=100, strict=True)] = 10
    #: Ask green the validation queries at each look, besides what users ask; kept apart from it.
    probing: StrictBool = False

    @field_validator("stages")
    @classmethod
    def _rising(cls, stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
        shares = [stage.percentage for stage in stages]
        if shares != sorted(shares):
            raise ValueError("expected percentages that never fall: a share that is taken back is a rollback")
        return stages


class RetentionSpec(_Strict):
    """What is kept beyond the grace period; see ``core.keeping``."""

    versions: AtLeastOne | None = None
    days: Annotated[float, Field(gt=0, le=3650, allow_inf_nan=False, strict=True)] | None = None


def _line(line: str) -> str:
    cron.parse(line)
    return line


def _zone(name: str) -> str:
    cron.zone(name)
    return name


class ScheduleSpec(_Strict):
    """When something is done by itself: at the times that the cron line names in ``zone``."""

    cron: Annotated[str, AfterValidator(_line)]
    zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    #: Times that passed while nothing ran: made up for, all of them by one run, or left out once they are that late.
    misfire: Literal["once", "skip"] = "once"
    late_after_minutes: Seconds = 60
    #: What a time does that finds something under way on the index: left out, or its run begins after it.
    overlap: Literal["skip", "wait"] = "skip"
    #: Somebody is told when no run has succeeded for so long.
    success_within_hours: Positive | None = None


def _short(value: Any) -> Any:
    """A cron line by itself is a schedule with all else by default."""
    return {"cron": _line(value)} if isinstance(value, str) else value


Scheduled = Annotated[ScheduleSpec | None, BeforeValidator(_short)]


class IndexSpec(_Strict):
    """One entry of the index file, and what a deployment carries as its frozen settings."""

    source: str | None = None
    embedding: EmbeddingSpec | None = None
    collection: CollectionSpec = CollectionSpec()
    strategy: str = "blue_green"
    validation: ValidationSpec = ValidationSpec()
    soak: SoakSpec = SoakSpec()
    canary: CanarySpec = CanarySpec()
    grace_period_minutes: Seconds = 60
    retention: RetentionSpec = RetentionSpec()
    rebuild: Scheduled = None
    verify: Scheduled = None
    on_bad_record: Literal["fail", "skip"] = "fail"
    max_bad_records: Count = 100
    rollback_on_failure: StrictBool = True
    #: How long a step may wait for the outside, or wait without progress, before the deployment is rolled back.
    progress_deadline_seconds: Positive = 600

    def with_options(self, options: Mapping[str, Any], path: str = "options") -> Self:
        """This spec with ``options`` laid over it, key by key, sections merged. Raises Refused naming the bad path."""
        return validated(type(self), _merged(self.model_dump(mode="json"), options), path)


class ProviderSpec(_Strict):
    """An endpoint that embeds, of OpenAI's form. No request and no stamp can name one: where texts and key are sent is
    for the operator to say."""

    url: str
    #: The environment variable that holds the API key; without one none is sent.
    key: str | None = None
    #: Texts in a request.
    batch: AtLeastOne = 64

    @field_validator("url")
    @classmethod
    def _http(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
            raise ValueError("expected http(s)://HOST/v1 without user, password or query; the key stands in a variable")
        return url


class IndexFile(_Strict):
    indexes: dict[str, IndexSpec] = {}
    #: By the name that models are written with: ``NAME:model``.
    providers: dict[str, ProviderSpec] = {}
    alerts: AlertsSpec = AlertsSpec()

    @field_validator("providers")
    @classmethod
    def _free_names(cls, providers: dict[str, ProviderSpec]) -> dict[str, ProviderSpec]:
        taken = sorted({"hashing", "sentence-transformers"} & providers.keys())
        if taken:
            raise ValueError(f"{taken[0]} is served on this machine; expected another name")
        return providers

    @field_validator("indexes")
    @classmethod
    def _legal_names(cls, indexes: dict[str, IndexSpec]) -> dict[str, IndexSpec]:
        try:
            return {check_name("index", alias): spec for alias, spec in indexes.items()}
        except Refused as error:
            raise ValueError(str(error)) from None


def template_fields(template: str) -> tuple[str, ...]:
    """The record fields a text template names, each once, in order. Raises ValueError for all but plain ``{name}``."""
    names = []
    for _, name, spec, conversion in string.Formatter().parse(template):
        if name is None:
            continue
        if not name.isidentifier() or spec or conversion:
            raise ValueError(f"expected plain {{field}} names, found {{{name}}}")
        names.append(name)
    return tuple(dict.fromkeys(names))


def load_index_file(path: Path) -> IndexFile:
    """Reads and validates the index file; no file means no declared index. Raises Refused with path, value, bound."""
    if not path.exists():
        return IndexFile()
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)  # noqa: S506 - a SafeLoader subclass
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise Refused(f"{path}: cannot be read: {error}") from error
    try:
        return validated(IndexFile, {} if content is None else content, str(path))
    except Malformed as error:  # whoever asks for something has not written this file
        raise Refused(str(error)) from None


def validated(model: type[Model], content: Any, path: str) -> Model:
    """``content`` as ``model``; Malformed with one line for each fault: path, value, what was expected."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise Malformed("\n".join(_fault(path, fault) for fault in error.errors())) from None


def _fault(path: str, fault: Mapping[str, Any]) -> str:
    where = f"{path}: " + (".".join(str(part) for part in fault["loc"]) or "content")
    if fault["type"] == "extra_forbidden":
        return f"{where}: unknown key; remove it or correct its spelling"
    if fault["type"] == "missing":
        return f"{where}: missing; this key is required"
    return f"{where}: found {_CREDENTIALS.sub('//***@', repr(fault['input']))}; {expected(fault)}"


#: Of a URL that was put where none belongs.
_CREDENTIALS = re.compile(r"//[^/\s]*@")

#: What pydantic says in words of Python, in words of YAML.
_IN_YAML = {"tuple_type": "expected a list", "dict_type": "expected keys", "model_type": "expected keys"}


def expected(fault: Mapping[str, Any]) -> str:
    """What a value should have been, in words, for one of pydantic's faults."""
    return _IN_YAML.get(fault["type"]) or str(fault["msg"]).removeprefix("Value error, ")


def _merged(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        # An empty section replaces what was there: `quantization: {}` switches it off.
        nested = isinstance(value, Mapping) and value and isinstance(base.get(key), dict)
        result[key] = _merged(base[key], value) if nested else value
    return result


class _UniqueKeys(yaml.SafeLoader):
    """YAML's own loader lets a second equal key win in silence; this one refuses.

    It looks while composing: later, merge keys (``<<``) have legally brought in keys that are then overridden.
    """

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.composer.ComposerError(None, None, "a key must be plain text", key.start_mark)
            if key.value in seen:
                raise yaml.composer.ComposerError(None, None, f"key {key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
        return node
