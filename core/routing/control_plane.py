"""The port between a router and whoever holds the routes and takes its reports: the database, or a
server of this program by HTTP."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from qdrant_rollouts.core.config.index_file import EmbeddingSpec, IndexSpec
from qdrant_rollouts.core.errors import AppError
from qdrant_rollouts.core.ports import Embedder, VectorStore
from qdrant_rollouts.core.routing.batch import Batch
from qdrant_rollouts.core.routing.feedback import Feedback
from qdrant_rollouts.core.routing.route import Route


class NotReached(Exception):
    """The control plane could not be used; ``why`` says the reason, and what a person can do."""

    def __init__(self, why: AppError) -> None:
        super().__init__(str(why))
        self.why = why


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Of a batch some pieces were refused and the rest was taken. ``users``: how many observations
    of users and interleaved lists were refused, ``why`` the last of them was."""

    users: int
    why: str


class ControlPlane(Protocol):
    """Any method may raise NotReached; another AppError is an answer. What is written may be
    written again, and counts once. ``name`` is the subject of a sentence in logs."""

    @property
    def name(self) -> str: ...

    def read_route(self, alias: str) -> Route:
        """Returns the alias's route; a route at rest if none was ever set."""

    def find_newer_routes(self, versions: Mapping[str, int]) -> set[str]:
        """Returns those of the aliases whose route has a newer version."""

    def listen(self, heard: Callable[[str], None], stopped: threading.Event) -> None:
        """Calls ``heard`` with the alias whenever a route may have changed, until ``stopped``, from
        a thread of its own; returns at once. Never raises: routes are also read regularly."""

    def report_served_routes(self, router: str, served: Mapping[str, int]) -> None:
        """A router reports which version of each alias's route it serves."""

    def forget_router(self, router: str) -> None:
        """A router that ends serves nothing any more."""

    def write_batch(self, router: str, number: int, batch: Batch) -> LeftOut | None:
        """Adds what searches experienced. Numbers grow; the same number is the same batch. Returns
        what will never be taken. Raises Refused if that is all of it."""

    def count_feedback(self, given: Feedback, *, patient: bool) -> bool:
        """Counts feedback; returns False if it is already counted. Raises Refused, and Unexposed
        for a ``patient`` caller who tries again when the exposure is written."""

    def find_experiment_route(self, experiment_id: str) -> tuple[str, str]:
        """Returns the name of an experiment's route, and its control. Raises Refused if it does not
        exist or has not begun."""

    def leave_parent(self) -> None:
        """Begins anew in a forked child: connections, locks and numbers of the parent are not used,
        and nothing is said to the other side of them."""


@dataclass(frozen=True, slots=True)
class RouterServices:
    """What a router works with."""

    store: VectorStore
    embedder: Callable[[EmbeddingSpec], Embedder]
    #: The current index file, by alias.
    indexes: Callable[[], Mapping[str, IndexSpec]]
    control: ControlPlane
