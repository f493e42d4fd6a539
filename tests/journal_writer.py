"""An application in a process of its own that writes through our clients without end:
``python -m tests.journal_writer KIND URL GRPC_PORT ALIAS FIRST COUNT PAUSE LOG``.

It may be killed at any time. Its log says what was sent (``b``) and what was acknowledged (``a``);
``read_log`` says from that what must be there. It ends when its standard input does.
"""

import json
import random
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import httpx
from qdrant_client import models
from qdrant_client.http.exceptions import ResponseHandlingException

from qdrant_rollouts import Unavailable
from tests.journaled import AnyClient
from tests.writers import Truth, make_vector

#: The write may be applied or not.
_UNANSWERED = (Unavailable, httpx.TransportError, ResponseHandlingException, grpc.RpcError)


def main() -> None:
    kind, url, grpc_port, alias, first, count, pause, log = sys.argv[1:]
    open_writer = RecordWriter if kind == "HTTP" else PointWriter
    writer = open_writer(kind, url, int(grpc_port), alias)
    ids = range(int(first), int(first) + int(count))
    generator = random.Random(int(first))
    stopped = threading.Event()
    threading.Thread(target=_await_end, args=(stopped,), daemon=True).start()
    with Path(log).open("a", encoding="utf-8", buffering=1) as file:
        known: dict[int, str] = {}
        number = 0
        while not stopped.wait(float(pause)):
            number += 1
            _write_once(writer, file.write, generator.choice(ids), known, number, generator)
    writer.close()


def _await_end(stopped: threading.Event) -> None:
    sys.stdin.read()
    stopped.set()


def _write_once(
    writer: "PointWriter | RecordWriter",
    tell: Callable[[str], object],
    id: int,
    known: dict[int, str],
    number: int,
    generator: random.Random,
) -> None:
    chance = generator.random()
    text: str | None
    if id in known and chance < 0.25:
        text = None
        act = writer.delete
        arguments: tuple[Any, ...] = (id,)
    elif id in known and chance < 0.6:
        note = f"note {number}"
        text = f"{known[id].partition('|')[0]}|{note}"
        act = writer.set_note
        arguments = (id, note)
    else:
        words = f"text {id} written {number} about python"
        text = f"{words}|"
        act = writer.upsert
        arguments = (id, words)
    tell(json.dumps(["b", id, text]) + "\n")
    try:
        act(*arguments)
    except _UNANSWERED:
        return
    tell(json.dumps(["a", id, text]) + "\n")
    if text is None:
        known.pop(id, None)
    else:
        known[id] = text


class PointWriter:
    def __init__(self, kind: str, url: str, grpc_port: int, alias: str) -> None:
        self._client = AnyClient(kind, url, grpc_port, timeout=10)
        self._alias = alias

    def upsert(self, id: int, text: str) -> None:
        made = models.PointStruct(id=id, vector=make_vector(text), payload={"id": id, "text": text})
        self._client.upsert(self._alias, [made])

    def set_note(self, id: int, note: str) -> None:
        self._client.set_payload(self._alias, {"note": note}, [id])

    def delete(self, id: int) -> None:
        self._client.delete(self._alias, [id])

    def close(self) -> None:
        self._client.close()


class RecordWriter:
    """Writes records over HTTP; ``url`` is that of ``rollouts web``."""

    def __init__(self, kind: str, url: str, grpc_port: int, alias: str) -> None:
        self._client = httpx.Client(trust_env=False, timeout=30)
        self._path = f"{url}/api/v1/indexes/{alias}/records"

    def upsert(self, id: int, text: str) -> None:
        self._send("POST", {"records": [{"id": id, "text": text}]})

    def set_note(self, id: int, note: str) -> None:
        self._send("PATCH", {"records": [{"id": id, "note": note}]})

    def delete(self, id: int) -> None:
        self._send("DELETE", {"ids": [id]})

    def close(self) -> None:
        self._client.close()

    def _send(self, method: str, body: dict[str, Any]) -> None:
        answer = self._client.request(method, self._path, json=body)
        if answer.status_code in (429, 502, 503):
            raise Unavailable(answer.text)
        answer.raise_for_status()


def read_log(log: Path) -> Truth:
    """Returns what must be there. Where the last write of an id was not acknowledged, it may be
    either."""
    truth = Truth()
    for line in log.read_text(encoding="utf-8").splitlines():
        kind, id, text = json.loads(line)
        if kind == "b":
            truth.unknown.add(id)
            continue
        truth.unknown.discard(id)
        truth.texts[id] = text
        truth.writes += 1
    return truth


if __name__ == "__main__":
    main()
