"""What a request of an application holds: records, changes of records, or ids.

Rule: everything is checked before anything is written, and a message names the first faults.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from qdrant_rollouts.core.collections.record_rules import RecordRules
from qdrant_rollouts.core.collections.records import BadRecord, Record, parse_row
from qdrant_rollouts.core.errors import Malformed
from qdrant_rollouts.core.ports import PointId, Row
from qdrant_rollouts.core.ports.naming import point_id

#: Records of one request: as many as the store takes in one write.
MOST_RECORDS = 256
#: Ids of one request that deletes records.
MOST_IDS = 1_000
#: Faults that a message names.
_NAMED = 10

RecordId = int | str
Given = Sequence[Mapping[str, Any]]


def parse_records(given: Given, rules: RecordRules) -> dict[PointId, Record]:
    """Returns whole records by the ids of their points. Raises Malformed."""
    check_number("records", len(given), MOST_RECORDS)
    parsed = [parse_row(row, rules) for row in _list_rows(given)]
    return _take_records([_check_some_vector(one, rules) for one in parsed])


def parse_changes(given: Given, rules: RecordRules) -> dict[PointId, Record]:
    """Returns the changed fields and the given vectors of records, by the ids of their points.
    Raises Malformed. No text is rendered: a change need not have all fields of a template."""
    check_number("records", len(given), MOST_RECORDS)
    partly = replace(rules, templates={}, required=frozenset())
    return _take_records([parse_row(row, partly) for row in _list_rows(given)])


def parse_ids(given: Sequence[RecordId]) -> dict[PointId, RecordId]:
    """Returns the ids of records by the ids of their points. Raises Malformed."""
    check_number("ids", len(given), MOST_IDS)
    rules = RecordRules(dense={}, vector_field=None)
    rows = [Row(f"ids[{at}]", {"id": one}, {}) for at, one in enumerate(given)]
    parsed = [parse_row(row, rules) for row in rows]
    check_faults([one for one in parsed if isinstance(one, BadRecord)], len(given))
    return {point_id(one): one for one in given}


def check_number(what: str, number: int, most: int) -> None:
    if not 1 <= number <= most:
        raise Malformed(
            f"{what}: found {number:,}; expected 1 to {most:,} in a request; nothing was written, "
            "send them in several requests"
        )


def check_faults(faults: Sequence[BadRecord], number: int) -> None:
    """Raises Malformed if there are any. ``number`` is that of the records in the request."""
    if not faults:
        return
    named = [str(one) for one in faults[:_NAMED]]
    if len(faults) > _NAMED:
        named.append(f"… and {len(faults) - _NAMED:,} more")
    first = (
        f"nothing was written: {len(faults):,} of {number:,} records do not fit the index; correct "
        "them, and send all of them again"
    )
    raise Malformed("\n".join([first, *named]))


def _list_rows(given: Given) -> Iterable[Row]:
    return [Row(f"records[{at}]", dict(fields), {}) for at, fields in enumerate(given)]


def _check_some_vector(one: Record | BadRecord, rules: RecordRules) -> Record | BadRecord:
    """A record without any vector could not be found by a search."""
    if isinstance(one, BadRecord) or one.texts or one.vectors or not rules.names:
        return one
    named = ", ".join(sorted(rules.names))
    return BadRecord(one.where, rules.vector_field or "", f"missing; expected some of {named}")


def _take_records(parsed: Sequence[Record | BadRecord]) -> dict[PointId, Record]:
    records: dict[PointId, Record] = {}
    faults: list[BadRecord] = []
    for one in parsed:
        if isinstance(one, BadRecord):
            faults.append(one)
        elif one.point_id in records:
            first = records[one.point_id].where
            faults.append(BadRecord(one.where, "id", f"is that of {first} too; send each id once"))
        else:
            records[one.point_id] = one
    check_faults(faults, len(parsed))
    return records
