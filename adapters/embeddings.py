"""Which embedding model a name means. ``EMBEDDERS`` lists the providers on this machine: the part
before the colon, or the first one. Any other part before a colon is a provider of the index file.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from threading import Lock

from qdrant_rollouts.adapters.embedding_hashing import HashingEmbedder
from qdrant_rollouts.adapters.embedding_hosted import HostedEmbedder
from qdrant_rollouts.adapters.embedding_transformers import SentenceTransformers
from qdrant_rollouts.adapters.own_files import OwnFiles, Watch
from qdrant_rollouts.core.config.index_file import EmbeddingSpec, ProviderSpec
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Embedder
from qdrant_rollouts.core.sanitize.quoting import LONGEST_PLACE, quote_value

Providers = Callable[[], Mapping[str, ProviderSpec]]

EMBEDDERS: dict[str, Callable[[str, str | None, str], Embedder]] = {
    "sentence-transformers": SentenceTransformers,
    "hashing": HashingEmbedder,
}

_opening = Lock()


#: Without settings there is no state of this program; files that it recognises by name still count.
_NO_OWN_FILES = OwnFiles()


def open_embedder(
    spec: EmbeddingSpec, providers: Providers = dict, own: OwnFiles = _NO_OWN_FILES
) -> Embedder:
    """Returns the embedder of ``spec``, one per model and process, whatever the template; a model
    is loaded at its first use.

    Raises Refused for a name that no embedder supports, and for a folder of this program or one
    that contains its files. Using the embedder raises Refused or Unavailable if there is no model.
    """
    _check_folder(spec.model, own)
    kind, colon, rest = spec.model.partition(":")
    known = not colon or (kind in EMBEDDERS and rest) or Path(spec.model).exists()
    provider = None
    if not known:
        provider = _find_provider(spec, kind, rest, providers())
    with _opening:  # two threads that open at once must not load a model twice
        if provider is None:
            return _open_local(spec.model, spec.revision, spec.dtype)
        return _open_hosted(rest, provider, kind)


def _check_folder(model: str, own: OwnFiles) -> None:
    """A model's files are in its folder and in the folders of its modules."""
    named = {model, model.partition(":")[2]}
    for folder in (Path(name) for name in named if name and Path(name).is_dir()):
        watch = Watch(own)
        for path in (folder, *folder.glob("*"), *folder.glob("*/*")):
            watch.refuse(path, f"embedding model {quote_value(str(path), LONGEST_PLACE)}")


def _find_provider(
    spec: EmbeddingSpec, kind: str, model: str, providers: Mapping[str, ProviderSpec]
) -> ProviderSpec:
    if kind not in providers or not model:
        known = ", ".join(f"{name}:…" for name in (*EMBEDDERS, *providers))
        raise Refused(
            f"embedding model {quote_value(spec.model, LONGEST_PLACE)} is not known; expected "
            f"{known}, "
            "a plain sentence-transformers name, or a provider that the index file declares"
        )
    if spec.revision is not None or spec.dtype != "float32":
        raise Refused(
            f"embedding model {quote_value(spec.model)} has no revision and only dtype float32; "
            "remove these keys"
        )
    return providers[kind]


@cache
def _open_hosted(model: str, provider: ProviderSpec, name: str) -> Embedder:
    return HostedEmbedder(model, provider, name)


@cache
def _open_local(model: str, revision: str | None, dtype: str) -> Embedder:
    kind, colon, rest = model.partition(":")
    if not colon or Path(model).exists():
        return SentenceTransformers(model, revision, dtype)
    return EMBEDDERS[kind](rest, revision, dtype)
