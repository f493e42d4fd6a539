"""The index file: what people declare about an index, validated once when it is read.

A wrong key, type or value is refused with its path, the value and what was expected.
"""

from qdrant_rollouts.core.config.expected import describe_expected
from qdrant_rollouts.core.config.index_file.changed import ChangedSpec
from qdrant_rollouts.core.config.index_file.embedding import (
    ChunkSpec,
    CollectionSpec,
    EmbeddingSpec,
    ProviderSpec,
    fill_template,
    render_text,
    template_fields,
)
from qdrant_rollouts.core.config.index_file.file import (
    DOCUMENTS,
    ConcurrencySpec,
    IndexFile,
    IndexSpec,
    load_index_file,
)
from qdrant_rollouts.core.config.index_file.populate import PopulateSpec
from qdrant_rollouts.core.config.index_file.rollout import (
    BreakersSpec,
    CanarySpec,
    ExcludeSpec,
    MarginsSpec,
    RetentionSpec,
    SoakSpec,
    Stage,
)
from qdrant_rollouts.core.config.index_file.schedule import RebuildSpec, ScheduleSpec
from qdrant_rollouts.core.config.index_file.search import PrefetchSpec, SearchSpec
from qdrant_rollouts.core.config.index_file.validation import (
    CheckSpec,
    RealSearchSpec,
    SamplesSpec,
    ValidationSpec,
)
from qdrant_rollouts.core.config.index_file.values import (
    AtLeastOne,
    Count,
    Positive,
    Seconds,
    validate_as,
)
from qdrant_rollouts.core.config.index_file.vectors import (
    CarriedSpec,
    ModelVectorSpec,
    ServerVectorSpec,
    VectorSpec,
)
from qdrant_rollouts.core.config.index_file.writes import WritesSpec

__all__ = [
    "DOCUMENTS",
    "AtLeastOne",
    "BreakersSpec",
    "CanarySpec",
    "CarriedSpec",
    "ChangedSpec",
    "CheckSpec",
    "ChunkSpec",
    "CollectionSpec",
    "ConcurrencySpec",
    "Count",
    "EmbeddingSpec",
    "ExcludeSpec",
    "IndexFile",
    "IndexSpec",
    "MarginsSpec",
    "ModelVectorSpec",
    "PopulateSpec",
    "Positive",
    "PrefetchSpec",
    "ProviderSpec",
    "RealSearchSpec",
    "RebuildSpec",
    "RetentionSpec",
    "SamplesSpec",
    "ScheduleSpec",
    "SearchSpec",
    "Seconds",
    "ServerVectorSpec",
    "SoakSpec",
    "Stage",
    "ValidationSpec",
    "VectorSpec",
    "WritesSpec",
    "describe_expected",
    "fill_template",
    "load_index_file",
    "render_text",
    "template_fields",
    "validate_as",
]
