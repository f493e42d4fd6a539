"""Judged queries: a JSONL file with a ``query`` and its ``relevant`` records per line.

``relevant`` lists record ids, or maps them to grades: more is better, 0 was looked at and is of no use. A list means
grade 1 for each.
"""

from collections.abc import Mapping
from typing import Any

from core.errors import Refused
from core.evidence.context import Judged
from core.naming import point_id
from core.ports import PointId, Row, Source
from core.quoting import quoted


def source_text(path: str) -> str:
    """The source that reads it; a plain path means JSONL."""
    return path if ":" in path else f"jsonl:{path}"


def read(source: Source) -> tuple[Judged, ...]:
    """Every judged query of the file. Raises Refused, naming the line, for one that cannot be used."""
    source.check()
    found: dict[str, Judged] = {}
    for row in source.read(None):
        judged = _judged(row)
        if judged.query in found:
            raise Refused(f"{row.where}: query {quoted(judged.query)} stands twice; judge each once")
        found[judged.query] = judged
    return tuple(found.values())


def _judged(row: Row) -> Judged:
    if row.fields is None:
        raise Refused(f"{row.where}: {row.problem}")
    query, relevant = row.fields.get("query"), row.fields.get("relevant")
    if not isinstance(query, str) or not query.strip():
        raise Refused(f"{row.where}: query is {quoted(query)}; expected text")
    grades = _grades(row, relevant)
    if not any(grade > 0 for grade in grades.values()):
        raise Refused(f"{row.where}: relevant names no record of a grade above 0; leave such a query out")
    return Judged(query, grades)


def _grades(row: Row, relevant: Any) -> dict[PointId, float]:
    if isinstance(relevant, list):
        return {_point(row, id): 1.0 for id in relevant}
    if isinstance(relevant, Mapping):
        return {_point(row, id): _grade(row, id, grade) for id, grade in relevant.items()}
    raise Refused(f"{row.where}: relevant is {quoted(relevant)}; expected a list of ids, or ids with grades")


def _point(row: Row, id: Any) -> PointId:
    """Keys of a JSON object are text: one that is an integer's is taken for the integer."""
    if isinstance(id, bool) or not isinstance(id, int | str):
        raise Refused(f"{row.where}: {quoted(id)} is no record id; expected a string or an integer")
    return point_id(int(id) if isinstance(id, str) and id.lstrip("-").isdecimal() and str(int(id)) == id else id)


def _grade(row: Row, id: Any, grade: Any) -> float:
    if isinstance(grade, bool) or not isinstance(grade, int | float) or not 0 <= grade < float("inf"):
        raise Refused(f"{row.where}: grade of {quoted(id)} is {quoted(grade)}; expected a number from 0")
    return float(grade)
