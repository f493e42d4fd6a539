"""Names: which are legal, and how a collection's is derived."""

import re
import uuid
from collections.abc import Container
from datetime import datetime

from core.errors import Malformed, Refused
from core.ports import PointId
from core.quoting import quoted

_LEGAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
#: Namespace of point ids made from record ids that are neither integers nor UUIDs; never change it.
_RECORDS = uuid.UUID("6f2d3c1e-5a0b-5d4e-9c57-0b6a4f0e8d11")


def check_name(what: str, name: object) -> str:
    """``name`` if it is legal. Raises Malformed."""
    if not isinstance(name, str) or not _LEGAL.fullmatch(name):
        raise Malformed(
            f"{what} name {quoted(name)} is not allowed: expected 1 to 128 letters, digits, '_' or '-', "
            "beginning with a letter or digit"
        )
    return name


def collection_name(alias: str, now: datetime, taken: Container[str]) -> str:
    """``{alias}_{YYYYMMDD_HHMMSS}``, with ``_2``, ``_3`` … if that name was ever used."""
    first = name = f"{alias}_{now:%Y%m%d_%H%M%S}"
    number = 1
    while name in taken:
        number += 1
        name = f"{first}_{number}"
    return name


def point_id(record_id: int | str) -> PointId:
    """Integers from 0 to 2^64-1 and canonically written UUIDs as they are, anything else by UUIDv5: always the same id.

    Other spellings of a UUID (upper case, braces, no hyphens) are strings like any other: taken as UUIDs, two different
    record ids would meet in one point. Raises Refused for a boolean, which Python would take for an integer.
    """
    if isinstance(record_id, bool):
        raise Refused(f"record id {quoted(record_id)} is not allowed: expected a string or an integer")
    if isinstance(record_id, int) and 0 <= record_id < 2**64:
        return record_id
    if isinstance(record_id, str) and _is_uuid(record_id):
        return record_id
    return str(uuid.uuid5(_RECORDS, f"{type(record_id).__name__}:{record_id}"))


def chunk_id(document: int | str, number: int) -> str:
    """A document's chunk, counted from 0: a UUIDv5, always the same; the document ids 1 and "1" have different ones."""
    return str(uuid.uuid5(_RECORDS, f"chunk:{number}:{type(document).__name__}:{document}"))


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
