"""Applications that write to an index all the time, and know what was acknowledged."""

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx

from qdrant_rollouts.adapters.embeddings import open_embedder
from qdrant_rollouts.core.config.index_file import EmbeddingSpec
from qdrant_rollouts.core.ports import Embedder
from tests.world import EMBEDDING

#: What an application must see as "not written": refused by the limits of a frozen collection.
_REFUSED = {400, 429}


@dataclass
class Truth:
    """What must be there: ``text|note`` of each id, or None if it was deleted. ``unknown`` ids had
    a request without an answer; they may be either."""

    texts: dict[int, str | None] = field(default_factory=dict)
    unknown: set[int] = field(default_factory=set)
    writes: int = 0
    refused: int = 0
    longest: float = 0.0


class Writer(threading.Thread):
    """Writes to its own ids by the alias: half upserts, a quarter payloads, a quarter deletes. A
    refused write is tried again until it is taken, as the documentation says."""

    def __init__(
        self,
        url: str,
        alias: str,
        ids: Sequence[int],
        vector: Callable[[str], list[float]],
        seed: int,
        there: Mapping[int, str],
    ) -> None:
        super().__init__(name=f"writer-{seed}", daemon=True)
        self.truth = Truth()
        self.truth.texts |= {id: text for id, text in there.items() if id in set(ids)}
        self._client = httpx.Client(base_url=url, trust_env=False, timeout=10)
        self._alias = alias
        self._ids = ids
        self._vector = vector
        self._random = random.Random(seed)
        self._ends = threading.Event()

    def stop(self) -> None:
        self._ends.set()
        self.join()
        self._client.close()

    def run(self) -> None:
        number = 0
        while not self._ends.wait(0.002):
            number += 1
            self._write(self._random.choice(self._ids), number)

    def _write(self, id: int, number: int) -> None:
        known = self.truth.texts.get(id)
        kind = self._random.random()
        if kind < 0.25 and known is not None:
            self._send(id, None, "POST", "points/delete", {"points": [id]})
        elif known is not None and (kind < 0.5 or self._vector is None):
            note = f"note {number}"
            body = {"payload": {"note": note}, "points": [id]}
            self._send(id, f"{known.partition('|')[0]}|{note}", "POST", "points/payload", body)
        elif self._vector is not None:
            text = f"text {id} written {number} about python"
            point = {"id": id, "vector": self._vector(text), "payload": {"id": id, "text": text}}
            self._send(id, f"{text}|", "PUT", "points", {"points": [point]})

    def _send(self, id: int, text: str | None, method: str, path: str, body: Any) -> None:
        began = time.monotonic()
        while True:
            try:
                answer = self._client.request(
                    method,
                    f"/collections/{self._alias}/{path}",
                    params={"wait": "true"},
                    json=body,
                )
            except httpx.HTTPError:
                self.truth.unknown.add(id)
                return
            if answer.status_code not in _REFUSED or "imit" not in answer.text:
                break
            self.truth.refused += 1
            if self._ends.wait(0.02):
                return
        answer.raise_for_status()
        self.truth.writes += 1
        self.truth.longest = max(self.truth.longest, time.monotonic() - began)
        self.truth.texts[id] = text


def make_vector(text: str) -> list[float]:
    """Returns the model's vector, as an application makes it."""
    [made] = _open_model().documents([text])
    return [float(number) for number in made]


@cache
def _open_model() -> Embedder:
    return open_embedder(EmbeddingSpec.model_validate(EMBEDDING))


def tell(payload: Mapping[str, Any]) -> str:
    """Returns ``text|note`` of a point."""
    return f"{payload['text']}|{payload.get('note', '')}"


def compare_with(truths: list[Truth], found: dict[int, str]) -> dict[str, list[int]]:
    """Returns the ids that are missing, stale or back from the dead."""
    wrong: dict[str, list[int]] = {"missing": [], "stale": [], "resurrected": []}
    for truth in truths:
        for id, text in truth.texts.items():
            if id in truth.unknown:
                continue
            if text is None and id in found:
                wrong["resurrected"].append(id)
            elif text is not None and id not in found:
                wrong["missing"].append(id)
            elif text is not None and found[id] != text:
                wrong["stale"].append(id)
    return wrong
