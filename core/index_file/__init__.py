"""The index file: what people declare about an index, validated once, at the edge.

A wrong key, type or value is refused with its path, the value and what was expected.
"""

from core.expected import expected
from core.index_file.embedding import ChunkSpec, CollectionSpec, EmbeddingSpec, ProviderSpec, template_fields
from core.index_file.file import DOCUMENTS, IndexFile, IndexSpec, load_index_file
from core.index_file.rollout import BreakersSpec, CanarySpec, MarginsSpec, RetentionSpec, SoakSpec, Stage
from core.index_file.schedule import ScheduleSpec
from core.index_file.validation import CheckSpec, SamplesSpec, ValidationSpec
from core.index_file.values import AtLeastOne, Count, Positive, Seconds, validated

__all__ = [
    "DOCUMENTS",
    "AtLeastOne",
    "BreakersSpec",
    "CanarySpec",
    "CheckSpec",
    "ChunkSpec",
    "CollectionSpec",
    "Count",
    "EmbeddingSpec",
    "IndexFile",
    "IndexSpec",
    "MarginsSpec",
    "Positive",
    "ProviderSpec",
    "RetentionSpec",
    "SamplesSpec",
    "ScheduleSpec",
    "Seconds",
    "SoakSpec",
    "Stage",
    "ValidationSpec",
    "expected",
    "load_index_file",
    "template_fields",
    "validated",
]
