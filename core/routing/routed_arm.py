"""What an application holds of a search that it makes itself, with its own client and any query."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import OneQuery
from qdrant_rollouts.core.routing.control_plane import RouterServices
from qdrant_rollouts.core.routing.embedding_clock import EmbeddingClock, Spent
from qdrant_rollouts.core.routing.target import Target, embed_text
from qdrant_rollouts.core.sanitize.quoting import quote_value

#: Returns a query in the form of the application's client.
WriteQuery = Callable[[OneQuery], Any]


class RoutedArm:
    """The collection that a route gives one request; ``Router.arm`` and ``Router.call`` make it.

    ``variant`` is what the route gave the user: ``live``, ``control``, ``canary``, an arm of an
    experiment, or ``unrouted`` if no route could be read. With ``fallback`` blue is asked, because
    the collection of that variant has failed.
    """

    def __init__(
        self,
        services: RouterServices,
        target: Target,
        variant: str,
        write_query: WriteQuery,
        *,
        fallback: bool = False,
    ) -> None:
        self._services = services
        self._target = target
        self._write_query = write_query
        self._found: int | Sequence[Any] | None = None
        self._clock = EmbeddingClock()
        self.variant = variant
        self.fallback = fallback

    @property
    def collection(self) -> str:
        """The collection to ask. It has every vector of its own version, and no alias."""
        return self._target.collection

    @property
    def model(self) -> Mapping[str, str]:
        """What made each vector, by the vector's name; ``""`` is the vector without a name. A
        vector whose model is not known is not in it."""
        found = {}
        for name, by in self._target.made.items():
            if by.server is not None:
                found[name] = by.server.server
            elif by.identity:
                found[name] = by.identity
        if self._target.identity:
            found.setdefault(self._target.using, self._target.identity)
        return found

    def embed(self, text: str, vector: str = "") -> Any:
        """Returns what this text searches in a vector, as qdrant-client takes it: with the model
        that made the collection. Without ``vector`` it is the vector that the index searches.

        It blocks while the model works; in an event loop call it in a thread. Raises Refused if
        nothing makes that vector from text, or if its model has changed.
        """
        if not isinstance(text, str):
            raise Refused(f"arm.embed takes a text, not {type(text).__name__}")
        name = vector or self._target.using
        with self._clock.run():
            query = embed_text(self._services, self._target, name, text)
        return self._write_query(query)

    def results(self, found: int | Sequence[Any]) -> None:
        """Says what the search has found: the number of results, or the results themselves. Results
        with an ``id`` can be compared with those of the other collection. Without this, a search
        counts as one that found something. Raises Refused for anything else."""
        number = isinstance(found, int) and not isinstance(found, bool) and found >= 0
        if not number and not _is_list(found):
            raise Refused(
                "arm.results takes the number of results, at least 0, or their list, not "
                f"{quote_value(found)}"
            )
        self._found = found

    def split_seconds(self, elapsed: float) -> Spent:
        """Returns which part of the seconds that a search took was the collection's."""
        return self._clock.split(elapsed)

    def count_results(self, answer: Any = None) -> int:
        """Returns how many results there were, as far as that is known."""
        found = self._told_or_found(answer)
        if found is None:
            return 1
        if isinstance(found, int):
            return found
        return len(found)

    def list_ids(self, answer: Any = None) -> Sequence[Any] | None:
        """Returns the ids of the results; None if they are not known."""
        found = self._told_or_found(answer)
        if found is None or isinstance(found, int):
            return None
        ids = [getattr(one, "id", None) for one in found]
        if None in ids:
            return None
        return ids

    def _told_or_found(self, answer: Any) -> int | Sequence[Any] | None:
        if self._found is not None:
            return self._found
        return find_results(answer)


def find_results(answer: Any) -> Sequence[Any] | None:
    """Returns the results in an answer of a client: a list, or its ``points``."""
    found = getattr(answer, "points", answer)
    return found if _is_list(found) else None


def _is_list(found: Any) -> bool:
    return isinstance(found, Sequence) and not isinstance(found, str | bytes)
