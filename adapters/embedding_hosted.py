"""Models behind an HTTP endpoint in OpenAI's format: ``POST {url}/embeddings`` with ``model`` and
``input``.

vLLM, Ollama, LiteLLM, text-embeddings-inference and most vendors support
https://platform.openai.com/docs/api-reference/embeddings/create. Each call creates a client, which
survives forks and leaves no connection behind.
"""

import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from threading import Event
from typing import Any

import httpx
import numpy as np

from qdrant_rollouts.adapters.environment import read_secret
from qdrant_rollouts.adapters.splitting import remaining_tokens, split_by_count
from qdrant_rollouts.core.config.index_file import ProviderSpec
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.ports import FloatArray
from qdrant_rollouts.core.sanitize.quoting import error_text

#: Seconds. A turn's soft limit is 60 (celery-facts 3): the last try may begin after ``_PATIENCE``
#: and take ``_READ``.
_PATIENCE = 20.0
_READ = 30.0
_CONNECT = 5.0
#: A person waits for a query's vector.
_QUERY_PATIENCE = 2.0
_QUERY_READ = 10.0
_FIRST_WAIT = 0.5
_LONGEST_WAIT = 8.0
_RETRY_STATUSES = {408, 409, 425, 429}
#: Bytes of UTF-8 per token, a cautious value for languages in Latin letters; tokenizers differ.
_BYTES_PER_TOKEN = 3


