"""Texts of which more is known than that they are texts."""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import WithJsonSchema

from qdrant_rollouts.core.lifecycle import ExperimentStatus, Status, StepStatus


def _one_of(words: Iterable[str]) -> Any:
    return WithJsonSchema({"type": "string", "enum": [str(word) for word in words]})


#: UTC in ISO 8601.
Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
StatusWord = Annotated[str, _one_of(Status)]
StepWord = Annotated[str, _one_of(StepStatus)]
ExperimentWord = Annotated[str, _one_of(ExperimentStatus)]
VerdictWord = Annotated[str, _one_of(("pass", "block", "inconclusive"))]
