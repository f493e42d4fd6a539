"""Experiments."""

from typing import Any

from typing_extensions import TypedDict  # pydantic needs typing_extensions before Python 3.12

from qdrant_rollouts.core.answers.words import ExperimentWord, Moment


class ExperimentSummary(TypedDict):
    id: str
    name: str
    alias: str | None
    status: ExperimentWord
    message: str
    arms: dict[str, str]
    mode: str
    looks_taken: int
    last_decision: str | None
    deployment_id: str | None
    actor: str
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None


class Experiment(ExperimentSummary):
    """``stages``: the basis points of users that took part, each with its start."""

    spec: dict[str, Any]
    stages: list[dict[str, Any]]


class ExperimentPage(TypedDict):
    experiments: list[ExperimentSummary]
    next: str | None
