"""Experiments."""

from typing import Any

from typing_extensions import TypedDict  # pydantic needs typing_extensions before Python 3.12

from qdrant_rollouts.core.answers.words import ExperimentWord, Moment, WritesWord


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


class TreatmentWrites(TypedDict):
    """What a treatment gets of what is written to the control while the experiment runs. ``way``:
    ``compare``, ``journal``, or ``none``; then ``why_not`` says why. ``rounds``: comparisons that
    were finished; of the last one, its end, and how many points it made and deleted, and how many
    the treatment's model or rules did not take (``bad``). ``failure``: why writes do not reach it
    now. ``text`` says all of that in words."""

    variant: str
    collection: str
    way: WritesWord
    why_not: str
    rounds: int
    round_ended_at: Moment | None
    made: int
    deleted: int
    bad: int
    failure: str
    text: str


class Experiment(ExperimentSummary):
    """``stages``: the basis points of users that took part, each with its start. ``writes``: an
    entry for each treatment."""

    spec: dict[str, Any]
    stages: list[dict[str, Any]]
    writes: list[TreatmentWrites]


class ExperimentPage(TypedDict):
    experiments: list[ExperimentSummary]
    next: str | None
