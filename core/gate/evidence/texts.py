"""The texts of points: of a sample of green, and in the live collection.

Rule: a point's text is what the templates of the index make of its payload. If nothing is made from
text, it is the longest text of the payload with more than one word, in any field.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from qdrant_rollouts.core.collections.records import MARK_KEY
from qdrant_rollouts.core.collections.stamps import MadeBy, read_stamp
from qdrant_rollouts.core.config.index_file import render_text
from qdrant_rollouts.core.gate.evidence.context import GateContext, IsTurnOver
from qdrant_rollouts.core.gate.evidence.vectors import drawn_ids
from qdrant_rollouts.core.ports import Point, PointId, State

_CHUNK = 64
_EXAMPLES = 3
_REPEATED = 20
#: Characters of a text that is shown beside another.
_SHOWN = 200
_WORD = re.compile(r"\w+")


def text_of(
    templates: Mapping[str, str], payload: Mapping[str, Any], vector: str | None = None
) -> str | None:
    """Returns the text of a point, or of one of its vectors if that has its own template; None if
    there is none."""
    if not templates:
        return max(_list_sentences(payload), key=len, default=None)
    own = None
    if vector is not None:
        own = templates.get(vector)
    wanted = [own] if own is not None else list(dict.fromkeys(templates.values()))
    made = [text for template in wanted if (text := render_text(template, payload)) is not None]
    return "\n".join(made) or None


def sort_words(text: str) -> tuple[str, ...]:
    """Returns its words in a fixed order, because a model that reads words ignores punctuation."""
    return tuple(sorted(_WORD.findall(text.casefold()))) or (text.strip(),)


def show_text(text: str) -> str:
    plain = " ".join(text.split())
    if len(plain) <= _SHOWN:
        return plain
    return f"{plain[:_SHOWN]}…"


def _list_sentences(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if len(value.split()) > 1:
            yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if name != MARK_KEY:
                yield from _list_sentences(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _list_sentences(inner)


def collect_texts(gate: GateContext, over: IsTurnOver) -> float | None:
    """Needs the ids of ``vectors``. Records by digest how often each text occurs in the sample, and
    how many of the records in both collections have different texts."""
    memory = gate.part("texts")
    ids = drawn_ids(gate)[: gate.spec.validation.samples.records]
    while int(memory.get("at", 0)) < len(ids):
        gate.breathe()
        at = int(memory.get("at", 0))
        _note_texts(gate, memory, ids[at : at + _CHUNK])
        memory["at"] = at + _CHUNK
        if over():
            break
    if int(memory.get("at", 0)) < len(ids):
        return 0.0
    memory["anew"] = _is_declared_anew(gate)
    return None


def _note_texts(gate: GateContext, memory: State, ids: Sequence[PointId]) -> None:
    green = gate.store.fetch(gate.green, ids, vectors=False)
    if gate.live is not None:
        live = gate.store.fetch(gate.live.collection, ids, vectors=False)
    else:
        live = []
    theirs = {point.id: point for point in live}
    for point in sorted(green, key=lambda one: ids.index(one.id)):
        ours = text_of(gate.plan.templates, point.payload)
        if ours is not None:
            _remember_repeated(memory, ours)
            _add_digest(memory, "green", ours)
        if point.id in theirs:
            _compare_texts(
                memory, point, ours, text_of(gate.plan.templates, theirs[point.id].payload)
            )


def _compare_texts(memory: State, point: Point, ours: str | None, theirs: str | None) -> None:
    if theirs is not None:
        _add_digest(memory, "live", theirs)
    if ours is None or theirs is None:
        return
    memory["common"] = int(memory.get("common", 0)) + 1
    if sort_words(ours) == sort_words(theirs):
        return
    memory["changed"] = int(memory.get("changed", 0)) + 1
    memory["examples"] = [
        *memory.get("examples", []),
        [point.id, show_text(theirs), show_text(ours)],
    ][:_EXAMPLES]


def _remember_repeated(memory: State, text: str) -> None:
    """Keeps a few of the texts that occur more than once; the most frequent ones are met early."""
    repeated = memory.setdefault("repeated", {})
    digest = _digest_text(text)
    if len(repeated) < _REPEATED and digest in memory.get("green", []):
        repeated.setdefault(digest, show_text(text))


def _add_digest(memory: State, side: str, text: str) -> None:
    """In the order of the sample, so that equally many of both sides can be compared."""
    memory.setdefault(side, []).append(_digest_text(text))


def _digest_text(text: str) -> str:
    return hashlib.blake2b(
        "\0".join(sort_words(text)).encode(errors="replace"), digest_size=6
    ).hexdigest()


def most_frequent(digests: Sequence[str]) -> tuple[str, int]:
    """Returns the most frequent text, and how often it occurs."""
    return Counter(digests).most_common(1)[0]


def _is_declared_anew(gate: GateContext) -> bool:
    """Are texts now made from other fields, or cut into other chunks?"""
    if gate.live is None:
        return False
    stamp = read_stamp(gate.store, gate.live.collection)
    before = stamp.made if stamp is not None else {}
    if not before:
        return False
    templates = (
        by.template != gate.makers[name].template
        for name, by in before.items()
        if name in gate.makers
    )
    return any(templates) or _chunk_settings(before.values()) != _chunk_settings(
        [maker.by for maker in gate.makers.values()]
    )


def _chunk_settings(made: Iterable[MadeBy]) -> set[str]:
    return {
        str(by.embedding.chunk)
        for by in made
        if by.embedding is not None and by.embedding.chunk is not None
    }
