"""The declarations about texts, their model and their collection."""

import re
import string
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, StrictBool, field_validator, model_validator

from qdrant_rollouts.core.config.index_file.values import AtLeastOne, Count, Price, Strict
from qdrant_rollouts.core.defaults import MOST_REQUESTS, REQUESTS
from qdrant_rollouts.core.sanitize import hosts
from qdrant_rollouts.core.sanitize.quoting import quote_value, shorten_text

#: Used in place of an index's type: the field loses its index.
DROPPED = "dropped"

_REVISION = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_./-]{0,199}")


class ChunkSpec(Strict):
    """How documents are cut into chunks. ``field`` defaults to the last field of the template,
    ``max_tokens`` to what the model reads. Both counts are in the model's tokens."""

    field: str | None = None
    max_tokens: Annotated[int, Field(ge=16, strict=True)] | None = None
    overlap: Count = 0


class EmbeddingSpec(Strict):
    """Which model turns a record into a vector. ``text`` is a template over the record's fields,
    plain names only."""

    model: str
    revision: str | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    text: str = "{text}"
    #: Name of the collection's vector; empty is the unnamed one.
    vector: str = ""
    #: Documents longer than the model reads become several points; see ``core.collections.chunks``.
    chunk: ChunkSpec | None = None

    @field_validator("model")
    @classmethod
    def _check_model_name(cls, model: str) -> str:
        """No file system has longer names, and looking one up there raises an error instead of
        returning no."""
        parts = [len(part.encode(errors="replace")) for part in model.split("/")]
        if sum(parts) > 4000 or max(parts) > 255:
            raise ValueError(
                "expected a model's name or folder, of 4000 bytes at most and 255 between two "
                "slashes"
            )
        return model

    @field_validator("revision")
    @classmethod
    def _check_revision(cls, revision: str | None) -> str | None:
        """The model hub's client looks for a file of that name in its cache, so a path could lead
        anywhere."""
        if revision is not None and not _REVISION.fullmatch(revision):
            raise ValueError(
                "expected a branch, tag or commit of the model, such as main or refs/pr/1"
            )
        return revision

    @field_validator("text")
    @classmethod
    def _check_template(cls, text: str) -> str:
        if not template_fields(text):
            raise ValueError("expected at least one {field}")
        return text

    @model_validator(mode="after")
    def _check_chunk_field(self) -> Self:
        names = template_fields(self.text)
        if self.chunk is not None and self.chunk.field not in {None, *names}:
            raise ValueError(
                f"chunk.field is {quote_value(self.chunk.field)}; expected a field of text: "
                f"{', '.join(names)}"
            )
        return self


class CollectionSpec(Strict):
    """Vector settings that differ from the live collection's, or for a first deployment from the
    server's defaults."""

    distance: Literal["Cosine", "Dot", "Euclid", "Manhattan"] | None = None
    datatype: Literal["float32", "float16", "uint8"] | None = None
    on_disk: StrictBool | None = None
    hnsw: dict[str, int | bool] | None = None
    quantization: dict[str, Any] | None = None
    shard_number: AtLeastOne | None = None
    replication_factor: AtLeastOne | None = None
    on_disk_payload: StrictBool | None = None
    #: By field, the type or the settings of its index; ``dropped`` removes the live collection's
    #: index.
    payload_indexes: dict[str, str | dict[str, Any]] = {}

    @property
    def dropped_indexes(self) -> frozenset[str]:
        return frozenset(field for field, said in self.payload_indexes.items() if said == DROPPED)

    @property
    def kept_indexes(self) -> list[str]:
        return [field for field in self.payload_indexes if field not in self.dropped_indexes]


class ProviderSpec(Strict):
    """An endpoint that embeds texts, in OpenAI's format. Only the operator may say where texts and
    key are sent, so no request and no stamp can name an endpoint."""

    url: str
    #: The environment variable that holds the API key; without it no key is sent.
    key: str | None = None
    #: Texts per request.
    batch: AtLeastOne = 64
    #: Requests that one process sends at the same time.
    concurrency: Annotated[int, Field(ge=1, le=MOST_REQUESTS, strict=True)] = REQUESTS
    #: What a million tokens cost, in any currency. Only plans use it.
    price_per_million_tokens: Price | None = None

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if (
            parts.scheme not in {"http", "https"}
            or not parts.hostname
            or parts.username
            or parts.query
        ):
            raise ValueError(
                "expected http(s)://HOST/v1 without user, password or query; the key belongs in a "
                "variable"
            )
        if hosts.has_impossible_host(url):
            raise ValueError(hosts.IMPOSSIBLE_HOST)
        return url


def render_text(template: str, fields: Mapping[str, Any]) -> str | None:
    """Returns the text that a template makes from a record's fields; None if a field is missing or
    the text is blank."""
    if any(fields.get(name) is None for name in template_fields(template)):
        return None
    text = fill_template(template, fields)
    return text if text.strip() else None


def fill_template(template: str, fields: Mapping[str, Any]) -> str:
    """Puts a record's fields into a template. The place of a missing field stays empty."""
    values = {name: fields.get(name) for name in template_fields(template)}
    return template.format_map(
        {name: "" if value is None else str(value) for name, value in values.items()}
    )


@lru_cache(maxsize=256)
def template_fields(template: str) -> tuple[str, ...]:
    """Returns the record fields that a text template names, each once, in order.

    Raises ValueError for anything but plain ``{name}``.
    """
    names = []
    for _, name, spec, conversion in string.Formatter().parse(template):
        if name is None:
            continue
        if not name.isidentifier() or spec or conversion:
            raise ValueError(f"expected plain {{field}} names, found {{{shorten_text(name)}}}")
        names.append(name)
    return tuple(dict.fromkeys(names))
