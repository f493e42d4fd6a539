"""What a check is given and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.index_file import IndexSpec
from core.ports import Embedder, Hit, Schema, VectorStore

Verdict = Literal["pass", "block", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the report. ``n`` is the evidence used; ``detail`` says the bound's direction and the worst case."""

    name: str
    verdict: Verdict
    value: float | None
    bound: float | None
    n: int
    detail: str


def exact(met: bool) -> Verdict:
    """The verdict of a rule that leaves no doubt."""
    return "pass" if met else "block"


@dataclass(frozen=True, slots=True)
class GateContext:
    """``green`` is addressed by its own name, never through an alias. ``filled`` is what ``populate`` returned and
    ``answers`` what green found for each validation query, best first; ``wanted`` the schema it was to be made with."""

    store: VectorStore
    green: str
    blue: str | None
    spec: IndexSpec
    wanted: Schema | None
    vector: str
    embedder: Embedder | None
    filled: Mapping[str, Any]
    answers: Mapping[str, list[Hit]]
