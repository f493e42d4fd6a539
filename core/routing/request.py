"""The types of a search and its answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict

from qdrant_rollouts.core.collections.text_search import build_text_search
from qdrant_rollouts.core.config.vector_kinds import describe_vector, is_row, kind_of
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Hit, OneQuery, QueryVector, SearchParams
from qdrant_rollouts.core.routing.control_plane import RouterServices
from qdrant_rollouts.core.routing.embedding_clock import EmbeddingClock
from qdrant_rollouts.core.routing.target import Target, embed_text
from qdrant_rollouts.core.sanitize.quoting import quote_value

Query = str | OneQuery


class Options(TypedDict, total=False):
    """Passed to ``VectorStore.search`` unchanged. ``filter`` and ``params`` are in the form of
    Qdrant's REST API; ``using`` names a vector other than the collection's own."""

    filter: Mapping[str, Any]
    using: str
    params: Mapping[str, Any]
    score_threshold: float
    offset: int


@dataclass(frozen=True, slots=True)
class Request:
    """``query_id`` names this search if two lists are drafted into one: the same id gives the same
    list."""

    alias: str
    query: Query
    user: str | None
    limit: int
    options: Options = field(default_factory=Options)
    query_id: str = ""

    @property
    def words(self) -> bool:
        return isinstance(self.query, str)


@dataclass(frozen=True, slots=True)
class Ask:
    """A search to make: ``collection`` may be the alias. A text is embedded with ``target``'s
    model, which ``clock`` measures. ``whole``: from the first result to the end of the wanted
    page."""

    collection: str
    target: Target
    seconds: float
    whole: bool = False
    clock: EmbeddingClock = field(default_factory=EmbeddingClock)


@dataclass(frozen=True, slots=True)
class Answer:
    """``variant`` is what the route gave the user; with ``fallback`` blue answered instead.
    ``query_id`` is reported with clicks on an interleaved list."""

    collection: str
    variant: str
    results: list[Hit]
    fallback: bool = False
    query_id: str = ""


def build_request(
    alias: str, query: Query, user: str | None, limit: int, options: Options, query_id: str
) -> Request:
    """Raises Refused for an argument that no search takes."""
    check_asker(alias, user, query_id)
    known = Options.__annotations__
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise Refused(
            f"search takes no {unknown[0]}; it takes {', '.join(known)}. Make any other query with "
            "your own client: router.arm, router.call"
        )
    return Request(alias, query, user, limit, options, query_id)


def check_asker(
    alias: object, user: object, query_id: object = "", search: object = callable
) -> None:
    """Raises Refused for arguments of another type than a router takes."""
    if not isinstance(alias, str):
        raise Refused(f"a router takes the name of an alias, not {quote_value(alias)}")
    if user is not None and not isinstance(user, str):
        raise Refused(f"user_id is a text or nothing, not {quote_value(user)}")
    if not isinstance(query_id, str):
        raise Refused(f"query_id is a text, not {quote_value(query_id)}")
    if not callable(search):
        raise Refused(f"router.call takes a function of an arm, not {quote_value(search)}")


def build_query(services: RouterServices, request: Request, ask: Ask) -> tuple[QueryVector, str]:
    """Returns the query in the form for the target, and the name of the searched vector: a text
    becomes the declared search, or that of the vector in ``using``. Raises Refused for a text if no
    model is known, or another than the collection's own, and for a vector that another model must
    have made."""
    target = ask.target
    if not isinstance(request.query, str):
        _check_vector_fits(request, request.query, target)
        return request.query, request.options.get("using", target.using)
    with ask.clock.run():
        return _embed_query(services, request, request.query, target)


def _embed_query(
    services: RouterServices, request: Request, words: str, target: Target
) -> tuple[QueryVector, str]:
    using = request.options.get("using")
    if using is not None:
        return embed_text(services, target, using, words), using
    if not target.made and target.embedding is None:
        raise Refused(f"no model is known for {target.collection}: {_name_next_act(target)}")
    search = build_text_search(
        target.search, target.made or (target.using,), target.names, target.coming
    )
    results = request.limit + request.options.get("offset", 0)
    return search.query(
        lambda name: embed_text(services, target, name, words), results, target.limits
    )


def _name_next_act(target: Target) -> str:
    """A deployment without a model leaves a stamp without one, whatever is declared later."""
    if target.declared:
        return (
            "it was built when the index file declared none. Deploy again: the gate then compares "
            "the declared model with its vectors"
        )
    return "declare embedding.model in the index file"


def _check_vector_fits(request: Request, query: OneQuery, target: Target) -> None:
    params = target.params
    if params is None or request.options.get("using", target.using) != target.using:
        return
    kind = kind_of(params)
    if kind.answers(params, query):
        return
    if kind.name != "dense" or not is_row(query):
        raise Refused(
            f"the query is {describe_vector(query)}, and the vector "
            f"{target.using or 'without a name'} of "
            f"{target.collection} "
            f"is searched with {kind.describe(params)}"
        )
    known = ""
    if target.embedding:
        known = f", made with {target.embedding.model},"
    raise Refused(
        f"the query has {describe_vector(query)}, and the vectors of {target.collection}{known} "
        f"have {target.size}: "
        "another model has made it"
    )


def ask_store(services: RouterServices, request: Request, ask: Ask) -> list[Hit]:
    """Makes the search, and waits for it."""
    asked, using = build_query(services, request, ask)
    limit, how = build_search(request, ask, using)
    return services.store.search(ask.collection, asked, limit, how)


def build_search(request: Request, ask: Ask, using: str) -> tuple[int, SearchParams]:
    """How many results the store is asked for, and how."""
    how = replace(SearchParams(**request.options), seconds=ask.seconds, using=using)
    if not ask.whole:
        return request.limit, how
    return request.limit + how.offset, replace(how, offset=0)
