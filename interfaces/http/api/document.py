"""The OpenAPI 3.1 document, made from the table of endpoints and the models that check requests."""

import importlib.metadata
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter

from qdrant_rollouts.core.ports.naming import LONGEST_NAME
from qdrant_rollouts.interfaces.http.api.endpoint import FOREIGN_NAMES, PREFIX, Endpoint, Query
from qdrant_rollouts.interfaces.http.problems import KINDS, MEDIA_TYPE

Part = dict[str, Any]

_SCHEMAS = "#/components/schemas/{model}"
_NAME = {"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$"}
#: A name given by Qdrant's users; percent-encoded in the path.
_FOUND_NAME = {
    "type": "string",
    "minLength": 1,
    "maxLength": LONGEST_NAME,
    "pattern": r"^[^/\u0000]+$",
}
_PROBLEMS = {
    401: "The token is missing or not valid",
    403: "The token does not have the needed scope, or the request comes from another site",
    404: "The thing does not exist",
    408: "The request did not come in time",
    409: "Refused as things stand: the same that the command line says",
    413: "More than a megabyte was sent",
    422: "Something in the request can never be right",
    429: "Too many writes of records at once; repeat it",
    503: "A server did not answer, or there are too many requests at once; try again",
}


def build_document(endpoints: Iterable[Endpoint]) -> Part:
    table = list(endpoints)
    answers, schemas = _build_schemas(table)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "qdrant-rollouts",
            "version": importlib.metadata.version("qdrant-rollouts"),
            "description": "Rebuilds Qdrant collections behind an alias, and searches through what "
            "serves.",
        },
        "security": [{"token": []}],
        "paths": _build_paths(table, schemas, answers),
        "components": {
            "schemas": {**schemas, "Problem": _problem_schema()},
            "responses": {
                str(status): _refusal_response(status, words) for status, words in _PROBLEMS.items()
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _build_schemas(table: list[Endpoint]) -> tuple[Mapping[str, Part], Part]:
    """Returns each endpoint's answer, by its operation, and the parts that answers and requests
    consist of."""
    parts: list[tuple[str, Literal["validation", "serialization"], TypeAdapter[Any]]] = []
    for endpoint in table:
        parts.append((_operation_id(endpoint), "validation", TypeAdapter(endpoint.takes)))
        parts.append((_operation_id(endpoint), "serialization", TypeAdapter(endpoint.answers)))
    found, defined = TypeAdapter.json_schemas(parts, ref_template=_SCHEMAS)
    return {
        name: schema for (name, mode), schema in found.items() if mode == "serialization"
    }, defined["$defs"]


def _build_paths(table: list[Endpoint], schemas: Part, answers: Mapping[str, Part]) -> Part:
    paths: dict[str, Part] = {
        PREFIX + "/stream": {"get": _events_operation()},
        PREFIX + "/routes/stream": {"get": _routes_operation()},
    }
    for endpoint in table:
        paths.setdefault(PREFIX + endpoint.path, {})[endpoint.method.lower()] = _build_operation(
            endpoint, schemas, answers[_operation_id(endpoint)]
        )
    return paths


def _build_operation(endpoint: Endpoint, schemas: Part, answer: Part) -> Part:
    does = endpoint.summary
    return {
        "operationId": _operation_id(endpoint),
        "tags": [endpoint.path.split("/")[1]],
        "summary": does,
        "description": f"Scope: {endpoint.scope or 'none'}.",
        "parameters": [
            *_path_parameters(endpoint.path),
            *_query_parameters(endpoint, schemas),
            *_key_parameter(endpoint),
            *_tag_parameter(endpoint),
        ],
        **_request_body(endpoint),
        "responses": {
            str(endpoint.status): _success_response(does, answer),
            **_unchanged_response(endpoint),
            **_refusal_references(),
        },
    }


def _operation_id(endpoint: Endpoint) -> str:
    return re.sub(r"\W+", "_", f"{endpoint.method}{endpoint.path}").strip("_").lower()


def _path_parameters(path: str) -> list[Part]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": _FOUND_NAME if name in FOREIGN_NAMES else _NAME,
        }
        for name in re.findall(r"\{(\w+)\}", path)
    ]


