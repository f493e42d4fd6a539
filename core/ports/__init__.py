"""The ports: what core asks of a vector store, an embedding model, a data source and
the rest.

Every adapter raises ``Unavailable`` when the outside did not answer and ``Refused`` when it said
no. No adapter returns None, False or an empty container for "I could not look".
"""

from qdrant_rollouts.core.ports.embedder import Embedder, FetchedEmbedder
from qdrant_rollouts.core.ports.limits import Limits
from qdrant_rollouts.core.ports.messages import AlertChannel, Knock, Knocker, Notice, RouteChannel
from qdrant_rollouts.core.ports.shapes import (
    FloatArray,
    Fused,
    Fusion,
    Hit,
    OneQuery,
    Part,
    Point,
    PointId,
    QueryVector,
    Schema,
    ServerText,
    Vector,
)
from qdrant_rollouts.core.ports.shelf import Shelf
from qdrant_rollouts.core.ports.source import (
    ChangesSource,
    Cursor,
    Row,
    SizeUnit,
    Source,
    SplitSource,
    SpreadSource,
)
from qdrant_rollouts.core.ports.store import (
    AliasStore,
    Capacity,
    CollectionStore,
    Health,
    PointStore,
    Room,
    Searches,
    SearchParams,
    Server,
    Snapshot,
    SnapshotStore,
    VectorStore,
)
from qdrant_rollouts.core.ports.turn import Clock, State, Turn
from qdrant_rollouts.core.ports.wrapped_source import WrappedSource

__all__ = [
    "AlertChannel",
    "AliasStore",
    "Capacity",
    "ChangesSource",
    "Clock",
    "CollectionStore",
    "Cursor",
    "Embedder",
    "FetchedEmbedder",
    "FloatArray",
    "Fused",
    "Fusion",
    "Health",
    "Hit",
    "Knock",
    "Knocker",
    "Limits",
    "Notice",
    "OneQuery",
    "Part",
    "Point",
    "PointId",
    "PointStore",
    "QueryVector",
    "Room",
    "RouteChannel",
    "Row",
    "Schema",
    "SearchParams",
    "Searches",
    "Server",
    "ServerText",
    "Shelf",
    "SizeUnit",
    "Snapshot",
    "SnapshotStore",
    "Source",
    "SplitSource",
    "SpreadSource",
    "State",
    "Turn",
    "Vector",
    "VectorStore",
    "WrappedSource",
]
