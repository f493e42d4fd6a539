"""The proposal of an index: lines that people add to its judged file, after they have seen answers.

Rule: a line is valid for the gate's own reader before it is kept, and no query is in the file and
in the download; so the download can be appended to the file.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from qdrant_rollouts.core.answers.asking import JudgedLine, JudgedProposal, JudgmentChange
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.judgment_rows import JudgmentRow
from qdrant_rollouts.core.errors import Malformed, Refused, Unknown
from qdrant_rollouts.core.gate.evidence.judged import parse_judged
from qdrant_rollouts.core.operations.asking.bounds import (
    LONGEST_IDS,
    MOST_LINES,
    MOST_RELEVANT,
    check_query,
    check_reason,
    check_text,
)
from qdrant_rollouts.core.operations.asking.known import KnownJudgments, read_known
from qdrant_rollouts.core.operations.asking.sides import check_alias
from qdrant_rollouts.core.ports import Row
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso

#: Any number that is the same in every process and no other lock's.
_PROPOSALS = 7_246_127
#: Queries that an event names.
_NAMED = 3

#: Ids of records, or ids with grades: what the judged file takes.
Relevant = Sequence[int | str] | dict[str, float]


def add_judgment(
    services: Services, alias: str, query: str, relevant: Relevant, *, actor: str, reason: str
) -> JudgmentChange:
    """Adds a line to the proposal; a line of the same query is replaced. The same line once more
    changes nothing.

    Raises Unknown for an unknown alias, Malformed for what the judged file does not take, and
    Refused if the file has the query already or the proposal is full.
    """
    words = check_query(query)
    why = check_reason(reason)
    ids = _check_relevant(words, relevant)
    check_alias(services, alias)
    _check_new(read_known(services, alias), words)
    with services.sessions.begin() as session:
        _lock_proposals(session)
        row = session.get(JudgmentRow, (alias, digest_query(words)))
        lines = _count_lines(session, alias)
        if row is not None and (row.relevant, row.reason) == (ids, why):
            return {"alias": alias, "changed": 0, "lines": lines}
        _check_room(alias, lines + (row is None))
        now = services.clock.now(session)
        session.merge(
            JudgmentRow(
                alias=alias,
                digest=digest_query(words),
                query=words,
                relevant=ids,
                reason=why,
                actor=actor,
                at=now,
            )
        )
        event = "judgment.added" if row is None else "judgment.replaced"
        detail = f"{quote_value(words)}: {_count_records(ids)}"
        events.record_event(session, now, event, detail, actor=actor, reason=why, alias=alias)
        return {"alias": alias, "changed": 1, "lines": lines + (row is None)}


def take_out_judgments(
    services: Services, alias: str, queries: Iterable[str], *, actor: str, reason: str = ""
) -> JudgmentChange:
    """Takes the lines of these queries out of the proposal; those that it does not have are left
    out."""
    digests = [digest_query(query.strip()) for query in queries]
    mine = (JudgmentRow.alias == alias, JudgmentRow.digest.in_(digests))
    with services.sessions.begin() as session:
        _lock_proposals(session)
        found = session.scalars(select(JudgmentRow.query).where(*mine)).all()
        session.execute(delete(JudgmentRow).where(*mine))
        if found:
            now = services.clock.now(session)
            events.record_event(
                session,
                now,
                "judgment.taken_out",
                _name_queries(found),
                actor=actor,
                reason=reason,
                alias=alias,
            )
        return {"alias": alias, "changed": len(found), "lines": _count_lines(session, alias)}


def take_out_judgment(
    services: Services, alias: str, query: str, *, actor: str, reason: str = ""
) -> JudgmentChange:
    """Takes one line out. Raises Unknown if the proposal does not have it."""
    changed = take_out_judgments(services, alias, [query], actor=actor, reason=reason)
    if not changed["changed"]:
        raise Unknown(f"the proposal of {alias} has no line for {quote_value(query)}")
    return changed


def take_out_known(services: Services, alias: str, *, actor: str, reason: str) -> JudgmentChange:
    """Takes out what the declared judged file has by now."""
    lines = read_proposal(services, alias)["lines"]
    known = [line["query"] for line in lines if line["known"]]
    return take_out_judgments(services, alias, known, actor=actor, reason=reason)


def read_proposal(services: Services, alias: str) -> JudgedProposal:
    """Raises Unknown for an unknown alias."""
    check_alias(services, alias)
    known = read_known(services, alias)
    with services.sessions() as session:
        rows = session.scalars(
            select(JudgmentRow)
            .where(JudgmentRow.alias == alias)
            .order_by(JudgmentRow.at.desc(), JudgmentRow.digest)
        ).all()
    lines = [_describe_line(row, known) for row in rows]
    return {
        "alias": alias,
        "file": known.file,
        "unread": known.unread,
        "lines": lines,
        "jsonl": "".join(write_line(line) for line in reversed(lines) if not line["known"]),
    }


def find_judgment(services: Services, alias: str, query: str) -> JudgedLine | None:
    """Returns the proposal's line of a query, None without one."""
    with services.sessions() as session:
        row = session.get(JudgmentRow, (alias, digest_query(query)))
    return _describe_line(row, KnownJudgments()) if row is not None else None


