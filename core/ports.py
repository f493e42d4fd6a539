"""The doors to the outside: what core asks of a vector store, an embedding model, a data source and the rest.

Every adapter raises ``Unavailable`` when the outside did not answer and ``Refused`` when it said no. None answers
``None``, ``False`` or an empty container to mean "I could not look".
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from sqlalchemy.orm import Session

from core.alert_spec import Severity

PointId = int | str
FloatArray = npt.NDArray[np.float32]
#: A dense vector, or an object of named vectors as Qdrant's REST API spells them.
Vector = Sequence[float] | FloatArray | Mapping[str, Any]
#: A collection's settings as ``GET /collections/{c}`` returns them; see ``core.schema``.
Schema = dict[str, Any]
Cursor = dict[str, Any]


# --- vector store -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Point:
    id: PointId
    vector: Vector
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Hit:
    id: PointId
    score: float
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Health:
    """One look at a collection. ``None`` means the server is too old to report it, never "could not look".

    ``points`` and ``indexed_vectors`` are the server's approximate counters (qdrant-facts 7.4). ``worked`` is a number
    that changes while the optimizer gets on; ``indexed_vectors`` stands still until a whole segment is finished.
    """

    status: str
    optimizer: str
    points: int
    indexed_vectors: int
    segments: int
    optimizing: int | None = None
    worked: int | None = None
    queued: int | None = None
    deferred: int | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """Who answers. ``version`` as (major, minor, patch); ``address`` without credentials.

    An ``embedded`` store has no vector index, no snapshots and no second process. ``peers`` counts a cluster's nodes.
    """

    version: tuple[int, int, int]
    address: str
    embedded: bool = False
    peers: int = 1


@dataclass(frozen=True, slots=True)
class Capacity:
    """Bytes of the node that answered, and what is used of them; None where the server does not tell."""

    memory: int | None = None
    memory_used: int | None = None
    disk: int | None = None
    disk_used: int | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A finished snapshot on the server: ``size`` in bytes, ``sha256`` in hex as the server tells it."""

    name: str
    size: int
    sha256: str


class VectorStore(Protocol):
    """Qdrant, or what behaves like it. Calls time out within 10 s; ``point_alias``, ``drop_alias``, ``drop`` in 5 s."""

    def server(self) -> Server: ...

    def aliases(self) -> dict[str, str]:
        """Every alias and the collection it points to."""

    def point_alias(self, alias: str, collection: str) -> None:
        """One ``create_alias`` action: makes the alias or repoints it in one act (qdrant-facts 2.1)."""

    def drop_alias(self, alias: str) -> None:
        """Removes the alias; an alias that is not there is no error."""

    def collections(self) -> set[str]: ...

    def create(self, collection: str, schema: Schema, metadata: Mapping[str, Any]) -> None:
        """Creates the collection with its payload indexes. Raises Refused if the name exists.

        ``metadata`` is there from the first moment: what a died process left half made can be recognised by it.
        """

    def drop(self, collection: str) -> None:
        """Deletes the collection **and, silently, its aliases** (qdrant-facts 2.7): guard each call. Gone is done."""

    def schema(self, collection: str) -> Schema:
        """The settings, without metadata. Raises Refused when there is no such collection."""

    def metadata(self, collection: str) -> dict[str, Any]: ...

    def set_metadata(self, collection: str, metadata: Mapping[str, Any]) -> None:
        """Merges ``metadata`` into the collection's; a key set to None is removed."""

    def health(self, collection: str) -> Health: ...

    def wake(self, collection: str) -> None:
        """Makes a server that sleeps on unfinished work (status grey, after it was restarted) go on with it."""

    def count(self, collection: str, having: str | None = None) -> int:
        """Exact number of points, or of those that have the vector named ``having``."""

    def upsert(self, collection: str, points: Sequence[Point]) -> None:
        """Writes whole points and returns when they are applied (``wait=true``, status completed)."""

    def fetch(self, collection: str, ids: Sequence[PointId], *, vectors: bool) -> list[Point]:
        """Those of ``ids`` that exist, in no particular order; empty ``vector`` when ``vectors`` is False."""

    def scroll(
        self, collection: str, after: PointId | None, limit: int, *, vectors: bool = True, payload: bool = True
    ) -> tuple[list[Point], PointId | None]:
        """A page of points by ascending id, and where the next page starts (None: no more).

        Dense vectors come as float32 arrays, by name or one alone. What is not asked for comes empty, and faster.
        """

    def search(
        self,
        collection: str,
        vector: Sequence[float] | FloatArray,
        limit: int,
        *,
        using: str = "",
        exact: bool = False,
        filter: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        score_threshold: float | None = None,
        offset: int = 0,
        seconds: float = 10.0,
    ) -> list[Hit]:
        """The nearest points, best first, with payload. ``using`` names the vector. Accepts an alias too.

        ``filter`` and ``params`` are spelled as Qdrant's REST API spells them; ``exact`` is a word for one of them.
        """

    def search_many(
        self,
        collection: str,
        vectors: Sequence[FloatArray],
        limit: int,
        *,
        using: str = "",
        exact: bool = False,
        filter: Mapping[str, Any] | None = None,
        seconds: float = 10.0,
    ) -> list[list[Hit]]:
        """The nearest points of each vector, in the order of the vectors, **without payload**: one request for all.

        ``seconds`` is how long the request may take: exact searches of a large collection are slow.
        """

    def facet(self, collection: str, field: str, limit: int) -> dict[str, int]:
        """The most frequent values of an indexed payload field and their exact counts, most frequent first. Raises
        Refused where the field has no index that can be counted."""

    def capacity(self) -> Capacity: ...

    def copy(self, source: str, target: str, after: PointId | None, seconds: float) -> tuple[int, PointId | None]:
        """Streams points unchanged from ``source`` to ``target`` for about ``seconds``.

        Returns how many were written **and acknowledged**, and where to go on (None: all copied).
        """

    def snapshots(self, collection: str) -> set[str]: ...

    def start_snapshot(self, collection: str) -> None:
        """Asks for a snapshot and returns at once; look for it in ``snapshots``."""

    def start_recovery(self, target: str, source: str, snapshot: str) -> None:
        """Asks ``target`` to be filled from a snapshot of ``source`` and returns at once; look at ``count``."""

    def snapshot(self, collection: str, snapshot: str) -> Snapshot:
        """Raises Refused if there is no finished snapshot of this name."""

    def download_snapshot(self, collection: str, snapshot: str, start: int) -> Iterator[bytes]:
        """The snapshot's bytes from ``start`` on; the caller may stop at any piece. Raises Refused if there is none."""

    def upload_snapshot(self, target: str, snapshot: Snapshot, content: Iterable[bytes]) -> None:
        """Makes the new collection ``target`` from a snapshot's bytes, and returns when the server has them: it tells
        nobody if that fails later, so look at ``count``. Raises Refused if there is a ``target``, or an alias of this
        name. What ``content`` raises goes through, and the server then has nothing."""

    def drop_snapshot(self, collection: str, snapshot: str) -> None: ...

    def close(self) -> None: ...


