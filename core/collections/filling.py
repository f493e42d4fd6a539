"""What filling a collection came to: what the step that filled it hands on, and what the gate holds
it against."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from qdrant_rollouts.core.database.step_data import UNSET, Progress, StepOutput, Unset


@dataclass(frozen=True, kw_only=True)
class Filling(StepOutput):
    """``way``: records, copy, snapshot, delta or backup. ``fingerprint`` is the source's, null
    where it has none, not set where nobody looked; ``begun``: from when on a later pass reads
    changes, if the source can tell them. ``note``: why it was not another way.
    ``expected``: how many points there must be. ``by_vector``: how many vectors, by name and by
    what became of them. ``looks``: how often in a row the index was found ready. By delta: how many
    points were ``renewed`` and ``dropped``, and how many ``deltas`` in a row this is. What is None
    was not counted."""

    way: str | None = None
    fingerprint: str | Unset | None = field(default=UNSET, metadata={"key": "print"})
    begun: str | None = None
    backup: str | None = None
    expected: int | None = None
    written: int | None = None
    embedded: int | None = None
    reused: int | None = None
    truncated: int | None = None
    by_vector: dict[str, dict[str, int]] | None = None
    bad: int | None = None
    bad_samples: Sequence[str] | None = None
    gone: int | None = None
    renewed: int | None = None
    dropped: int | None = None
    deltas: int | None = None
    left_out: dict[str, Any] | None = None
    note: str | None = None
    looks: int | None = None
    progress: Progress | None = field(default=None, metadata={"of": Progress})

    def without_looks(self) -> Self:
        """Looks of long ago are no evidence for a gate that is run later."""
        return replace(self, looks=None)
