"""Judged queries: a JSONL file with a ``query`` and its ``relevant`` records per line.

``relevant`` lists record ids, or maps them to grades: more is better, 0 was looked at and is of no use. A list means
grade 1 for each.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from qdrant_rollouts.core.config.index_file import ValidationSpec
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.gate.evidence.context import Judged
from qdrant_rollouts.core.ports import PointId, Row, Source
from qdrant_rollouts.core.ports.naming import point_id
from qdrant_rollouts.core.sanitize.quoting import quoted


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
    graded = _grades(row, relevant)
    if not any(grade > 0 for grade in graded.values()):
        raise Refused(f"{row.where}: relevant names no record of a grade above 0; leave such a query out")
    points = {id: _point(id) for id in graded}
    others = {points[id]: other for id in graded if (other := _otherwise(id)) is not None}
    names = {points[id]: str(id) for id in graded}
    return Judged(query, {points[id]: grade for id, grade in graded.items()}, names, others)


def too_few(validation: ValidationSpec, queries: Sequence[Judged]) -> str:
    """What is said where so few queries are judged that they decide nothing; nothing where they are enough, or none."""
    if not 0 < len(queries) < validation.samples.judged:
        return ""
    return few(len(queries), validation.samples.judged)


def few(number: int, wanted: int) -> str:
    return (
        f"{number:,} judged queries are fewer than the {wanted:,} that decide (validation.samples.judged): what they "
        f"find is shown only; judge {wanted - number:,} more, or set samples.judged: {max(number, 1)}"
    )


def _grades(row: Row, relevant: Any) -> dict[int | str, float]:
    if isinstance(relevant, list):
        return {_id(row, id): 1.0 for id in relevant}
    if isinstance(relevant, Mapping):
        return {_id(row, id): _grade(row, id, grade) for id, grade in relevant.items()}
    raise Refused(f"{row.where}: relevant is {quoted(relevant)}; expected a list of ids, or ids with grades")


def _id(row: Row, id: Any) -> int | str:
    if isinstance(id, bool) or not isinstance(id, int | str):
        raise Refused(f"{row.where}: {quoted(id)} is no record id; expected a string or an integer")
    return id


def _point(id: int | str) -> PointId:
    """Keys of a JSON object are text: one that is an integer's is taken for the integer."""
    return point_id(int(id) if _is_number(id) else id)


def _otherwise(id: int | str) -> PointId | None:
    """The point of an id that is read as a number, if it was text after all."""
    return point_id(str(id)) if _is_number(id) else None


def _is_number(id: int | str) -> bool:
    return isinstance(id, int) or (id.lstrip("-").isdecimal() and str(int(id)) == id)


def _grade(row: Row, id: Any, grade: Any) -> float:
    if isinstance(grade, bool) or not isinstance(grade, int | float) or not 0 <= grade < float("inf"):
        raise Refused(f"{row.where}: grade of {quoted(id)} is {quoted(grade)}; expected a number from 0")
    return float(grade)
