"""The index file itself: its sections, and how it is read."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, StrictBool, field_validator, model_validator

from qdrant_rollouts.core.config.alert_spec import AlertsSpec
from qdrant_rollouts.core.config.crawl_spec import CrawlSpec
from qdrant_rollouts.core.config.index_file.changed import Changed
from qdrant_rollouts.core.config.index_file.embedding import (
    ChunkSpec,
    CollectionSpec,
    EmbeddingSpec,
    ProviderSpec,
)
from qdrant_rollouts.core.config.index_file.populate import PopulateSpec
from qdrant_rollouts.core.config.index_file.rollout import CanarySpec, RetentionSpec, SoakSpec
from qdrant_rollouts.core.config.index_file.schedule import Scheduled, ScheduledRebuild
from qdrant_rollouts.core.config.index_file.search import SearchSpec
from qdrant_rollouts.core.config.index_file.validation import ValidationSpec
from qdrant_rollouts.core.config.index_file.values import (
    AtLeastOne,
    Count,
    Positive,
    Seconds,
    Strict,
    validate_as,
)
from qdrant_rollouts.core.config.index_file.vectors import ModelVectorSpec, VectorSpec
from qdrant_rollouts.core.config.index_file.writes import Writes, WritesSpec
from qdrant_rollouts.core.defaults import GRACE_MINUTES, PER_MODEL, REBUILDS
from qdrant_rollouts.core.errors import Malformed, Refused
from qdrant_rollouts.core.ports.naming import check_found_name
from qdrant_rollouts.core.sanitize.bounded import BoundedLoader, read_yaml
from qdrant_rollouts.core.sanitize.quoting import quote_value

#: Bytes of the file: enough for thousands of indexes.
LARGEST = 1_000_000

_IN_QUOTES = "; put a value that begins with * or @, such as a cron line, in quotes"


#: The kind of source whose records are documents.
DOCUMENTS = "dir:"
_DATABASE = "sql:"


class IndexSpec(Strict):
    """One entry of the index file; a deployment carries it as its frozen settings."""

    source: str | None = None
    #: The field in which a record may bring its vector; None: no field is read as a vector.
    vector_field: str | None = "vector"
    #: For documents of a folder: the field of their front matter that is their id.
    id_field: Annotated[str, Field(min_length=1)] | None = None
    #: For an SQL query: how a row shows that it has changed.
    changed: Changed = None
    embedding: EmbeddingSpec | None = None
    #: By vector name, ``""`` for the unnamed one; `embedding` is the short form for a single entry.
    vectors: dict[str, VectorSpec] = {}
    #: As `embedding.chunk`, if the vectors are declared by name.
    chunk: ChunkSpec | None = None
    #: Which vectors a search by text uses; None: every vector that is made from text.
    search: SearchSpec | None = None
    collection: CollectionSpec = CollectionSpec()
    #: The live collection may have another model, or an unknown one.
    accept_new_model: StrictBool = False
    strategy: str = "blue_green"
    populate: PopulateSpec = PopulateSpec()
    validation: ValidationSpec = ValidationSpec()
    writes: Writes = WritesSpec()
    soak: SoakSpec = SoakSpec()
    canary: CanarySpec = CanarySpec()
    grace_period_minutes: Seconds = GRACE_MINUTES
    retention: RetentionSpec = RetentionSpec()
    rebuild: ScheduledRebuild = None
    verify: Scheduled = None
    backup: Scheduled = None
    on_bad_record: Literal["fail", "skip"] = "fail"
    max_bad_records: Count = 100
    rollback_on_failure: StrictBool = True
    #: How long a step may wait for a server or make no progress before the deployment is rolled
    #: back.
    progress_deadline_seconds: Positive = 600
    #: Whether a collection is created only if the known disk and memory are not clearly too small.
    check_room: StrictBool = True

    @model_validator(mode="after")
    def _check_declared_once(self) -> Self:
        if self.embedding is None:
            return self
        if self.embedding.vector and self.embedding.vector in self.vectors:
            raise ValueError(
                f"vectors.{self.embedding.vector} and embedding declare one vector; keep one of "
                "them"
            )
        if self.embedding.chunk is not None and self.chunk is not None:
            raise ValueError("chunk and embedding.chunk are one setting; keep one of them")
        return self

    @property
    def models(self) -> tuple[EmbeddingSpec, ...]:
        """Returns every declared model by the name of its vector; searches by text use the
        first."""
        short = (self.embedding,) if self.embedding is not None else ()
        by_name = (
            EmbeddingSpec(**said.model_dump(), vector=name, chunk=self.chunk)
            for name, said in self.vectors.items()
            if isinstance(said, ModelVectorSpec)
        )
        return (*short, *by_name)

    @field_validator("vector_field")
    @classmethod
    def _check_vector_field(cls, field: str | None) -> str | None:
        if field is not None and (not field.strip() or field in ("id", "_rollouts")):
            raise ValueError(
                "expected the name of a field other than id and _rollouts, or null for none"
            )
        return field

    @model_validator(mode="after")
    def _check_id_field(self) -> Self:
        if self.id_field is not None and self.source and not _reads_documents(self.source):
            raise ValueError(
                f"expected no id_field: it names a field of the front matter of {DOCUMENTS} "
                "documents, and records of other sources have a field `id`"
            )
        return self

    @model_validator(mode="after")
    def _check_changed(self) -> Self:
        if self.changed is None:
            return self
        if self.source is None or not self.source.strip().startswith(_DATABASE):
            raise ValueError(f"expected no changed: it belongs to a source {_DATABASE}")
        if self.chunk is not None or (self.embedding is not None and self.embedding.chunk):
            raise ValueError(
                "expected no changed beside chunk: a document's id alone does not say how many "
                "pieces it has, so each pass reads every document"
            )
        return self

    def with_options(self, options: Mapping[str, Any], path: str = "options") -> Self:
        """Returns this spec with ``options`` merged into it, section by section. Raises Refused
        naming the wrong path."""
        declared = self.model_dump(mode="json", exclude_unset=True)
        return validate_as(type(self), _merge_options(declared, options), path)


def _reads_documents(source: str) -> bool:
    return source.strip().startswith(DOCUMENTS)


class ConcurrencySpec(Strict):
    """How many rebuilds run at once; the others wait. The defaults suit one machine."""

    rebuilds: AtLeastOne = REBUILDS
    #: How many of those may embed with the same model.
    per_model: AtLeastOne = PER_MODEL


class IndexFile(Strict):
    indexes: dict[str, IndexSpec] = {}
    concurrency: ConcurrencySpec = ConcurrencySpec()
    #: By the name that stands before a model: ``NAME:model``.
    providers: dict[str, ProviderSpec] = {}
    alerts: AlertsSpec = AlertsSpec()
    crawl: CrawlSpec = CrawlSpec()

    @field_validator("providers")
    @classmethod
    def _check_providers(cls, providers: dict[str, ProviderSpec]) -> dict[str, ProviderSpec]:
        taken = sorted({"hashing", "sentence-transformers"} & providers.keys())
        if taken:
            raise ValueError(f"{taken[0]} is served on this machine; expected another name")
        return providers

    @field_validator("indexes")
    @classmethod
    def _check_indexes(cls, indexes: dict[str, IndexSpec]) -> dict[str, IndexSpec]:
        try:
            return {check_found_name("index", alias): spec for alias, spec in indexes.items()}
        except Refused as error:
            raise ValueError(str(error)) from None


def load_index_file(path: Path) -> IndexFile:
    """Reads and validates the index file; a missing file declares no index. Raises Refused with
    path, value, bound."""
    if not path.exists():
        return IndexFile()
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1).decode()
    except (OSError, ValueError) as error:
        raise Refused(f"{path}: cannot be read: {error}") from error
    if len(text) > LARGEST:
        raise Refused(f"{path}: has more than {LARGEST:,} bytes; declare less in it")
    return _parse_index_file(path, text)


@lru_cache(maxsize=4)
def _parse_index_file(path: Path, text: str) -> IndexFile:
    """Parses each text of the file only once, because processes read the file every few seconds,
    and 200 indexes take 0.13 s in which no page can be served."""
    try:
        content = read_yaml(text, _UniqueKeys)
    except ValueError as error:
        unquoted = isinstance(error.__cause__, yaml.scanner.ScannerError)
        raise Refused(f"{path}: cannot be read: {error}{_IN_QUOTES * unquoted}") from error
    try:
        return validate_as(IndexFile, {} if content is None else content, str(path))
    except Malformed as error:  # the person who made the request did not write this file
        raise Refused(str(error)) from None


def _merge_options(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        # An empty section replaces the old one: `quantization: {}` switches it off.
        nested = isinstance(value, Mapping) and value and isinstance(base.get(key), dict)
        result[key] = _merge_options(base[key], value) if nested else value
    return result


class _UniqueKeys(BoundedLoader):
    """YAML's own loader silently accepts a duplicate key; this one refuses it.

    It checks while composing: later, merge keys (``<<``) have legally added keys that are then
    overridden.
    """

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.composer.ComposerError(
                    None, None, "a key must be plain text", key.start_mark
                )
            if key.value in seen:
                raise yaml.composer.ComposerError(
                    None, None, f"key {quote_value(key.value)} appears twice", key.start_mark
                )
            seen.add(key.value)
        return node
