"""Compares real answers with the OpenAPI document: no other type, no missing key, no additional
key."""

import re
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from qdrant_rollouts.interfaces.http.api import ENDPOINTS, PREFIX
from qdrant_rollouts.interfaces.http.api.document import build_document


class Documented:
    def __init__(self) -> None:
        self._document = build_document(ENDPOINTS)
        for schema in self._document["components"]["schemas"].values():
            if "properties" in schema:
                schema.setdefault("additionalProperties", False)

    def hold(self, method: str, path: str, answer: Any) -> None:
        endpoint = next(
            one
            for one in ENDPOINTS
            if one.method == method and re.fullmatch(_pattern(one.path), path.partition("?")[0])
        )
        operation = self._document["paths"][PREFIX + endpoint.path][method.lower()]
        schema = operation["responses"][str(endpoint.status)]["content"]["application/json"][
            "schema"
        ]
        whole = {**schema, "components": self._document["components"]}
        Draft202012Validator(whole, format_checker=FormatChecker()).validate(answer)


def _pattern(path: str) -> str:
    return re.sub(r"\{\w+\}", "[^/]+", path)
