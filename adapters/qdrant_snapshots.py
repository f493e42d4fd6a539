"""Snapshots between Qdrant and this program, piece by piece, so neither side is held in memory.

A single server makes snapshots of whole collections. A node of a cluster has only its own part, and
a restored collection may be spread differently; so there a snapshot belongs to a shard, and is
restored on the node that has the shard then.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from qdrant_rollouts.adapters.qdrant_http import Rest
from qdrant_rollouts.core.errors import OutcomeUnknown, Refused
from qdrant_rollouts.core.ports import Snapshot

#: Seconds that a piece may take to arrive, or to be accepted.
_PIECE_TIMEOUT = 10.0
_PIECE_BYTES = 1 << 20
#: Seconds that the server may take to answer after the last byte, while it writes to its disk.
_UPLOAD_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class SnapshotPlace:
    """Where the snapshots of a collection are, or those of one of its shards."""

    rest: Rest
    path: tuple[str, ...]
    shard: int | None = None


def find_places(rest: Rest, nodes: Sequence[Rest], collection: str) -> list[SnapshotPlace]:
    """Returns the server's own place, or with ``nodes`` one for each shard: the first node that has
    it completely. Raises Refused if none has it."""
    if not nodes:
        return [SnapshotPlace(rest, ("collections", collection, "snapshots"))]
    found: dict[int, SnapshotPlace] = {}
    shards = 0
    for node in nodes:
        told = node.call("GET", "collections", collection, "cluster")
        shards = int(told["shard_count"])
        for local in told["local_shards"]:
            number = int(local["shard_id"])
            if local["state"] == "Active" and number not in found:
                path = ("collections", collection, "shards", str(number), "snapshots")
                found[number] = SnapshotPlace(node, path, number)
    if len(found) < shards:
        missing = ", ".join(str(number) for number in range(shards) if number not in found)
        raise Refused(
            f"{rest}: no node of ROLLOUTS_QDRANT_NODES has shard {missing} of {collection} whole; "
            "name every node there"
        )
    return [found[number] for number in sorted(found)]


def list_snapshots(place: SnapshotPlace) -> dict[str, str | None]:
    """Returns names and checksums; a checksum is written last."""
    found: list[dict[str, Any]] = place.rest.call("GET", *place.path)
    return {snapshot["name"]: snapshot.get("checksum") for snapshot in found}


def make_snapshot(place: SnapshotPlace, seconds: float) -> Snapshot:
    """Returns when it is made. Only this answer says which snapshot was made for this request. A
    server that keeps snapshots elsewhere may give no checksum."""
    made = place.rest.call_once("POST", *place.path, params={"wait": "true"}, seconds=seconds)
    if made is None:
        raise OutcomeUnknown(f"{place.rest} did not say which snapshot of {place.path[1]} it made")
    size = int(made.get("size") or 0)
    return Snapshot(made["name"], size, made.get("checksum") or "", place.shard)


def delete_snapshot(place: SnapshotPlace, name: str) -> None:
    place.rest.call("DELETE", *place.path, name)


def describe_snapshot(place: SnapshotPlace, name: str) -> Snapshot:
    """Raises Refused if there is none of this name, or if it is not finished: the checksum is
    written last."""
    found: list[dict[str, Any]] = place.rest.call("GET", *place.path)
    for snapshot in found:
        if snapshot["name"] == name and snapshot.get("checksum"):
            return Snapshot(name, int(snapshot["size"]), str(snapshot["checksum"]), place.shard)
    raise missing_snapshot(place, name)


def download_snapshot(place: SnapshotPlace, name: str, start: int) -> Iterator[bytes]:
    """A server that cannot begin in the middle sends everything, and the first part is
    discarded."""
    wanted = {"range": f"bytes={start}-"} if start else {}
    with place.rest.open_stream(
        "GET", *place.path, name, seconds=_PIECE_TIMEOUT, headers=wanted
    ) as response:
        if response.status_code == httpx.codes.NOT_FOUND:
            raise missing_snapshot(place, name)
        if not response.is_success:
            response.read()
            place.rest.result(response)
        skipped = 0
        if response.status_code != httpx.codes.PARTIAL_CONTENT:
            skipped = start
        for piece in response.iter_bytes(_PIECE_BYTES):
            rest_of_it = piece[min(skipped, len(piece)) :]
            skipped -= len(piece) - len(rest_of_it)
            if rest_of_it:
                yield rest_of_it


def upload_snapshot(place: SnapshotPlace, snapshot: Snapshot, content: Iterable[bytes]) -> None:
    """One form with one file. The server checks the checksum too (10.4)."""
    boundary = uuid4().hex
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="snapshot"; '
        f'filename="{snapshot.name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    headers = {
        "content-type": f"multipart/form-data; boundary={boundary}",
        "content-length": str(len(head) + snapshot.size + len(tail)),
    }
    params = {"priority": "snapshot", "checksum": snapshot.sha256, "wait": "false"}
    sent: dict[str, Any] = {
        "headers": headers,
        "params": params,
        "content": _wrap_content(head, content, tail),
    }
    with place.rest.open_stream(
        "POST", *place.path, "upload", seconds=_UPLOAD_TIMEOUT, **sent
    ) as response:
        response.read()
    place.rest.result(response)


def missing_snapshot(place: SnapshotPlace, name: str) -> Refused:
    return Refused(
        f"{place.rest}: {place.path[1]} has no finished snapshot {name}; it was removed, or never "
        "made"
    )


def _wrap_content(head: bytes, content: Iterable[bytes], tail: bytes) -> Iterator[bytes]:
    yield head
    yield from content
    yield tail
