"""The types of the HTTP API for TypeScript, from its OpenAPI document."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from qdrant_rollouts.interfaces.http.api import ENDPOINTS
from qdrant_rollouts.interfaces.http.api.document import build_document

_HEAD = (
    "// The types of the HTTP API. `python -m docs.make_reference` makes this file from the\n"
    "// OpenAPI document (`/api/v1/openapi.json`).\n"
)
_PLAIN = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
    "": "unknown",
}
Schema = Mapping[str, Any]


def page() -> str:
    return write_types(build_document(ENDPOINTS))


def write_types(document: Schema) -> str:
    """Returns a type for each schema of the document, and the interface ``Operations`` with the
    request and the answer of each operation."""
    schemas = document["components"]["schemas"]
    parts = [_HEAD, *(_describe_schema(name, schemas[name]) for name in sorted(schemas))]
    return "\n".join([*parts, _describe_operations(document["paths"])])


def _describe_schema(name: str, schema: Schema) -> str:
    return f"{_comment(schema, '')}export type {name} = {_type_of(schema, '')};\n"


def _describe_operations(paths: Mapping[str, Mapping[str, Schema]]) -> str:
    lines = [
        line
        for path in sorted(paths)
        for method, operation in sorted(paths[path].items())
        for line in _describe_operation(path, method, operation)
    ]
    return "\n".join(["export interface Operations {", *lines, "}", ""])


def _describe_operation(path: str, method: str, operation: Schema) -> Iterator[str]:
    content = operation.get("requestBody", {}).get("content", {})
    parameters = [one for one in operation["parameters"] if one["in"] == "query"]
    yield f"  /** {operation['summary']}. */"
    yield f"  {operation['operationId']}: {{"
    yield f"    method: {json.dumps(method.upper())};"
    yield f"    path: {json.dumps(path)};"
    if parameters:
        yield f"    query: {_type_of(_object_of(parameters), '    ')};"
    if content:
        yield f"    body: {_type_of(content['application/json']['schema'], '    ')};"
    yield f"    answer: {_type_of(_answer_of(operation), '    ')};"
    yield "  };"


def _object_of(parameters: Iterable[Schema]) -> Schema:
    named = {one["name"]: one["schema"] for one in parameters}
    return {
        "type": "object",
        "properties": named,
        "required": [one["name"] for one in parameters if one["required"]],
        "additionalProperties": False,
    }


def _answer_of(operation: Schema) -> Schema:
    """Returns the schema of the answer that means success."""
    success = min(status for status in operation["responses"] if status.startswith("2"))
    (content,) = operation["responses"][success]["content"].values()
    schema: Schema = content["schema"]
    return schema


def _type_of(schema: Schema, indent: str) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema or "const" in schema:
        values = schema.get("enum") or [schema["const"]]
        return " | ".join(json.dumps(value) for value in values)
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(_type_of(one, indent) for one in schema["anyOf"]))
    if schema.get("type") == "array":
        return _array_of(schema, indent)
    if schema.get("type") == "object":
        return _object_type(schema, indent)
    return _PLAIN[schema.get("type", "")]


def _array_of(schema: Schema, indent: str) -> str:
    if "prefixItems" in schema:
        return f"[{', '.join(_type_of(one, indent) for one in schema['prefixItems'])}]"
    return f"Array<{_type_of(schema.get('items', {}), indent)}>"


def _object_type(schema: Schema, indent: str) -> str:
    """Other keys than those of ``properties`` have the type of ``additionalProperties``."""
    properties = schema.get("properties", {})
    others = schema.get("additionalProperties", not properties)
    if not properties and others is not False:
        return f"Record<string, {_type_of(_as_schema(others), indent)}>"
    lines = list(_describe_properties(schema, f"{indent}  "))
    if others is not False:
        lines.append(f"{indent}  [name: string]: unknown;")
    if not lines:
        return "Record<string, never>"
    return "\n".join(["{", *lines, f"{indent}}}"])


def _describe_properties(schema: Schema, indent: str) -> Iterator[str]:
    required = schema.get("required", ())
    for name, part in schema.get("properties", {}).items():
        mark = "" if name in required else "?"
        shown = name if name.isidentifier() else json.dumps(name)
        yield f"{_comment(part, indent)}{indent}{shown}{mark}: {_type_of(part, indent)};"


def _as_schema(others: bool | Schema) -> Schema:
    return {} if isinstance(others, bool) else others


def _comment(schema: Schema, indent: str) -> str:
    words = " ".join(schema.get("description", "").replace("``", "`").split())
    if not words:
        return ""
    return f"{indent}/** {words.replace('*/', '* /')} */\n"
