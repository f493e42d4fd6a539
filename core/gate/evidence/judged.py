"""Judged queries: a JSONL file with a ``query`` and its ``relevant`` records per line.

``relevant`` lists record ids, or maps them to grades: higher is better, 0 means judged and not
useful. A list means grade 1 for each.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from qdrant_rollouts.core.config.index_file import ValidationSpec
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.gate.evidence.context import JudgedQuery
from qdrant_rollouts.core.ports import PointId, Row, Source
from qdrant_rollouts.core.ports.naming import point_id
from qdrant_rollouts.core.sanitize.quoting import quote_value


def source_text(path: str) -> str:
    """Returns the source that reads it; a plain path means JSONL."""
    if ":" in path:
        return path
    return f"jsonl:{path}"


def read_judged(source: Source) -> tuple[JudgedQuery, ...]:
    """Returns every judged query of the file. Raises Refused, naming the line, for an invalid
    one."""
    source.check()
    found: dict[str, JudgedQuery] = {}
    for row in source.read(None):
        judged = parse_judged(row)
        if judged.query in found:
            raise Refused(
                f"{row.where}: query {quote_value(judged.query)} appears twice; judge each once"
            )
        found[judged.query] = judged
    return tuple(found.values())


def parse_judged(row: Row) -> JudgedQuery:
    """Raises Refused, naming the line, for an invalid one."""
    if row.fields is None:
        raise Refused(f"{row.where}: {row.problem}")
    query = row.fields.get("query")
    relevant = row.fields.get("relevant")
    if not isinstance(query, str) or not query.strip():
        raise Refused(f"{row.where}: query is {quote_value(query)}; expected text")
    _check_text(row, query)
    graded = _parse_grades(row, relevant)
    if not any(grade > 0 for grade in graded.values()):
        raise Refused(
            f"{row.where}: relevant names no record with a grade above 0; remove this query"
        )
    points = {id: _point_of_id(id) for id in graded}
    others = {points[id]: other for id in graded if (other := _other_point_of_id(id)) is not None}
    names = {points[id]: str(id) for id in graded}
    return JudgedQuery(query, {points[id]: grade for id, grade in graded.items()}, names, others)


def warn_of_too_few(validation: ValidationSpec, queries: Sequence[JudgedQuery]) -> str:
    """Returns the warning if too few queries are judged to decide anything; empty if there are
    enough, or none."""
    if not 0 < len(queries) < validation.samples.judged:
        return ""
    return describe_too_few(len(queries), validation.samples.judged)


def describe_too_few(number: int, wanted: int) -> str:
    judged = "1 judged query is" if number == 1 else f"{number:,} judged queries are"
    return (
        f"{judged} fewer than the {wanted:,} that decide "
        "(validation.samples.judged): what they "
        f"find is shown only; judge {wanted - number:,} more, or set samples.judged: "
        f"{max(number, 1)}"
    )


def _parse_grades(row: Row, relevant: Any) -> dict[int | str, float]:
    if isinstance(relevant, list):
        return {_check_record_id(row, id): 1.0 for id in relevant}
    if isinstance(relevant, Mapping):
        return {
            _check_record_id(row, id): _parse_grade(row, id, grade)
            for id, grade in relevant.items()
        }
    raise Refused(
        f"{row.where}: relevant is {quote_value(relevant)}; expected a list of ids, or ids with "
        "grades"
    )


def _check_record_id(row: Row, id: Any) -> int | str:
    if isinstance(id, bool) or not isinstance(id, int | str):
        raise Refused(
            f"{row.where}: {quote_value(id)} is not a record id; expected a string or an integer"
        )
    _check_text(row, str(id))
    return id


def _check_text(row: Row, text: str) -> None:
    """Raises Refused for a text that no model takes and no database stores."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise Refused(
            f"{row.where}: {quote_value(text)} holds a NUL or half a character; leave it out"
        )


def _point_of_id(id: int | str) -> PointId:
    """Keys of a JSON object are text: a key that looks like an integer is read as the integer."""
    return point_id(int(id) if _is_number(id) else id)


def _other_point_of_id(id: int | str) -> PointId | None:
    """Returns the point of an id that was read as a number, in case it was text after all."""
    if not _is_number(id):
        return None
    return point_id(str(id))


def _is_number(id: int | str) -> bool:
    return isinstance(id, int) or (id.lstrip("-").isdecimal() and str(int(id)) == id)


def _parse_grade(row: Row, id: Any, grade: Any) -> float:
    if (
        isinstance(grade, bool)
        or not isinstance(grade, int | float)
        or not 0 <= grade < float("inf")
    ):
        raise Refused(
            f"{row.where}: grade of {quote_value(id)} is {quote_value(grade)}; expected a number "
            "from 0"
        )
    return float(grade)
