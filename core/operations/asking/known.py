"""Which queries the declared judged file of an index has already.

Rule: the file is read only where that is cheap: files of this machine, up to a megabyte. Nothing
fails because it cannot be read; whoever asks is told why.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from qdrant_rollouts.core.errors import AppError
from qdrant_rollouts.core.gate.evidence.judged import read_judged, source_text
from qdrant_rollouts.core.services import Services

_KIND = "jsonl:"
_LARGEST = 1_000_000


@dataclass(frozen=True, slots=True)
class KnownJudgments:
    """``file`` as declared, None without one. ``queries``: the relevant records of each query, as
    written. ``unread``: why the file was not read."""

    file: str | None = None
    queries: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unread: str = ""


def read_known(services: Services, alias: str) -> KnownJudgments:
    try:
        spec = services.indexes().get(alias)
    except AppError as error:
        return KnownJudgments(unread=str(error))
    path = spec.validation.judged if spec is not None else None
    if not path:
        return KnownJudgments()
    try:
        return _read_file(services, path)
    except AppError as error:
        return KnownJudgments(path, unread=str(error))


def _read_file(services: Services, path: str) -> KnownJudgments:
    named = source_text(path)
    if not named.startswith(_KIND):
        return KnownJudgments(path, unread=f"only a {_KIND} file is read here")
    source = services.source(named)
    source.check()
    if source.size() > _LARGEST:
        return KnownJudgments(path, unread=f"it has more than {_LARGEST:,} bytes")
    found = {
        judged.query: [judged.names[id] for id, grade in judged.grades.items() if grade > 0]
        for judged in read_judged(source)
    }
    return KnownJudgments(path, found)
