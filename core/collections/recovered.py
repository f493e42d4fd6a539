"""A backup as a source: its points, read from the collection that a deployment restored it into.

Only a Qdrant server can read a snapshot. So a deployment restores the backup under its own name,
reads it like any collection, and drops it as soon as the gate has read it again. Fingerprint and
address are those of the backup.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.models import Deployment, StepRow
from qdrant_rollouts.core.database.step_traits import has_trait
from qdrant_rollouts.core.ports import Cursor, Row, SizeUnit, Source

_KIND = "backup:"
#: The row of the step that recovers it names the collection.
_target_argument = StepRow.arguments["collection"].as_string()


def is_unpacking() -> ColumnElement[bool]:
    """Whether a step recovers a backup for its records."""
    return has_trait(lambda step: step.unpacks_source)


def backup_of(source: str | None) -> str | None:
    """Returns the backup that a source names; None for any other source."""
    if source is not None and source.startswith(_KIND):
        return source.removeprefix(_KIND).strip()
    return None


def reads_collection(source: str | None, collection: str) -> bool:
    """Does ``source`` name it? The spelling may have blanks around the name, so both forms are
    compared."""
    kind, _, name = (source or "").partition(":")
    return kind == "collection" and collection in (name, name.strip())


def recovered_collections(session: Session) -> set[str]:
    """Returns the collections into which deployments restore, or restored, a backup."""
    return set(session.scalars(select(_target_argument).where(is_unpacking())))


def is_reading_backup_from(collection: str) -> ColumnElement[bool]:
    """Whether the deployment reads, or read, a backup there."""
    return Deployment.steps.any(and_(is_unpacking(), _target_argument == collection))


class RecoveredSource:
    """``backup`` is the address, ``points`` the collection that the rows come from."""

    def __init__(self, backup: Source, points: Source) -> None:
        self._backup = backup
        self._points = points

    @property
    def address(self) -> str:
        return self._backup.address

    @property
    def collection(self) -> str | None:
        return self._points.collection

    @property
    def left_out(self) -> Sequence[str]:
        return self._backup.left_out

    @property
    def size_unit(self) -> SizeUnit:
        return self._points.size_unit

    def check(self) -> None:
        self._points.check()

    def fingerprint(self) -> str | None:
        return self._backup.fingerprint()

    def size(self) -> int:
        return self._points.size()

    def read(self, cursor: Cursor | None) -> Iterator[Row]:
        for row in self._points.read(cursor):
            yield replace(row, where=f"{self.address}, point {row.point_id}")