class HostedEmbedder:
    """``identity`` consists of url and model name; a vendor's change behind a name cannot be seen.

    Raises Refused for what the endpoint refuses, Unavailable if it does not answer, is overloaded
    or asks to wait longer than a turn can.
    """

    def __init__(self, model: str, provider: ProviderSpec, name: str) -> None:
        self._model = model
        self._provider = provider
        self._name = name
        self.identity = f"openai|{provider.url}|{model}"

    @cached_property
    def dimension(self) -> int:
        with _open_client(_READ) as client:
            answer = self._request_with_retries(client, ["dimension"], _PATIENCE)
        [vector] = self._parse_vectors(answer, 1)
        return len(vector)

    @property
    def reads(self) -> int | None:
        """The endpoint does not say it."""
        return None

    def documents(self, texts: Sequence[str]) -> FloatArray:
        """Sends up to ``providers.NAME.concurrency`` requests at the same time: nearly all of the
        time is waiting."""
        size = self._provider.batch
        until = time.monotonic() + _PATIENCE
        made = np.empty((len(texts), self.dimension), dtype=np.float32)

        with _open_client(_READ) as client:

            def embed_batch(start: int) -> None:
                patience = until - time.monotonic()
                batch = list(texts[start : start + size])
                made[start : start + size] = self._embed_texts(client, batch, patience)

            pool = ThreadPoolExecutor(self._provider.concurrency, thread_name_prefix="embedding")
            try:
                for _ in pool.map(embed_batch, range(0, len(texts), size)):
                    pass
            finally:
                pool.shutdown(cancel_futures=True)
        return made

    def query(self, text: str) -> FloatArray:
        with _open_client(_QUERY_READ) as client:
            row: FloatArray = self._embed_texts(client, [text], _QUERY_PATIENCE)[0]
        return row

    def count_truncated(self, texts: Sequence[str]) -> int:
        """OpenAI refuses a text that is too long instead of cutting it; an endpoint that cuts does
        not say so."""
        return 0

    def count_tokens(self, text: str) -> int | None:
        with _open_client(_READ) as client:
            answer = self._request_with_retries(client, [text], _PATIENCE)
        try:
            number = answer.json()["usage"]["total_tokens"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return number if type(number) is int and number >= 0 else None

    def pieces(
        self, text: str, beside: str, most: int | None, overlap: int
    ) -> list[tuple[int, str]]:
        if most is None:
            raise Refused(
                f"{self._what} does not say how many tokens it reads; name "
                "embedding.chunk.max_tokens"
            )
        return split_by_count(
            _estimate_tokens, text, remaining_tokens(most, _estimate_tokens(beside)), overlap
        )

    @property
    def _what(self) -> str:
        return f"embedding model {self._name}:{self._model} at {self._provider.url}"

    def _embed_texts(self, client: httpx.Client, texts: list[str], patience: float) -> FloatArray:
        answer = self._request_with_retries(client, texts, patience)
        made = self._parse_vectors(answer, len(texts))
        if made.shape[1] != self.dimension:
            raise Refused(
                f"{self._what} answers vectors of {made.shape[1]} numbers; before it was "
                f"{self.dimension}"
            )
        return made

    def _request_with_retries(
        self, client: httpx.Client, texts: list[str], patience: float
    ) -> httpx.Response:
        """Tries again with growing waits while the error may go away, for up to ``patience``
        seconds."""
        until = time.monotonic() + patience
        wait = _FIRST_WAIT
        while True:
            try:
                return self._request_once(client, texts)
            except _PassingError as trouble:
                pause = (
                    trouble.seconds
                    if trouble.seconds is not None
                    else wait * random.uniform(0.5, 1)  # noqa: S311
                )
                if time.monotonic() + pause > until:
                    raise Unavailable(f"{self._what} {trouble}") from trouble.__cause__
                Event().wait(pause)
                wait = min(2 * wait, _LONGEST_WAIT)

    def _request_once(self, client: httpx.Client, texts: list[str]) -> httpx.Response:
        key = self._read_key()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        url = f"{self._provider.url.rstrip('/')}/embeddings"
        # half a surrogate pair is not valid JSON
        readable = [text.encode(errors="replace").decode() for text in texts]
        try:
            answer = client.post(
                url, json={"model": self._model, "input": readable}, headers=headers
            )
        except httpx.RequestError as error:
            raise _PassingError(f"does not answer: {str(error) or type(error).__name__}") from error
        if answer.status_code in _RETRY_STATUSES or answer.is_server_error:
            raise _PassingError(f"answers {answer.status_code}", _retry_after(answer))
        if not answer.is_success:
            raise Refused(
                f"{self._what} answers {answer.status_code}: {_endpoint_error_text(answer, key)}"
            )
        return answer

    def _read_key(self) -> str:
        if not self._provider.key:
            return ""
        return read_secret(self._provider.key, f"providers.{self._name}.key", ascii_only=True)

    def _parse_vectors(self, answer: httpx.Response, count: int) -> FloatArray:
        try:
            data = sorted(answer.json()["data"], key=lambda each: each["index"])
            made = np.array([each["embedding"] for each in data], dtype=np.float32)
            places = [each["index"] for each in data]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise Refused(
                f"{self._what} does not answer as an embeddings endpoint: {type(error).__name__}: "
                f"{error_text(error)}"
            ) from error
        if made.ndim != 2 or places != list(range(count)) or not made.shape[1]:
            raise Refused(
                f"{self._what} answers {len(data)} vectors of shape {made.shape}; {count} texts "
                "were sent"
            )
        if not np.isfinite(made).all():
            raise Refused(f"{self._what} answers numbers that are not finite")
        return made


def _open_client(read: float) -> httpx.Client:
    """To make one takes longer than a request on loopback, because it reads certificates."""
    return httpx.Client(timeout=httpx.Timeout(read, connect=_CONNECT))


class _PassingError(Exception):
    """``seconds`` is how long the endpoint asks to wait, None if it does not say."""

    def __init__(self, message: str, seconds: float | None = None) -> None:
        super().__init__(
            message if seconds is None else f"{message} and asks to wait {seconds:.0f} s"
        )
        self.seconds = seconds


def _retry_after(answer: httpx.Response) -> float | None:
    """Seconds or a date, RFC 9110 section 10.2.3."""
    asked = answer.headers.get("Retry-After", "").strip()
    try:
        if asked.isdigit():
            return float(asked)
        if not asked:
            return None
        return max(0.0, (parsedate_to_datetime(asked) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # not a date, or one without a zone
        return None


def _endpoint_error_text(answer: httpx.Response, key: str) -> str:
    """Returns the endpoint's error message, never with our key in it."""
    said: Any = answer.text
    try:
        error = answer.json()["error"]
        said = error["message"] if isinstance(error, dict) else error
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    shown = str(said)
    return error_text(shown.replace(key, "***") if key else shown, 300)


def _estimate_tokens(text: str) -> int:
    return -(-len(text.encode(errors="surrogatepass")) // _BYTES_PER_TOKEN)
