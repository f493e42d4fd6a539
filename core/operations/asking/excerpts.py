"""What is shown of an answer, and by which id a judgment names it.

Rule: an id of the judged file is the one from which the gate derives the point: the record's own,
a chunk's own, and of a point that another program made the point's.
"""

from collections.abc import Mapping
from typing import Any

from qdrant_rollouts.core.collections.chunks import CHUNK_FIELD
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.gate.evidence.texts import text_of
from qdrant_rollouts.core.gate.evidence.titles import find_title
from qdrant_rollouts.core.ports import Hit
from qdrant_rollouts.core.ports.naming import point_id

#: Characters of a text, and of a title.
_LONGEST = 240
_LONGEST_TITLE = 120


def find_record_id(hit: Hit) -> int | str:
    """Returns the id by which a judged query names the record."""
    named = hit.payload.get("id")
    try:
        if isinstance(named, int | str) and point_id(named) == hit.id:
            return named
    except Refused:
        pass
    return hit.id


def find_document(hit: Hit) -> int | str | None:
    """Returns the document of a chunk; None for any other record."""
    chunk = hit.payload.get(CHUNK_FIELD)
    if not isinstance(chunk, Mapping) or "number" not in chunk:
        return None
    document = chunk.get("document")
    return document if isinstance(document, int | str) else None


def excerpt_title(payload: Mapping[str, Any]) -> str:
    return _shorten(find_title(payload, "*"), _LONGEST_TITLE)


def excerpt_text(templates: Mapping[str, str], payload: Mapping[str, Any]) -> str:
    """Returns the beginning of the text that was embedded, without the title; if that is all, of
    the longest text of the payload."""
    title = find_title(payload, "*")
    for text in (text_of(templates, payload), text_of({}, payload)):
        plain = " ".join((text or "").split()).removeprefix(title).strip()
        if plain:
            return _shorten(plain, _LONGEST)
    return ""


def _shorten(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    return f"{text[:most].rstrip()}…"