def list_relevant(line: JudgedLine) -> list[str]:
    """Returns the ids of the records that are relevant, as text."""
    if isinstance(line["relevant"], dict):
        return [id for id, grade in line["relevant"].items() if grade > 0]
    return list(map(str, line["relevant"]))


def write_line(line: JudgedLine) -> str:
    """Returns the line as the judged file takes it."""
    told = {"query": line["query"], "relevant": line["relevant"]}
    return json.dumps(told, ensure_ascii=False) + "\n"


def digest_query(query: str) -> str:
    return hashlib.blake2b(query.encode(errors="replace"), digest_size=16).hexdigest()


def _describe_line(row: JudgmentRow, known: KnownJudgments) -> JudgedLine:
    return {
        "query": row.query,
        "relevant": row.relevant,
        "records": len(row.relevant),
        "reason": row.reason,
        "by": row.actor,
        "at": str(as_iso(row.at)),
        "known": row.query in known.queries,
    }


def _check_relevant(query: str, relevant: Relevant) -> Any:
    """Returns the ids without repetitions. Raises Malformed for what the gate's reader refuses."""
    ids = relevant if isinstance(relevant, dict) else list(dict.fromkeys(relevant))
    if not ids:
        raise Malformed("no record is marked as relevant; mark at least one")
    if len(ids) > MOST_RELEVANT:
        raise Malformed(f"{len(ids):,} records are marked; at most {MOST_RELEVANT} are taken")
    try:
        parse_judged(Row("request", {"query": query, "relevant": ids}, {"done": 0}))
    except Refused as error:
        raise Malformed(str(error)) from error
    size = sum(len(check_text("a record id", str(id))) for id in ids)
    if size > LONGEST_IDS:
        raise Malformed(
            f"the ids have {size:,} characters together; at most {LONGEST_IDS:,} are taken"
        )
    return ids


def _check_new(known: KnownJudgments, query: str) -> None:
    if query in known.queries:
        raise Refused(
            f"{quote_value(query)} is already judged in {known.file}: a query stands there once; "
            "change its line in the file"
        )


def _check_room(alias: str, lines: int) -> None:
    if lines > MOST_LINES:
        raise Refused(
            f"the proposal of {alias} has {MOST_LINES:,} lines, as many as may be: append them to "
            "the judged file, and take them out"
        )


def _count_lines(session: Session, alias: str) -> int:
    counted = select(func.count()).select_from(JudgmentRow).where(JudgmentRow.alias == alias)
    return session.scalar(counted) or 0


def _lock_proposals(session: Session) -> None:
    """One proposal changes at a time, until the transaction ends: the lines are counted. SQLite's
    transactions begin with the lock of the whole database."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _PROPOSALS})


def _count_records(ids: Sequence[object]) -> str:
    return f"{len(ids):,} record{'s' * (len(ids) != 1)}"


def _name_queries(queries: Sequence[str]) -> str:
    named = ", ".join(quote_value(query) for query in queries[:_NAMED])
    more = len(queries) - _NAMED
    return f"{named} and {more:,} more" if more > 0 else named
