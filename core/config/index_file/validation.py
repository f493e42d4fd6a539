"""The declarations about the gate."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    ValidationInfo,
    model_validator,
)

from qdrant_rollouts.core.config.index_file.values import AtLeastOne, Count, Positive, Strict


def _check_score(value: Any) -> Any:
    """Gives one message for both kinds of value; pydantic's union would name the kinds in the
    path."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value == "calibrated" or (number and -1 <= value <= 1):
        return value
    raise ValueError('expected a number from -1 to 1, or "calibrated"')


class SamplesSpec(Strict):
    """How much evidence the gate collects; ``judged`` is the smallest number of judged queries that
    may decide anything."""

    records: AtLeastOne = 300
    queries: AtLeastOne = 300
    judged: AtLeastOne = 50


class CheckSpec(Strict):
    """``bound`` replaces the check's own; ``accept_inconclusive`` lets a deployment continue if the
    check is inconclusive."""

    bound: Annotated[float, Field(allow_inf_nan=False, strict=True)] | None = None
    accept_inconclusive: StrictBool = False


def _parse_check(value: Any, info: ValidationInfo) -> Any:
    """Accepts true, false, a bound, or both settings by name."""
    if isinstance(value, bool | Mapping | CheckSpec) or (
        isinstance(value, int | float) and math.isfinite(value)
    ):
        if not isinstance(value, Mapping):
            return value
        # unknown keys of a stored row are ignored, see core.database.stored_json
        extra = (info.context or {}).get("extra")
        return CheckSpec.model_validate(value, extra=extra)
    raise ValueError(
        "expected true, false, a number as the bound, or keys bound and accept_inconclusive"
    )


def _check_query(text: str) -> str:
    if not text.strip():
        raise ValueError("expected text to search for")
    return text


class RealSearchSpec(Strict):
    """How applications search. The gate searches in the same way, because another limit or other
    parameters find other points."""

    limit: AtLeastOne = 10
    hnsw_ef: AtLeastOne | None = None
    oversampling: Annotated[float, Field(ge=1, allow_inf_nan=False, strict=True)] | None = None
    rescore: StrictBool | None = None

    @property
    def params(self) -> dict[str, Any]:
        """Returns Qdrant's search parameters; empty if nothing is declared."""
        said = {"oversampling": self.oversampling, "rescore": self.rescore}
        quantization = {name: value for name, value in said.items() if value is not None}
        params = {"hnsw_ef": self.hnsw_ef, "quantization": quantization}
        return {name: value for name, value in params.items() if value}


class ValidationSpec(Strict):
    queries: tuple[Annotated[str, AfterValidator(_check_query)], ...] = ()
    min_results: AtLeastOne = 5
    #: The field whose values become queries if no query is named; ``*`` for title, name or heading.
    titles: str | None = None
    min_top_score: Annotated[float | Literal["calibrated"], BeforeValidator(_check_score)] = (
        "calibrated"
    )
    #: A JSONL file of ``query`` and ``relevant``; see ``core.gate.evidence.judged``.
    judged: str | None = None
    checks: dict[str, Annotated[bool | float | CheckSpec, BeforeValidator(_parse_check)]] = {}
    slices: tuple[str, ...] = ()
    search: RealSearchSpec = RealSearchSpec()
    samples: SamplesSpec = SamplesSpec()
    seed: Count = 7
    budget_seconds: Positive = 1800
    live_searches_per_second: Annotated[float, Field(ge=1, allow_inf_nan=False, strict=True)] = 100

    @model_validator(mode="before")
    @classmethod
    def _accept_titles(cls, given: Any) -> Any:
        """``queries: titles`` and ``queries: {titles: FIELD}`` do not name queries, but where to
        find some."""
        said = None
        if isinstance(given, Mapping):
            said = given.get("queries")
        if said == "titles":
            return {**given, "queries": (), "titles": "*"}
        if (
            isinstance(said, Mapping)
            and set(said) == {"titles"}
            and isinstance(said["titles"], str)
        ):
            return {**given, "queries": (), "titles": said["titles"]}
        return given

    def check(self, name: str) -> CheckSpec | None:
        """Returns what the file says about a check, in the long form; None if it is switched off or
        not named."""
        said = self.checks.get(name, False)
        if isinstance(said, CheckSpec):
            return said
        if said is False:
            return None
        if said is True:
            return CheckSpec()
        return CheckSpec(bound=float(said))
