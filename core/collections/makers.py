"""Opens what makes the vectors of an index: models by name, and what the server makes from a
text."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qdrant_rollouts.core.collections.stamps import MadeBy
from qdrant_rollouts.core.collections.vectors import VectorPlan
from qdrant_rollouts.core.config.index_file import ServerVectorSpec
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Embedder, OneQuery, ServerText, VectorStore
from qdrant_rollouts.core.services import Services


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes one vector from a text. ``embedder`` is None if the server makes it."""

    by: MadeBy
    embedder: Embedder | None = None

    @property
    def identity(self) -> str:
        return self.by.identity

    @property
    def template(self) -> str:
        return self.by.template

    def documents(self, texts: Sequence[str]) -> Sequence[Any]:
        """Returns the vector of each text, or the text in the form that the server takes in place
        of a vector."""
        if self.embedder is not None:
            return list(self.embedder.documents(texts))
        return [self.by_the_server(text) for text in texts]

    def query(self, text: str) -> OneQuery:
        """Returns what a search for this text sends."""
        if self.embedder is not None:
            return self.embedder.query(text)
        return self.by_the_server(text)

    def by_the_server(self, text: str) -> ServerText:
        assert self.by.server is not None
        return ServerText(text, self.by.server.server, self.by.server.options)

    def count_truncated(self, texts: Sequence[str]) -> int:
        if self.embedder is None:
            return 0
        return self.embedder.count_truncated(texts)


def open_makers(services: Services, plan: VectorPlan) -> dict[str, Maker]:
    """Opens the makers by vector name. Raises Refused if a model cannot be opened, or if the store
    is the embedded one, which makes no vectors."""
    check_server_makes(plan, services.store)
    makers = {}
    for name, embedding in plan.made.items():
        embedder = services.embedder(embedding)
        makers[name] = Maker(MadeBy(embedder.identity, embedding=embedding), embedder)
    for name, spec in plan.server_made.items():
        makers[name] = Maker(MadeBy(server_identity(spec), server=spec))
    return makers


def check_server_makes(plan: VectorPlan, store: VectorStore) -> None:
    """Raises Refused if the server should make a vector and the store is the embedded one."""
    if not plan.server_made or not store.server().embedded:
        return
    name, spec = next(iter(plan.server_made.items()))
    raise Refused(
        f"vector {name} is made by the server ({spec.server}), and the embedded Qdrant makes none: "
        "set ROLLOUTS_QDRANT_URL, or write `given` and bring the vector with each record"
    )


def server_identity(spec: ServerVectorSpec) -> str:
    """Changes whenever the server would make another vector from the same text."""
    options: Mapping[str, Any] = spec.options
    return f"server|{spec.server}|{json.dumps(options, sort_keys=True)}"
