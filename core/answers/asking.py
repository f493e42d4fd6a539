"""What two versions of an index answer to one query, and the judgments of people."""

from typing import Any

from typing_extensions import TypedDict  # pydantic needs typing_extensions before Python 3.12

from qdrant_rollouts.core.answers.words import Moment


class SideAnswer(TypedDict):
    """``record`` is the id by which a judged query names it, ``document`` that of its document if
    it is a chunk. ``moved`` is ``same``, ``up``, ``down``, ``tied`` (only equal scores lie between
    the ranks) or ``only``, seen from left to right, and ``mark`` shows it. ``other_rank`` is the
    rank on the other side."""

    rank: int
    score: float
    record: int | str
    document: int | str | None
    title: str
    text: str
    moved: str
    mark: str
    other_rank: int | None


class Side(TypedDict):
    """One version and its answers. ``name`` is short: ``live``, ``v3`` or the collection. ``error``
    says why it did not answer; empty if it did. ``model`` embeds its queries; None if it is not
    known. ``searched`` are the vectors in words."""

    name: str
    collection: str
    number: int | None
    live: bool
    state: str
    model: str | None
    searched: str
    answers: list[SideAnswer]
    embedding_seconds: float
    search_seconds: float
    error: str


class ComparedAnswers(TypedDict):
    """``right`` is None if there is only one version to ask. ``counts`` are None unless both sides
    answered."""

    alias: str
    query: str
    limit: int
    summary: str
    counts: dict[str, int] | None
    left: Side
    right: Side | None


class JudgedLine(TypedDict):
    """``relevant`` as in the judged file: ids, or ids with grades. ``known``: the declared file has
    this query already, so the line is not in the download."""

    query: str
    relevant: Any
    records: int
    reason: str
    by: str
    at: Moment
    known: bool


class JudgedProposal(TypedDict):
    """The lines that people propose for the judged file of an index, newest first. ``file`` is the
    declared file, None without one; ``unread`` says why it was not read. ``jsonl``: the lines as
    the file takes them."""

    alias: str
    file: str | None
    unread: str
    lines: list[JudgedLine]
    jsonl: str


class JudgmentChange(TypedDict):
    """``changed``: how many lines were; 0 if all was so before. ``lines``: how many the proposal
    has now."""

    alias: str
    changed: int
    lines: int
