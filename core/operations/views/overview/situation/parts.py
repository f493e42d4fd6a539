"""A run with its surroundings, and the situation that is told of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qdrant_rollouts.core.answers.deployments import Deployment, Step
from qdrant_rollouts.core.operations.views.overview import causes
from qdrant_rollouts.core.operations.views.overview.step_labels import label_step

#: Places of the page that a link may lead to.
GATE = "#gate-h"
CANARY = "#canary-h"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a run's own rows do not say. ``paused_at`` is None if it is not paused. ``position`` is
    that of the current step, None if there is none. ``eta`` is that of ``eta.estimate_end``.
    ``live`` is the collection that serves the alias. ``back`` are the options with which a rollback
    leads to the collection before. ``named`` says how people call a collection.
    The collection before is deleted at ``kept_until``, or ``gone`` already."""

    paused_for: str | None = None
    paused_at: str | None = None
    position: int | None = None
    eta: Mapping[str, Any] | None = None
    live: str | None = None
    back: tuple[str, ...] = ()
    named: Mapping[str, str] = field(default_factory=dict)
    kept_until: str | None = None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Since:
    """``what`` is a text before the time ``at``."""

    what: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """``tone`` is good, calm, warn or bad. The run ends between ``low`` and ``high``, or ended at
    ``ended``; without these, ``until`` says when it ends. ``needed``: what a person must do;
    ``person``: it waits for that. ``advice`` is how the cause can be mended. ``back`` is how to
    return to the version before, which is kept until ``kept_until``. ``link`` leads to what is
    spoken of, and has the text ``see``."""

    tone: str
    now: str
    since: tuple[Since, ...]
    needed: str
    until: str = ""
    low: str | None = None
    high: str | None = None
    ended: str | None = None
    person: bool = False
    advice: str = ""
    back: str = ""
    kept_until: str | None = None
    link: str = ""
    see: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """Words for the parts of a run. ``told`` is the answer of ``queries.get_deployment``."""

    told: Deployment
    around: Surroundings

    @property
    def step(self) -> Step | None:
        if self.around.position is None:
            return None
        return self.told["steps"][self.around.position]

    @property
    def label(self) -> str:
        if self.step is None:
            return "the end of its plan"
        return label_step(self.step["name"], self.step["arguments"])

    @property
    def alias(self) -> str:
        return self.told["alias"]

    @property
    def green(self) -> str:
        return self.name_collection(self.told["green"])

    @property
    def moves_alias(self) -> bool:
        """Returns whether it is a rollout, not a backup or a verification."""
        return self.told["kind"] == "rollout"

    def name_collection(self, collection: str) -> str:
        return self.around.named.get(collection, collection)

    def say_what_serves(self, if_blue: str = ", as before") -> str:
        """Returns a sentence, which ends with ``if_blue`` if the version before serves. An alias at
        its beginning keeps its letters."""
        if self.around.live is None:
            return f"Nothing serves {self.alias} yet"
        ending = if_blue if self.around.live == self.told["blue"] else ""
        return f"{self.alias} is served by {self.name_collection(self.around.live)}{ending}"

    def list_since(self) -> tuple[Since, ...]:
        whole = Since("the whole run since", self.told["created_at"])
        if self.around.paused_at is not None:
            return (Since("paused since", self.around.paused_at), whole)
        if self.step is None or self.step["started_at"] is None:
            return (whole,)
        return (Since("this step since", self.step["started_at"]), whole)

    def or_requested(self, needed: str) -> str:
        """Returns what a person must do, or what was requested already."""
        requested = self.told["requested"]
        if not requested:
            return needed
        words = requested.replace("_", " ")
        return f"Nothing more: {words} was requested, and takes effect after the current turn"

    def link_to_cause(self) -> tuple[str, str]:
        """Returns where the page shows why the run stopped, and the text of the link."""
        failed = causes.find_failed_step(self.told)
        if failed is None:
            return "", ""
        check = causes.find_deciding_check(self.told["gate"])
        if causes.is_judging(failed) and check is not None:
            return GATE, f"the check {check['name']}"
        if causes.is_stage(failed):
            return CANARY, "what the canary saw"
        return "", ""


def begin_sentence(text: str) -> str:
    """Returns a text of ours with a capital letter."""
    return text[:1].upper() + text[1:]
