"""What a collection, or a sample of records, shows about itself, for a person who declares an index
over it. It reads and changes nothing.

Rule: what cannot be known is left open. The fields of a sample are suggestions, and a model is
named only if the collection's stamp names it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from qdrant_rollouts.core.collections.readiness import estimate_points
from qdrant_rollouts.core.collections.stamps import MadeBy, Stamp
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import CollectionStore, Schema, VectorStore

#: Records that are looked at.
SAMPLE = 50
#: Fields that name a record, the likeliest first.
_TITLES = ("title", "name", "heading", "headline", "subject")
#: A text has this many words, or this many characters of a script that may have no spaces.
_WORDS = 3
_CHARACTERS = 8
#: The share of a field's values that must be texts.
_MOSTLY = 0.5
#: A field whose values repeat has at most this share of different values, and short ones.
_FEW = 0.25
_LONGEST_WORD = 64
_MOST_TENANTS = 3
_TENANT = re.compile(
    r"(tenant|customer|client|account|org|organi[sz]ation|company|team|workspace|project|user"
    r"|group|shop|store|site|language|lang|locale)(_?id)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class FoundFields:
    """What ``sampled`` records have in common. ``title`` and ``body`` are in every one of them;
    empty if there is no such field. ``tenants`` are fields whose values look like tenants, with the
    type of the payload index that they need."""

    sampled: int = 0
    title: str = ""
    body: str = ""
    tenants: Mapping[str, str] = field(default_factory=dict)

    @property
    def template(self) -> str:
        """Returns the text template of these fields; empty if there is none."""
        return "\n".join(f"{{{name}}}" for name in (self.title, self.body) if name)


@dataclass(frozen=True, slots=True)
class Survey:
    """``made`` says what makes each vector, as far as the collection's stamp tells."""

    collection: str
    points: int
    schema: Schema
    fields: FoundFields = FoundFields()
    made: Mapping[str, MadeBy] = field(default_factory=dict)

    @property
    def payload_indexes(self) -> dict[str, str]:
        """Returns the type of each payload index, by field."""
        found = self.schema.get("payload_schema") or {}
        return {name: str(index["data_type"]) for name, index in sorted(found.items())}

    @property
    def tenant_indexes(self) -> tuple[str, ...]:
        """Returns the fields whose payload index says that they name a tenant."""
        found = self.schema.get("payload_schema") or {}
        return tuple(
            name for name in sorted(found) if (found[name].get("params") or {}).get("is_tenant")
        )


def survey_collection(store: VectorStore, collection: str) -> Survey:
    """Raises Refused if there is no such collection, and Unavailable as the store does."""
    store.pace(collection)
    return Survey(
        collection,
        estimate_points(store, collection),
        store.schema(collection),
        find_fields(_draw_payloads(store, collection)),
        _read_makers(store, collection),
    )


def find_fields(records: Iterable[Mapping[str, Any]]) -> FoundFields:
    """Returns what the records have in common. Only plain names count: a text template has no
    others."""
    known = list(records)
    values = {
        name: [record[name] for record in known]
        for name in dict.fromkeys(name for record in known for name in record)
        if name.isidentifier() and all(record.get(name) is not None for record in known)
    }
    title = next((name for name in _TITLES if _is_filled(values.get(name, ()))), "")
    texts = {name: found for name, found in values.items() if _hold_texts(found) and name != title}
    body = max(texts, key=lambda name: fmean(map(len, texts[name])), default="")
    return FoundFields(len(known), title, body, _find_tenants(values, {title, *texts}))


def _draw_payloads(store: VectorStore, collection: str) -> list[dict[str, Any]]:
    """Strict mode may not allow random points; then the first ones are taken."""
    try:
        ids = store.draw_ids(collection, SAMPLE)
        points = store.fetch(collection, ids, vectors=False)
    except Refused:
        points, _ = store.scroll(collection, None, SAMPLE, vectors=False)
    return [point.payload for point in points]


def _read_makers(store: CollectionStore, collection: str) -> Mapping[str, MadeBy]:
    stamp = Stamp.of(store.metadata(collection))
    if stamp is None:
        return {}
    return stamp.made


def _is_filled(values: Sequence[Any]) -> bool:
    return bool(values) and all(isinstance(value, str) and value.strip() for value in values)


def _hold_texts(values: Sequence[Any]) -> bool:
    return _is_filled(values) and fmean(map(_reads_as_text, values)) >= _MOSTLY


def _reads_as_text(value: str) -> bool:
    """JSON in a string is no text, and neither is an address or an id."""
    if value.lstrip().startswith(("{", "[")):
        return False
    return len(value.split()) >= _WORDS or (not value.isascii() and len(value) >= _CHARACTERS)


def _find_tenants(values: Mapping[str, Sequence[Any]], others: set[str]) -> dict[str, str]:
    """Returns fields with a tenant's name first, then others whose values repeat."""
    words = {
        name: set(found)
        for name, found in values.items()
        if name not in others and all(map(_is_word, found))
    }
    named = [name for name in words if _TENANT.fullmatch(name) and len(words[name]) > 1]
    few = [
        name
        for name in words
        if name not in named and 1 < len(words[name]) <= _FEW * len(values[name])
    ]
    return {name: _index_type(words[name]) for name in (named + few)[:_MOST_TENANTS]}


def _index_type(values: Iterable[Any]) -> str:
    if all(isinstance(value, int) for value in values):
        return "integer"
    return "keyword"


def _is_word(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return True
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_WORD and not value.split()[1:]
