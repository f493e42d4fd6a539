"""Snapshots between a Qdrant server and this program, piece by piece: neither side is held in memory."""

from collections.abc import Iterable, Iterator
from typing import Any
from uuid import uuid4

import httpx

from adapters.qdrant_http import Rest
from core.errors import Refused
from core.ports import Snapshot

#: Seconds that a piece may take to come, or to be taken.
_PIECE = 10.0
_PIECE_BYTES = 1 << 20
#: Seconds the server may take to answer when it has all bytes; it puts them on its disk meanwhile.
_TAKEN = 60.0


def described(rest: Rest, collection: str, name: str) -> Snapshot:
    """Raises Refused if there is none of this name, or if it is not finished: the checksum is written last."""
    found: list[dict[str, Any]] = rest.call("GET", "collections", collection, "snapshots")
    for snapshot in found:
        if snapshot["name"] == name and snapshot.get("checksum"):
            return Snapshot(name, int(snapshot["size"]), str(snapshot["checksum"]))
    raise _missing(rest, collection, name)


def download(rest: Rest, collection: str, name: str, start: int) -> Iterator[bytes]:
    """A server that cannot begin in the middle sends all of it, and what was had before is thrown away."""
    wanted = {"range": f"bytes={start}-"} if start else {}
    path = ("collections", collection, "snapshots", name)
    with rest.streaming("GET", *path, seconds=_PIECE, headers=wanted) as response:
        if response.status_code == httpx.codes.NOT_FOUND:
            raise _missing(rest, collection, name)
        if not response.is_success:
            response.read()
            rest.result(response)
        skipped = start if response.status_code != httpx.codes.PARTIAL_CONTENT else 0
        for piece in response.iter_bytes(_PIECE_BYTES):
            rest_of_it = piece[min(skipped, len(piece)) :]
            skipped -= len(piece) - len(rest_of_it)
            if rest_of_it:
                yield rest_of_it


def upload(rest: Rest, target: str, snapshot: Snapshot, content: Iterable[bytes]) -> None:
    """One form of one file. The checksum is checked by the server too (10.4)."""
    boundary = uuid4().hex
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="snapshot"; filename="{snapshot.name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    headers = {
        "content-type": f"multipart/form-data; boundary={boundary}",
        "content-length": str(len(head) + snapshot.size + len(tail)),
    }
    params = {"priority": "snapshot", "checksum": snapshot.sha256, "wait": "false"}
    path = ("collections", target, "snapshots", "upload")
    body = _around(head, content, tail)
    with rest.streaming("POST", *path, seconds=_TAKEN, headers=headers, params=params, content=body) as response:
        response.read()
    rest.result(response)


def _missing(rest: Rest, collection: str, name: str) -> Refused:
    return Refused(f"{rest}: {collection} has no finished snapshot {name}; it was removed, or never made")


def _around(head: bytes, content: Iterable[bytes], tail: bytes) -> Iterator[bytes]:
    yield head
    yield from content
    yield tail
