"""String types that carry more meaning than ``str``."""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import WithJsonSchema

from qdrant_rollouts.core.lifecycle import ExperimentStatus, Status, StepStatus


def _enum_schema(words: Iterable[str]) -> Any:
    return WithJsonSchema({"type": "string", "enum": [str(word) for word in words]})


#: UTC in ISO 8601.
Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
StatusWord = Annotated[str, _enum_schema(Status)]
StepWord = Annotated[str, _enum_schema(StepStatus)]
ExperimentWord = Annotated[str, _enum_schema(ExperimentStatus)]
WritesWord = Annotated[str, _enum_schema(("compare", "journal", "none"))]
VerdictWord = Annotated[str, _enum_schema(("pass", "block", "inconclusive"))]