def _query_parameters(endpoint: Endpoint, schemas: Part) -> list[Part]:
    if not issubclass(endpoint.takes, Query) or not endpoint.takes.model_fields:
        return []
    schema = schemas[endpoint.takes.__name__]
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": part}
        for name, part in schema["properties"].items()
    ]


def _key_parameter(endpoint: Endpoint) -> list[Part]:
    if endpoint.show_started is None:
        return []
    words = "A name for this request: sent again within 24 hours, nothing is started twice."
    schema = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[!-~]+$"}
    return [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": words,
            "schema": schema,
        }
    ]


def _tag_parameter(endpoint: Endpoint) -> list[Part]:
    if endpoint.tag is None:
        return []
    words = "The `ETag` of an earlier answer: without a change since, there is no new answer."
    schema = {"type": "string"}
    return [
        {
            "name": "If-None-Match",
            "in": "header",
            "required": False,
            "description": words,
            "schema": schema,
        }
    ]


def _unchanged_response(endpoint: Endpoint) -> Part:
    if endpoint.tag is None:
        return {}
    return {"304": {"description": "Nothing has changed since the answer with this `ETag`"}}


def _request_body(endpoint: Endpoint) -> Part:
    takes: type[BaseModel] = endpoint.takes
    if issubclass(takes, Query) or not takes.model_fields:
        return {}
    needed = any(field.is_required() for field in takes.model_fields.values())
    schema = {"$ref": _SCHEMAS.format(model=takes.__name__)}
    return {
        "requestBody": {"required": needed, "content": {"application/json": {"schema": schema}}}
    }


def _success_response(words: str, answer: Part) -> Part:
    return {"description": words, "content": {"application/json": {"schema": answer}}}


def _refusal_references() -> Part:
    return {str(status): {"$ref": f"#/components/responses/{status}"} for status in _PROBLEMS}


def _refusal_response(status: int, words: str) -> Part:
    """With the types that have this status."""
    types = ", ".join(f"`{kind.type}` ({kind.means})" for kind in KINDS if kind.status == status)
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {"description": f"{words}. Types: {types}", "content": {MEDIA_TYPE: problem}}


def _problem_schema() -> Part:
    """RFC 9457, section 3.1; ``errors`` has a line for each fault. Kinds may be added, so they are
    not an enumeration."""
    text = {"type": "string"}
    kinds = {
        "type": "string",
        "format": "uri",
        "description": "The kind of problem. It never changes; titles and details may be reworded.",
        "examples": [kind.type for kind in KINDS],
    }
    return {
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": kinds,
            **dict.fromkeys(("title", "detail"), text),
            "status": {"type": "integer"},
            "errors": {"type": "array", "items": text},
        },
    }


def _events_operation() -> Part:
    texts = [
        {
            "name": name,
            "in": "query",
            "required": False,
            "schema": {"type": "string", "maxLength": 200},
        }
        for name in ("alias", "deployment")
    ]
    last = {
        "name": "Last-Event-ID",
        "in": "header",
        "required": False,
        "schema": {"type": "string"},
    }
    return {
        "operationId": "get_stream",
        "tags": ["events"],
        "summary": "Audit events as they happen, server-sent; goes on after Last-Event-ID",
        "description": "Scope: read.",
        "parameters": [*texts, last],
        "responses": {
            "200": _stream_response("Audit events as they happen"),
            **_refusal_references(),
        },
    }


def _routes_operation() -> Part:
    """Its events are named ``routes``; the data of each are like the answer of ``GET /routes``,
    without ``confirmed``."""
    return {
        "operationId": "get_routes_stream",
        "tags": ["routes"],
        "summary": "All routes and then each change, as server-sent events",
        "description": "Scope: routes.",
        "parameters": [],
        "responses": {"200": _stream_response("Routes as they change"), **_refusal_references()},
    }


def _stream_response(words: str) -> Part:
    return {
        "description": words,
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
