"""What a collection says about itself: which deployment made it and with which model. This is kept
in Qdrant's collection metadata.

There are two keys. The stamp determines how searches are embedded. It changes only when a model
that nobody knew is proven. The facts (``core.collections.versions``) grow while the collection is
made. All other keys belong to others: each version copies them from the previous one.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from qdrant_rollouts.core.config.index_file import EmbeddingSpec, ServerVectorSpec
from qdrant_rollouts.core.database.stored_json import read_stored, read_stored_dataclass
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import CollectionStore

STAMP_KEY = "rollouts"
FACTS_KEY = "rollouts_version"
#: The keys that each of the two always has; a value without them is not ours.
_STAMP_FIELDS = {"deployment", "alias", "number"}
_FACTS_FIELDS = {"deployment", "alias", "number"}
#: The first Qdrant version that stores collection metadata; older ones answer 200 and drop it.
STAMPS_SINCE = (1, 15, 4)


@dataclass(frozen=True, slots=True)
class MadeBy:
    """What makes one vector: a model (``embedding``) or the Qdrant server (``server``).

    An equal ``identity`` and an equal text prove an equal vector.
    """

    identity: str
    embedding: EmbeddingSpec | None = None
    server: ServerVectorSpec | None = None

    @property
    def template(self) -> str:
        spec = self.embedding or self.server
        assert spec is not None
        return spec.text

    def as_metadata(self) -> dict[str, Any]:
        specs = {"embedding": self.embedding, "server": self.server}
        told = {key: spec.model_dump(mode="json") for key, spec in specs.items() if spec}
        return {"identity": self.identity, **told}

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        embedding = content.get("embedding")
        server = content.get("server")
        return cls(
            identity=str(content["identity"]),
            embedding=EmbeddingSpec.model_validate(embedding) if embedding else None,
            server=ServerVectorSpec.model_validate(server) if server else None,
        )


@dataclass(frozen=True, slots=True)
class Stamp:
    """``vector`` is the one that searches by text use, ``embedding`` its model and ``identity``
    that embedder's (see ``Embedder``); None if vectors came with the records. ``vectors`` says for
    every made vector what makes it, by its name; it is empty in stamps of a release that supported
    only one. ``unknown``: the vectors that were copied from a collection that did not say what made
    them. ``deployment`` is empty for an adopted collection."""

    deployment: str
    alias: str
    number: int
    vector: str = ""
    embedding: dict[str, Any] | None = None
    identity: str | None = None
    vectors: dict[str, dict[str, Any]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def as_metadata(self) -> dict[str, Any]:
        return {STAMP_KEY: asdict(self)}

    @property
    def spec(self) -> EmbeddingSpec | None:
        if not self.embedding:
            return None
        return read_stored(EmbeddingSpec, self.embedding)

    @property
    def made(self) -> dict[str, MadeBy]:
        """Returns what makes each vector, by its name; without those that came with the records."""
        if self.vectors:
            return {name: MadeBy.of(content) for name, content in self.vectors.items()}
        if self.spec is None or self.identity is None:
            return {}
        return {self.vector: MadeBy(self.identity, embedding=self.spec)}

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Self | None:
        """Returns the stamp in a collection's metadata; None if there is none. Unknown keys of
        another release are ignored, so that processes of both can work together."""
        content = metadata.get(STAMP_KEY)
        if not isinstance(content, dict) or not _STAMP_FIELDS.issubset(content):
            return None
        return read_stored_dataclass(cls, content)


def foreign_metadata(metadata: Mapping[str, Any], collection: str) -> dict[str, Any]:
    """Returns the metadata that is not ours. Raises Refused if another program uses one of our
    keys, because neither may overwrite the other."""
    facts = metadata.get(FACTS_KEY)
    if metadata.get(STAMP_KEY) is not None and Stamp.of(metadata) is None:
        taken = [STAMP_KEY]
    else:
        taken = []
    if facts is not None and not (isinstance(facts, dict) and _FACTS_FIELDS.issubset(facts)):
        taken.append(FACTS_KEY)
    if taken:
        raise Refused(
            f"collection {collection} has other metadata under {' and '.join(taken)}, where this "
            "program keeps "
            "what it knows of a collection: keep it under another key"
        )
    return {key: value for key, value in metadata.items() if key not in (STAMP_KEY, FACTS_KEY)}


def read_stamp(store: CollectionStore, collection: str) -> Stamp | None:
    """Returns the stamp of ``collection``; None if it has none. Raises Unavailable if that cannot
    be read."""
    return Stamp.of(store.metadata(collection))
