"""What a collection says of itself: who made it and with which model; kept in Qdrant's collection metadata.

Two keys: the stamp is what searches go by and never changes; the facts (``core.versions``) grow
while it is made. All other keys are somebody else's: each version takes them over from the one
before.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from core.errors import Refused
from core.index_file import EmbeddingSpec
from core.kept import known, stored
from core.ports import VectorStore

KEY = "rollouts"
FACTS = "rollouts_version"
#: What each of the two always has; anything else under that key is not ours.
_STAMP, _FACTS = {"deployment", "alias", "number"}, {"deployment", "alias", "number"}
#: The first Qdrant that keeps collection metadata; older ones answer 200 and drop it.
STAMPS_SINCE = (1, 15, 4)


@dataclass(frozen=True, slots=True)
class Stamp:
    """``identity`` is the embedder's (see ``Embedder``); None where vectors came with the records. ``deployment`` is
    empty for a collection that was adopted."""

    deployment: str
    alias: str
    number: int
    vector: str = ""
    embedding: dict[str, Any] | None = None
    identity: str | None = None

    def as_metadata(self) -> dict[str, Any]:
        return {KEY: asdict(self)}

    @property
    def spec(self) -> EmbeddingSpec | None:
        return stored(EmbeddingSpec, self.embedding) if self.embedding else None

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Self | None:
        """The stamp in a collection's metadata; None if the collection carries none. Keys that another release writes
        are passed over, so that processes of both can work side by side."""
        content = metadata.get(KEY)
        if not isinstance(content, dict) or not _STAMP.issubset(content):
            return None
        return known(cls, content)


def theirs(metadata: Mapping[str, Any], collection: str) -> dict[str, Any]:
    """What of a collection's metadata is not ours. Raises Refused where somebody else uses a key of
    ours, for neither may take the other's place.
    """
    facts = metadata.get(FACTS)
    taken = [KEY] if metadata.get(KEY) is not None and Stamp.of(metadata) is None else []
    if facts is not None and not (isinstance(facts, dict) and _FACTS.issubset(facts)):
        taken.append(FACTS)
    if taken:
        raise Refused(
            f"collection {collection} has metadata of its own under {' and '.join(taken)}, where this program keeps "
            "what it knows of a collection: keep it under another key"
        )
    return {key: value for key, value in metadata.items() if key not in (KEY, FACTS)}


def read_stamp(store: VectorStore, collection: str) -> Stamp | None:
    """The stamp of ``collection``; None if it carries none. Raises Unavailable if that cannot be looked up."""
    return Stamp.of(store.metadata(collection))
