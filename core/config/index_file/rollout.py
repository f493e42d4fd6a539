"""The declarations about going live: the soak, the stages of a canary, and what is kept."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StrictBool, ValidationInfo, field_validator, model_validator

from qdrant_rollouts.core.config.index_file.values import (
    AtLeastOne,
    Count,
    Positive,
    Seconds,
    Strict,
)
from qdrant_rollouts.core.statistics.assignment import share_of


class SoakSpec(Strict):
    seconds: Seconds = 300
    interval_seconds: Positive = 10
    max_errors: Count = 5


class Stage(Strict):
    """A share of the searches for a time. With ``shadow`` green gets copies of searches, and users
    see only blue."""

    percentage: Annotated[float, Field(ge=0, le=100, strict=True)]
    duration_minutes: Seconds
    shadow: StrictBool = False

    @model_validator(mode="after")
    def _check_shares(self) -> Self:
        if self.shadow != (self.percentage == 0):
            raise ValueError("a stage of 0 % needs shadow: true, and only such a stage may have it")
        share_of(self.percentage)
        return self


class BreakersSpec(Strict):
    """What rolls a canary back without statistics: see ``core.deployments.canary_judgment``.

    Green's mean latency may be ``times_blue`` of blue's, and ``mean_latency_ms`` in any case. With
    ``times_blue`` 0 blue does not matter. So it is if somebody declares ``mean_latency_ms`` alone:
    that is a promise to users, whatever blue does.
    """

    error_rate: Annotated[float, Field(gt=0, le=1, strict=True)] = 0.05
    calls: AtLeastOne = 200
    errors: AtLeastOne = 20
    mean_latency_ms: Positive = 200
    times_blue: Seconds = 1.5
    looks: AtLeastOne = 10

    @model_validator(mode="before")
    @classmethod
    def _keep_absolute(cls, content: Any) -> Any:
        """The rows of the release before have the limit in milliseconds alone, too."""
        if not isinstance(content, Mapping) or "mean_latency_ms" not in content:
            return content
        return {"times_blue": 0.0, **content}

    @field_validator("times_blue")
    @classmethod
    def _check_times(cls, times: float) -> float:
        if 0 < times < 1:
            raise ValueError("expected at least 1, or 0: blue's latency does not matter")
        return times


class MarginsSpec(Strict):
    """How much worse than blue still counts as not worse: for p95 as a share, for the error rate as
    a difference."""

    p95: Positive = 0.10
    error_rate: Positive = 0.005


class ExcludeSpec(Strict):
    """Which harm must be excluded before a stage passes although it is not shown that green is not
    worse: for p95 as a share, for the error rate as a difference."""

    p95: Positive = 1.0
    error_rate: Annotated[float, Field(gt=0, le=1, strict=True)] = 0.02


class CanarySpec(Strict):
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)] = (
        Stage(percentage=5, duration_minutes=30),
        Stage(percentage=25, duration_minutes=60),
        Stage(percentage=50, duration_minutes=120),
        Stage(percentage=100, duration_minutes=0),
    )
    look_seconds: Positive = 60
    #: A stage without enough evidence is extended by at most this many times its duration.
    extension: Seconds = 1
    min_searches: AtLeastOne = 200
    min_users: AtLeastOne = 100
    margins: MarginsSpec = MarginsSpec()
    #: What happens if a stage's time is over, no harm is shown, and the traffic is too little to
    #: show that green is not worse: the stage passes if ``exclude`` holds, or a person decides.
    undecided: Literal["proceed", "pause"] = "proceed"
    exclude: ExcludeSpec = ExcludeSpec()
    breakers: BreakersSpec = BreakersSpec()
    shadow_percentage: Annotated[float, Field(gt=0, le=100, strict=True)] = 10
    #: Send the validation queries to green at each look; recorded separately from users' searches.
    probing: StrictBool = False

    @model_validator(mode="before")
    @classmethod
    def _keep_pause(cls, content: Any, info: ValidationInfo) -> Any:
        """In a row of the release before, a person decides: see ``core.database.stored_json``."""
        stored = (info.context or {}).get("extra") == "ignore"
        if not stored or not isinstance(content, Mapping):
            return content
        return {"undecided": "pause", **content}

    @field_validator("stages")
    @classmethod
    def _check_rising(cls, stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
        shares = [stage.percentage for stage in stages]
        if shares != sorted(shares):
            raise ValueError(
                "expected percentages that never fall: a share that is taken back is a rollback"
            )
        return stages


class RetentionSpec(Strict):
    """What is kept: versions beyond the grace period
    (``core.collections.deletion.retention_policy``), and a number of the newest backups."""

    versions: AtLeastOne | None = None
    days: Annotated[float, Field(gt=0, le=3650, allow_inf_nan=False, strict=True)] | None = None
    backups: AtLeastOne | None = None
    #: Whether a collection of the index is deleted only after a complete backup of it; see
    #: ``core.collections.deletion.final_backups``.
    final_backup: StrictBool = False
    #: What happens to a replaced collection that this program did not make: it is deleted after a
    #: complete backup, never, or like any other.
    foreign: Literal["backup", "keep", "delete"] = "backup"

    @property
    def keeps_versions(self) -> bool:
        """Whether the policy keeps more than the collection that is being replaced now."""
        return self.model_copy(update={"foreign": "backup"}) != RetentionSpec()
