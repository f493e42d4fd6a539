"""Well-known embedding models by the size of their vectors: suggestions for a person who has to
name one.

Rule: a size proves nothing. Nothing that runs takes a model from here.
"""

#: A model behind ``openai:`` needs a provider of that name in the index file.
_MODELS = {
    384: (
        "sentence-transformers/all-MiniLM-L6-v2",
        "BAAI/bge-small-en-v1.5",
        "intfloat/multilingual-e5-small",
        "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
    ),
    512: (
        "jinaai/jina-embeddings-v2-small-en",
        "sentence-transformers/distiluse-base-multilingual-cased-v2",
    ),
    768: (
        "sentence-transformers/all-mpnet-base-v2",
        "BAAI/bge-base-en-v1.5",
        "intfloat/multilingual-e5-base",
        "nomic-ai/nomic-embed-text-v1.5",
    ),
    1024: (
        "BAAI/bge-m3",
        "BAAI/bge-large-en-v1.5",
        "intfloat/multilingual-e5-large",
        "mixedbread-ai/mxbai-embed-large-v1",
    ),
    1536: ("openai:text-embedding-3-small", "openai:text-embedding-ada-002"),
    3072: ("openai:text-embedding-3-large",),
}
#: What a new index begins with: small, fast without a graphics card, for English.
FIRST = "sentence-transformers/all-MiniLM-L6-v2"


def suggest_models(size: int) -> tuple[str, ...]:
    """Returns models whose vectors have this size; there may be others."""
    return _MODELS.get(size, ())
