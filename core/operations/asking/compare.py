"""Asks two versions the same query, each with its own model and by the declared search."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from qdrant_rollouts.core.answers.asking import ComparedAnswers, Side, SideAnswer
from qdrant_rollouts.core.defaults import CALL_SECONDS, RESULTS
from qdrant_rollouts.core.errors import AppError, Refused
from qdrant_rollouts.core.operations.asking.bounds import check_number_of_answers, check_query
from qdrant_rollouts.core.operations.asking.excerpts import (
    excerpt_text,
    excerpt_title,
    find_document,
    find_record_id,
)
from qdrant_rollouts.core.operations.asking.moves import (
    Move,
    Ranked,
    compare_ranks,
    count_moves,
    describe_counts,
)
from qdrant_rollouts.core.operations.asking.sides import AskedVersion, choose_sides
from qdrant_rollouts.core.ports import Fused, Hit, PointId, QueryVector
from qdrant_rollouts.core.routing.embedding_clock import EmbeddingClock
from qdrant_rollouts.core.routing.request import Ask, Request, build_query, build_search
from qdrant_rollouts.core.routing.sql_control_plane import as_router_services
from qdrant_rollouts.core.routing.target import Target, read_target
from qdrant_rollouts.core.services import Services


@dataclass(slots=True)
class _Asked:
    """One version, and what it answered so far. ``error`` says why it did not."""

    version: AskedVersion
    target: Target | None = None
    hits: list[Hit] = field(default_factory=list)
    searched: str = ""
    embedding_seconds: float = 0.0
    search_seconds: float = 0.0
    error: str = ""

    @property
    def ranked(self) -> Ranked:
        return [(hit.id, hit.score) for hit in self.hits]


def compare_answers(
    services: Services,
    alias: str,
    query: str,
    left: str = "",
    right: str = "",
    limit: int = RESULTS,
) -> ComparedAnswers:
    """Returns the answers of both versions and how their ranks differ. Each version is named by its
    number or collection; see ``sides`` for the defaults. If one does not answer, its side says why.

    Raises Malformed for a query or a limit out of bounds, Unknown for an unknown alias or version.
    """
    words = check_query(query)
    check_number_of_answers(limit)
    chosen = choose_sides(services, alias, left, right)
    asked = [_ask_version(services, alias, one, words, limit) for one in chosen if one is not None]
    one = asked[0]
    other = asked[1] if len(asked) > 1 else None
    moves: Mapping[PointId, Move] = {}
    counts = None
    if other is not None and not one.error and not other.error:
        moves = compare_ranks(one.ranked, other.ranked)
        counts = count_moves(moves)
    return {
        "alias": alias,
        "query": words,
        "limit": limit,
        "summary": _summarize(one, other, counts),
        "counts": counts,
        "left": _describe_side(one, moves, own="left"),
        "right": _describe_side(other, moves, own="right") if other is not None else None,
    }


def _ask_version(
    services: Services, alias: str, version: AskedVersion, query: str, limit: int
) -> _Asked:
    asked = _Asked(version)
    clock = EmbeddingClock()
    try:
        _fill_answers(services, alias, asked, Request(alias, query, None, limit), clock)
    except AppError as error:
        asked.error = str(error)
    asked.embedding_seconds = clock.seconds
    return asked


def _fill_answers(
    services: Services, alias: str, asked: _Asked, request: Request, clock: EmbeddingClock
) -> None:
    """Searches as a router would, but this collection and no other."""
    collection = asked.version.collection
    if collection not in services.store.collections():
        raise Refused(f"the collection {collection} no longer exists: ask another version")
    routed = as_router_services(services)
    asked.target = read_target(routed, alias, collection, {})
    ask = Ask(collection, asked.target, CALL_SECONDS, clock=clock)
    query, using = build_query(routed, request, ask)
    asked.searched = _name_vectors(query, using)
    limit, how = build_search(request, ask, using)
    began = time.perf_counter()
    try:
        asked.hits = services.store.search(collection, query, limit, how)
    finally:
        asked.search_seconds = time.perf_counter() - began


def _name_vectors(query: QueryVector, using: str) -> str:
    """Returns in words what was searched; empty for the unnamed vector."""
    if not isinstance(query, Fused):
        return using
    names = " and ".join(part.using or "unnamed" for part in query.parts)
    return f"{names}, fused by {query.fusion}"


def _describe_side(asked: _Asked, moves: Mapping[PointId, Move], *, own: str) -> Side:
    version = asked.version
    return {
        "name": version.name,
        "collection": version.collection,
        "number": version.number,
        "live": version.live,
        "state": version.state,
        "model": _name_model(asked.target),
        "searched": asked.searched,
        "answers": [
            _describe_answer(hit, rank, asked.target, moves.get(hit.id), own)
            for rank, hit in enumerate(asked.hits, 1)
        ],
        "embedding_seconds": asked.embedding_seconds,
        "search_seconds": asked.search_seconds,
        "error": asked.error,
    }


def _name_model(target: Target | None) -> str | None:
    """Returns the model of the main vector; else the models of the others."""
    if target is None:
        return None
    if target.embedding is not None:
        return target.embedding.model
    models = [by.embedding.model for by in target.made.values() if by.embedding is not None]
    return ", ".join(dict.fromkeys(models)) or None


def _describe_answer(
    hit: Hit, rank: int, target: Target | None, move: Move | None, own: str
) -> SideAnswer:
    other = None
    if move is not None:
        other = move.right if own == "left" else move.left
    return {
        "rank": rank,
        "score": hit.score,
        "record": find_record_id(hit),
        "document": find_document(hit),
        "title": excerpt_title(hit.payload),
        "text": excerpt_text(_templates_of(target), hit.payload),
        "moved": move.kind if move is not None else "",
        "mark": move.mark if move is not None else "",
        "other_rank": other,
    }


def _templates_of(target: Target | None) -> dict[str, str]:
    if target is None:
        return {}
    found = {name: by.template for name, by in target.made.items()}
    if not found and target.embedding is not None:
        found = {target.using: target.embedding.text}
    return found


def _summarize(one: _Asked, other: _Asked | None, counts: Mapping[str, int] | None) -> str:
    if counts is not None and other is not None:
        return describe_counts(counts, one.version.name, other.version.name)
    answered = [each.version.name for each in (one, other) if each is not None and not each.error]
    if not answered:
        return "No version answered"
    if other is None:
        return "There is only one version to ask"
    return f"Only {answered[0]} answered"
