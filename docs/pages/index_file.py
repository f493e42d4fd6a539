"""Every key of the index file with its type and bounds, from its JSON schema."""

from collections.abc import Iterator
from typing import Any

from docs.pages.markdown import joined, lines, table
from qdrant_rollouts.core.config.index_file import IndexFile

_HEAD = """# Keys of the index file

The values that each key takes. `python -m docs.make_reference` makes this page from `IndexFile`.
The [index file](../index-file.md) page has meanings, defaults and examples. `NAME` is a name that
you choose.
"""
_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
    "minLength": "characters at least",
    "maxLength": "characters at most",
    "minItems": "entries at least",
    "pattern": "matching",
}
Schema = dict[str, Any]


def page() -> str:
    schema = IndexFile.model_json_schema()
    rows = [
        [f"`{path}`", lines(kind)] for path, kind in dict.fromkeys(keys(schema, schema["$defs"]))
    ]
    return joined(_HEAD, table(["key", "takes"], rows))


def keys(schema: Schema, known: Schema, path: str = "") -> Iterator[tuple[str, str]]:
    for name, field in schema.get("properties", {}).items():
        yield from _key(f"{path}{name}", field, known)


def _key(path: str, field: Schema, known: Schema) -> Iterator[tuple[str, str]]:
    kinds = [_resolved(kind, known) for kind in field.get("anyOf", field.get("oneOf", [field]))]
    yield path, " or ".join(dict.fromkeys(_kind(kind) for kind in kinds))
    for kind in kinds:
        yield from keys(kind, known, f"{path}.")
        inner = kind.get("additionalProperties")
        if isinstance(inner, dict) and inner:
            yield from _key(f"{path}.NAME", inner, known)


def _resolved(field: Schema, known: Schema) -> Schema:
    name = field.get("$ref", "").rpartition("/")[2]
    return {**known[name], **field} if name else field


def _kind(kind: Schema) -> str:
    if "enum" in kind:
        return ", ".join(f"`{one}`" for one in kind["enum"])
    if "const" in kind:
        return f"`{kind['const']}`"
    bounds = [f"{word} `{kind[name]}`" for name, word in _BOUNDS.items() if name in kind]
    return ", ".join(
        [
            {"object": "keys", "array": "a list", "null": "nothing"}.get(_type(kind), _type(kind)),
            *bounds,
        ]
    )


def _type(kind: Schema) -> str:
    return str(kind.get("type", "any value"))
