"""The declaration for each vector of a record: what makes it, or where it comes from."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, field_validator

from qdrant_rollouts.core.config.index_file.embedding import template_fields
from qdrant_rollouts.core.config.index_file.values import Strict

#: What the Qdrant server can make from a text without a model file.
SERVER_MODELS = ("qdrant/bm25",)
_WORDS = ("given", "optional", "carried", "dropped")
_EXPECTED = (
    "expected keys with `model` (made by a model), keys with `server` (made by the Qdrant server), "
    f"or one of the words {', '.join(_WORDS)}"
)


def _check_template(text: str) -> str:
    if not template_fields(text):
        raise ValueError("expected at least one {field}")
    return text


class ModelVectorSpec(Strict):
    """A vector that a model makes from a text; the keys mean the same as in `embedding`."""

    model: str
    revision: str | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    text: str = "{text}"

    _text = field_validator("text")(_check_template)


class ServerVectorSpec(Strict):
    """A sparse vector that the Qdrant server makes from a text. ``options`` are passed to the
    server unchanged, for documents and for queries."""

    server: str
    text: str = "{text}"
    options: dict[str, Any] = {}

    _text = field_validator("text")(_check_template)

    @field_validator("server")
    @classmethod
    def _check_server_model(cls, server: str) -> str:
        if server not in SERVER_MODELS:
            raise ValueError(f"expected {', '.join(SERVER_MODELS)}")
        return server


class CarriedRule(Strict):
    """What happens to a record that is new or whose text has changed, and so has no vector to
    carry."""

    when_changed: Literal["drop", "refuse"] = "refuse"


class CarriedSpec(Strict):
    carried: CarriedRule = CarriedRule()


def _parse_one_kind(value: Any) -> Any:
    """Gives one message for all kinds of value; pydantic's union would report an error for each of
    its members."""
    if isinstance(value, Mapping):
        for key, kind in _BY_KEY.items():
            if key in value:
                return kind.model_validate(value)
    if value in _WORDS or isinstance(value, ModelVectorSpec | ServerVectorSpec | CarriedSpec):
        return value
    raise ValueError(_EXPECTED)


_BY_KEY: dict[str, type[Strict]] = {
    "model": ModelVectorSpec,
    "server": ServerVectorSpec,
    "carried": CarriedSpec,
}

VectorSpec = Annotated[
    ModelVectorSpec
    | ServerVectorSpec
    | CarriedSpec
    | Literal["given", "optional", "carried", "dropped"],
    BeforeValidator(_parse_one_kind),
]
