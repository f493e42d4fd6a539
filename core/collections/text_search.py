"""The search that a text becomes: which vectors are searched, and how their results become one
list.

Rule: routed searches, probes and the gate all use this module, so the gate judges what people get.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from qdrant_rollouts.core.config.index_file import IndexSpec, SearchSpec, ServerVectorSpec
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Fused, Fusion, Limits, OneQuery, Part, QueryVector
from qdrant_rollouts.core.sanitize.quoting import quote_value

#: Results of each vector that are fused if the index file gives no number. With fewer, a point that
#: one vector ranks late and another early would be lost.
_CANDIDATES = 50


@dataclass(frozen=True, slots=True)
class TextSearch:
    """``parts`` names each vector to search, and how many of its results are fused."""

    parts: tuple[tuple[str, int | None], ...]
    fusion: Fusion = "rrf"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.parts)

    @property
    def fused(self) -> bool:
        return len(self.parts) > 1

    @property
    def words(self) -> str:
        return " and ".join(name or "unnamed" for name in self.names) + (
            f", fused by {self.fusion}" * self.fused
        )

    def query(
        self, vector_of: Callable[[str], OneQuery], results: int, limits: Limits
    ) -> tuple[QueryVector, str]:
        """Returns the query for this many results, and the name of the vector that it searches; no
        name if there are several. Strict mode limits each part like a search."""
        if not self.fused:
            (name,) = self.names
            return vector_of(name), name
        most = max(_CANDIDATES, results)
        parts = [
            Part(name, vector_of(name), limits.page(said or most)) for name, said in self.parts
        ]
        return Fused(tuple(parts), self.fusion), ""


def build_text_search(
    said: SearchSpec | None,
    askable: Collection[str],
    there: Collection[str],
    coming: Collection[str] = (),
) -> TextSearch:
    """Returns the declared search in a form that a collection supports.

    ``askable`` are the names whose vector is made from text, ``there`` all names of the collection.
    A name that the ``coming`` collection makes from text is left out if this one lacks it or gets
    it from somewhere else. Raises Refused for any other name, and if no vector is left.
    """
    declared = said or SearchSpec()
    if not declared.prefetch:
        return TextSearch(tuple((name, None) for name in askable), declared.fusion)
    parts = []
    for at, one in enumerate(declared.prefetch):
        if one.vector in askable:
            parts.append((one.vector, one.limit))
        elif one.vector not in coming:
            raise Refused(_describe_unknown(at, one.vector, askable, there))
    if not parts:
        raise Refused(
            "search.prefetch: nothing makes any of these vectors of a text for the collection that "
            "serves; they "
            "come with the next deployment"
        )
    return TextSearch(tuple(parts), declared.fusion)


def declared_names(spec: IndexSpec) -> frozenset[str]:
    """Returns every vector name that is made from text according to the index file."""
    by_server = (name for name, said in spec.vectors.items() if isinstance(said, ServerVectorSpec))
    return frozenset({*by_server, *(model.vector for model in spec.models)})


def _describe_unknown(at: int, name: str, askable: Collection[str], there: Collection[str]) -> str:
    why = "and there is no such vector"
    if name in there:
        why = "which nothing makes of a text"
    expected = ", ".join(one or '""' for one in askable) or "nothing: no vector is made of a text"
    return f"search.prefetch.{at}.vector: found {quote_value(name)}, {why}; expected {expected}"
