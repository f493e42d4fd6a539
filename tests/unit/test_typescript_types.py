"""The types that TypeScript applications use. ``test_pages.py`` says whether the committed ones are
those of the present document."""

from docs.pages import typescript
from qdrant_rollouts.interfaces.http.api import ENDPOINTS
from qdrant_rollouts.interfaces.http.api.document import build_document


def test_every_operation_has_its_request_and_its_answer():
    written = typescript.page()
    paths = build_document(ENDPOINTS)["paths"]
    operations = [one["operationId"] for path in paths.values() for one in path.values()]
    assert len(operations) > len(ENDPOINTS)
    assert all(f"  {operation}: {{" in written for operation in operations)


def test_a_schema_becomes_the_type_that_it_means():
    schemas = {
        "Thing": {
            "type": "object",
            "required": ["id"],
            "properties": {
                "id": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                "size": {"anyOf": [{"type": "integer"}, {"type": "number"}, {"type": "null"}]},
                "state": {"enum": ["on", "off"]},
                "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"$ref": "#/x/Pay"}]},
                "any": {},
            },
            "additionalProperties": True,
        },
        "Pay": {"type": "object", "additionalProperties": {"type": "boolean"}},
        "Nothing": {"type": "object", "properties": {}, "additionalProperties": False},
    }
    written = typescript.write_types({"components": {"schemas": schemas}, "paths": {}})
    for line in (
        "id: string | number;",
        "size?: number | null;",
        'state?: "on" | "off";',
        "pair?: [string, Pay];",
        "any?: unknown;",
        "[name: string]: unknown;",
        "export type Pay = Record<string, boolean>;",
        "export type Nothing = Record<string, never>;",
    ):
        assert line in written
