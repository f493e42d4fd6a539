"""Names: which are legal, and how a collection's is derived.

Rule: names that this program gives follow a strict rule. Names that others gave follow Qdrant's
own rule: a stricter one would only keep people from their own data.
"""

import re
import shlex
import unicodedata
import uuid
from collections.abc import Container
from datetime import datetime

from qdrant_rollouts.core.errors import Malformed, Refused
from qdrant_rollouts.core.ports import PointId
from qdrant_rollouts.core.sanitize.quoting import quote_value

_LEGAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
#: The most characters of a name that Qdrant accepts.
LONGEST_NAME = 255
#: Bytes of the longest collection name of which Qdrant 1.16.3 makes a snapshot: the folder it is
#: made in has a name 58 bytes longer, and a file system takes 255.
LONGEST_WITH_SNAPSHOT = 197
#: Characters of an alias that a derived name takes over if the alias is not legal for ours.
_STEM = 64
#: Characters of a wrong name that a message repeats.
_SHOWN = 80
#: Namespace of point ids made from record ids that are neither integers nor UUIDs; never change it.
_RECORDS = uuid.UUID("6f2d3c1e-5a0b-5d4e-9c57-0b6a4f0e8d11")


def check_name(what: str, name: object) -> str:
    """``name`` if this program may give it to something. Raises Malformed."""
    if not isinstance(name, str) or not _LEGAL.fullmatch(name):
        raise Malformed(
            f"{what} name {quote_value(name)} is not allowed: expected 1 to 128 letters, digits, "
            "'_' or '-', "
            "beginning with a letter or digit"
        )
    return name


def check_found_name(what: str, name: object) -> str:
    """``name`` if an alias or a collection of this name can be asked for: Qdrant's rule for
    requests (qdrant-facts 2.13). Raises Malformed."""
    if (
        not isinstance(name, str)
        or not 1 <= len(name) <= LONGEST_NAME
        or not _can_be_asked_for(name)
    ):
        raise Malformed(
            f"{what} name {_shorten_name(name)} is not allowed: Qdrant takes 1 to {LONGEST_NAME} "
            "characters "
            "without '/' and NUL, and neither '.' nor '..'"
        )
    return name


def shell_word(name: str) -> str:
    """``name`` as a person can paste it into a command line, behind a verb."""
    word = shlex.quote(name)
    if name.startswith("-"):
        return f"-- {word}"
    return word


def collection_name(alias: str, now: datetime, taken: Container[str]) -> str:
    """``{alias}_{YYYYMMDD_HHMMSS}``, with ``_2``, ``_3`` … if that name was ever used. If others
    named the alias, characters that our names may not have are left out."""
    first = name = f"{_derive_stem(alias)}_{now:%Y%m%d_%H%M%S}"
    number = 1
    while name in taken:
        number += 1
        name = f"{first}_{number}"
    return name


def free_alias(wanted: str, taken: Container[str]) -> str:
    """A name for a new alias: ``wanted``, without characters that our names may not have, with
    ``_2``, ``_3`` … if an alias or a collection has that name."""
    first = name = _derive_stem(wanted)
    number = 1
    while name in taken:
        number += 1
        name = f"{first}_{number}"
    return name


def point_id(record_id: int | str) -> PointId:
    """Integers from 0 to 2^64-1 and canonically written UUIDs as they are, anything else by UUIDv5:
    always the same id.

    Other spellings of a UUID (upper case, braces, no hyphens) are strings like any other: taken as
    UUIDs, two different record ids would meet in one point. Raises Refused for a boolean, which
    Python would take for an integer.
    """
    if isinstance(record_id, bool):
        raise Refused(
            f"record id {quote_value(record_id)} is not allowed: expected a string or an integer"
        )
    if isinstance(record_id, int) and 0 <= record_id < 2**64:
        return record_id
    if isinstance(record_id, str) and _is_uuid(record_id):
        return record_id
    return str(uuid.uuid5(_RECORDS, f"{type(record_id).__name__}:{record_id}"))


def chunk_id(document: int | str, number: int) -> str:
    """A document's chunk, counted from 0: a UUIDv5, always the same; the document ids 1 and "1"
    have different ones."""
    return str(uuid.uuid5(_RECORDS, f"chunk:{number}:{type(document).__name__}:{document}"))


def _derive_stem(alias: str) -> str:
    if _LEGAL.fullmatch(alias):
        return alias
    plain = unicodedata.normalize("NFKD", alias).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_-]+", "-", plain)[:_STEM].strip("_-") or "index"


def _can_be_asked_for(name: str) -> bool:
    """A path of "." or ".." leads elsewhere, and half of a surrogate pair is no text."""
    if "/" in name or "\0" in name or name in (".", ".."):
        return False
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _shorten_name(name: object) -> str:
    text = repr(name)
    if len(text) <= _SHOWN:
        return text
    return f"{text[:_SHOWN]}… ({len(text):,} characters)"


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
