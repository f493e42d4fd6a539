"""What a backup says of itself, sealed with its own checksum.

Rule: a backup is what has a whole manifest. Nothing in a manifest is believed that its seal does not cover.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from qdrant_rollouts.core.database.stored_json import read_stored_dataclass
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.ports import Schema, Shelf
from qdrant_rollouts.core.sanitize.quoting import quote_value

#: What every filesystem and every form of an upload takes as it is.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")

Watched = Callable[[Iterable[bytes]], Iterator[bytes]]

_SEAL = "seal"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """``low`` and ``high``: exact counts before and after the snapshot, equal unless somebody wrote meanwhile. A file
    has ``name``, ``size`` in bytes, ``sha256``, and ``shard`` if it is of one. ``sample``: ids and digests of points
    that stayed the same while the snapshot was made. ``settings`` are the index's, as they were declared."""

    id: str
    alias: str
    collection: str
    number: int
    created_at: str
    actor: str
    reason: str
    server: str
    metadata: dict[str, Any]
    schema: Schema
    low: int
    high: int
    sample: list[list[Any]]
    files: list[dict[str, Any]]
    settings: dict[str, Any]
    format: int = _FORMAT

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(int(file["size"]) for file in self.files)

    @property
    def sharded(self) -> bool:
        """Of a cluster: each file is of a shard."""
        return any(file.get("shard") is not None for file in self.files)

    def text(self) -> str:
        content = asdict(self)
        return json.dumps({**content, _SEAL: _seal_of(content)}, indent=1, sort_keys=True)

    @classmethod
    def of(cls, text: str, backup: str) -> Self:
        """Raises Refused for one that is damaged, or that belongs to another backup."""
        content = _parse_content(text, backup)
        if content.pop(_SEAL, None) != _seal_of(content):
            raise Refused(f"backup {backup} is damaged: its manifest is not as it was sealed; take another one")
        if content.get("format") != _FORMAT:
            raise Refused(
                f"backup {backup} has format {quote_value(content.get('format'))}, this version reads {_FORMAT}"
            )
        try:
            manifest = read_stored_dataclass(cls, content)
        except Unavailable as error:
            raise Refused(f"backup {backup}: {error}") from error
        if manifest.id != backup:
            raise Refused(f"backup {backup} is damaged: its manifest is that of {manifest.id}; put each where it was")
        return manifest


def file_name(snapshot: str, number: int) -> str:
    """What the file of a snapshot is called in a backup. A snapshot's name begins with that of its
    collection, which may hold what no header and no object store takes."""
    return snapshot if _PLAIN.fullmatch(snapshot) else f"part-{number}.snapshot"


def read_manifest(shelf: Shelf, backup: str) -> Manifest:
    """Raises Refused if there is none, or if it is damaged."""
    return Manifest.of(shelf.manifest(backup), backup)


def find_absent_file(shelf: Shelf, manifest: Manifest) -> str:
    """What of the files is not there in its length, in words, or nothing."""
    for file in manifest.files:
        name = str(file["name"])
        wanted = int(file["size"])
        found = shelf.size(manifest.id, name)
        if found != wanted:
            return f"{name} has {found:,} bytes, {wanted:,} were written" if found else f"{name} is missing"
    return ""


def find_damage(shelf: Shelf, manifest: Manifest, watched: Watched = iter) -> str:
    """The same, and what of the files is not as it was written. Reads all of them, through ``watched``."""
    lost = find_absent_file(shelf, manifest)
    if lost:
        return lost
    for file in manifest.files:
        if hash_pieces(watched(shelf.read(manifest.id, str(file["name"])))) != file["sha256"]:
            return f"{file['name']} has another checksum than when it was written"
    return ""


def hash_pieces(pieces: Iterable[bytes]) -> str:
    """In hex."""
    found = hashlib.sha256()
    for piece in pieces:
        found.update(piece)
    return found.hexdigest()


def _parse_content(text: str, backup: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(f"backup {backup} is damaged: its manifest cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise Refused(f"backup {backup} is damaged: its manifest is no object")
    return content


def _seal_of(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(content)).hexdigest()


def canonical_json(content: Any) -> bytes:
    """Equal for equal content, in whatever order its keys stand."""
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