class Searches(Protocol):
    """The one call of ``VectorStore`` that applications make for their users, without blocking an event loop."""

    async def search(
        self,
        collection: str,
        vector: Sequence[float] | FloatArray,
        limit: int,
        *,
        using: str = "",
        exact: bool = False,
        filter: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        score_threshold: float | None = None,
        offset: int = 0,
        seconds: float = 10.0,
    ) -> list[Hit]:
        """As ``VectorStore.search``."""

    async def close(self) -> None: ...


# --- backups ----------------------------------------------------------------------------------------------------


class Shelf(Protocol):
    """Where backups stand: for each a folder of files, and a manifest that is written last. A folder without a manifest
    is no backup. Reachable by every process that works, under the same path."""

    @property
    def address(self) -> str: ...

    def backups(self) -> list[str]:
        """Ids of those with a manifest."""

    def manifest(self, backup: str) -> str:
        """As it was sealed. Raises Refused if there is none."""

    def seal(self, backup: str, manifest: str) -> None:
        """Writes the manifest in one act: it is there whole or not at all."""

    def size(self, backup: str, name: str) -> int:
        """Bytes of the file as far as it is written; 0 if it is not there."""

    def write(self, backup: str, name: str, start: int, content: bytes) -> None:
        """Puts ``content`` at ``start``. Done twice is done once. Returns when it is on the disk."""

    def read(self, backup: str, name: str) -> Iterator[bytes]:
        """Raises Refused if the file is not there."""

    def unseal(self, backup: str) -> None:
        """Removes the manifest; gone is done."""

    def drop(self, backup: str) -> None:
        """Removes all of it, the manifest first; gone is done."""


# --- embedding --------------------------------------------------------------------------------------------------


