"""Reads from a database only what has changed since the last pass.

Rule: a row is found by its time of change, or by its id. So three kinds of changes are found in
three ways. A changed or new row has a time after the begin of the last pass, less a margin. A row
that is gone is missing in the list of ids. A new row whose time is older than the margin is in the
list of ids and not in the collection, and then everything is read. What remains is an old row that
was changed by a transaction, or under a clock, that is further behind than the margin: the complete
pass after the switch finds it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from qdrant_rollouts.core.config.index_file import ChangedSpec, IndexSpec
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import ChangesSource, Cursor, Row, Source


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes of a source, by the condition that its index declares."""

    source: ChangesSource
    spec: ChangedSpec

    def mark_now(self) -> str:
        """Returns the time from which on the next pass reads, if this one begins now."""
        return self.source.mark_changes(self.spec.margin_seconds)

    def read(self, since: str, cursor: Cursor | None) -> Iterator[Row]:
        return self.source.read_changes(self.spec.where, since, cursor)


def find_changes(source: Source, spec: IndexSpec) -> Changes | None:
    """Returns the changes of the source; None if the index declares nothing about them."""
    if spec.changed is None or not isinstance(source, ChangesSource):
        return None
    return Changes(source, spec.changed)


def check_source(source: Source, spec: IndexSpec) -> None:
    """Checks the source, and what is declared about its changes. Raises Refused."""
    source.check()
    found = find_changes(source, spec)
    if found is None:
        return
    try:
        found.source.check_changes(found.spec.where)
    except Refused as error:
        raise Refused(f"changed: {error}") from None


def mark_source(source: Source, spec: IndexSpec) -> str | None:
    """Returns from when on a later pass reads changes, if everything is read from now on; None if
    later passes read everything."""
    found = find_changes(source, spec)
    if found is None:
        return None
    return found.mark_now()