class Embedder(Protocol):
    """A model, loaded at first use. ``identity`` changes whenever any vector could: provider, model, revision, dtype,
    prompts, truncation length. Two embedders of one identity give the same vectors for the same text."""

    @property
    def identity(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def documents(self, texts: Sequence[str]) -> FloatArray:
        """float32[len(texts), dimension], in the order of the texts; (0, dimension) for none."""

    def query(self, text: str) -> FloatArray:
        """float32[dimension]."""

    @property
    def reads(self) -> int | None:
        """Tokens of a text that the model reads; None where there is no limit, or none that is known."""

    def truncated(self, texts: Sequence[str]) -> int:
        """How many of the texts are longer than the model reads."""

    def pieces(self, text: str, beside: str, most: int | None, overlap: int) -> list[tuple[int, str]]:
        """The text in pieces, each with its offset in characters, always the same. A piece has at most ``most`` tokens
        together with ``beside`` (None: as many as the model reads) and shares up to ``overlap`` with the one before,
        at most half of it. Space around pieces is left out; text that is nothing else has none."""


# --- sources ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """One record as the source has it, before anything was checked.

    ``where`` names it for people (``docs/a.jsonl:17``). ``fields`` is None when the row could not be read at all;
    ``problem`` then says why. ``cursor`` resumes reading **after** this row. ``point_id`` is given where rows are
    points already: they keep it, whatever their payload calls ``id``.
    """

    where: str
    fields: dict[str, Any] | None
    cursor: Cursor
    problem: str = ""
    point_id: PointId | None = None


class Source(Protocol):
    """A place records come from, read in a stable order so that a cursor means the same row every time."""

    @property
    def address(self) -> str:
        """The source as text that means the same from any working directory; what a deployment stores."""

    @property
    def collection(self) -> str | None:
        """The collection this source copies, or None if it is not one."""

    def check(self) -> None:
        """Raises Refused if the source is missing, empty, unreadable or not allowed, naming what and which."""

    def fingerprint(self) -> str | None:
        """Changes when the data changed; a resumed read that meets another fingerprint must not go on. None where the
        source cannot tell: then it may have changed at any time."""

    def size(self) -> int:
        """How much there is, in the unit of ``Cursor["done"]`` (bytes for files, points for collections); 0 where that
        is not known beforehand."""

    def read(self, cursor: Cursor | None) -> Iterator[Row]:
        """Rows after ``cursor``, or from the start. Every cursor has ``done``; the rest is the source's own."""


# --- engine's surroundings --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Knock:
    """A message that asks for a turn. It may be lost, late, doubled or reordered without harm.

    ``label`` is for people who watch Flower (celery-facts section 5).
    """

    deployment_id: str
    turn: int
    step: str
    queue: str
    countdown: float = 0.0
    label: str = ""


class Knocker(Protocol):
    def __call__(self, knock: Knock) -> None:
        """Sends the knock. A broker that does not answer is logged and forgotten: the sweep knocks again."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person is told. ``id`` is the same however often it is sent. ``state``: a ``moment``, or a condition
    that has ``begun``, is ``lasting`` or ``resolved``; ``since`` is when it began, ``at`` when this was said."""

    id: str
    index: str
    what: str
    severity: Severity
    state: str
    at: datetime
    since: datetime
    text: str
    value: str
    bound: str
    actor: str
    reason: str
    next: str
    deployment_id: str | None

    @property
    def subject(self) -> str:
        resolved = "resolved: " if self.state == "resolved" else ""
        return f"{self.index}: {resolved}{self.what}"

    @property
    def lines(self) -> list[tuple[str, str]]:
        """What there is to read, each with its title."""
        named = ("text", "value", "bound", "actor", "reason", "next")
        return [(name, str(getattr(self, name))) for name in named if getattr(self, name)]


class RouteChannel(Protocol):
    """Tells search processes that a route has changed. Only a hint: who hears nothing looks by himself soon."""

    def announce(self, alias: str) -> None:
        """Never raises: what does not answer is logged and forgotten."""

    def listen(self, heard: Callable[[str], None], stopped: threading.Event) -> None:
        """Calls ``heard`` with the alias at every announcement until ``stopped``, from a thread of its own; returns at
        once. An empty alias: something may have been missed."""


@dataclass(frozen=True, slots=True)
class AlertChannel:
    """``send`` returns when the outside has taken the notice. It raises Unavailable when that did not answer and
    Refused when it said no or the channel cannot work; it lasts no longer than half a minute."""

    kind: str
    least: Severity
    send: Callable[[Notice], None]


class Clock(Protocol):
    def now(self, session: Session) -> datetime:
        """The database server's time, UTC; never a worker's own."""


class Turn(Protocol):
    """The claim a step works under."""

    def save(self, state: dict[str, Any]) -> None:
        """Persists the step's state now. Raises LeaseLost if the turn was taken away."""

    def check(self, seconds: float) -> None:
        """Raises LeaseLost unless the lease lasts ``seconds`` more. Call before an effect a late repeat would spoil."""

    def fence(self, session: Session) -> None:
        """Keeps the turn ours until this transaction ends. Raises LeaseLost if it was taken away."""

    @property
    def number(self) -> int: ...
