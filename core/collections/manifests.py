"""A backup's manifest, sealed with its own checksum.

Rule: a backup is valid only with a complete manifest. Nothing in a manifest is trusted that its
seal does not cover.
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

#: Characters that every filesystem and every form of upload accepts unchanged.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")

Watched = Callable[[Iterable[bytes]], Iterator[bytes]]

_SEAL = "seal"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """``low`` and ``high``: exact counts before and after the snapshot, equal unless an application
    wrote in between. A file has ``name``, ``size`` in bytes, ``sha256``, and ``shard`` if it
    belongs to one. ``sample``: ids and digests of points that did not change while the snapshot was
    made. ``settings`` are the index's, as declared."""

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
        """Whether it is of a cluster: each file then belongs to a shard."""
        return any(file.get("shard") is not None for file in self.files)

    def text(self) -> str:
        content = asdict(self)
        return json.dumps({**content, _SEAL: _seal_of(content)}, indent=1, sort_keys=True)

    @classmethod
    def of(cls, text: str, backup: str) -> Self:
        """Raises Refused for a manifest that is damaged or belongs to another backup."""
        content = _parse_content(text, backup)
        if content.pop(_SEAL, None) != _seal_of(content):
            raise Refused(
                f"backup {backup} is damaged: its manifest is not as it was sealed; take another "
                "one"
            )
        if content.get("format") != _FORMAT:
            raise Refused(
                f"backup {backup} has format {quote_value(content.get('format'))}, this version "
                f"reads {_FORMAT}"
            )
        try:
            manifest = read_stored_dataclass(cls, content)
        except Unavailable as error:
            raise Refused(f"backup {backup}: {error}") from error
        if manifest.id != backup:
            raise Refused(
                f"backup {backup} is damaged: its manifest is that of {manifest.id}; put each "
                "where it was"
            )
        return manifest


def file_name(snapshot: str, number: int) -> str:
    """Returns the name of a snapshot's file in a backup. A snapshot's own name begins with that of
    its collection, which may contain characters that headers and object stores do not allow."""
    if _PLAIN.fullmatch(snapshot):
        return snapshot
    return f"part-{number}.snapshot"


def read_manifest(shelf: Shelf, backup: str) -> Manifest:
    """Raises Refused if there is no manifest, or if it is damaged."""
    return Manifest.of(shelf.manifest(backup), backup)


def find_absent_file(shelf: Shelf, manifest: Manifest) -> str:
    """Returns which file is missing or has another length, in words; empty if none."""
    for file in manifest.files:
        name = str(file["name"])
        wanted = int(file["size"])
        found = shelf.size(manifest.id, name)
        if found != wanted:
            if found:
                return f"{name} has {found:,} bytes, {wanted:,} were written"
            return f"{name} is missing"
    return ""


def find_damage(shelf: Shelf, manifest: Manifest, watched: Watched = iter) -> str:
    """The same, and which file has other content than was written. Reads all files, through
    ``watched``."""
    lost = find_absent_file(shelf, manifest)
    if lost:
        return lost
    for file in manifest.files:
        if hash_pieces(watched(shelf.read(manifest.id, str(file["name"])))) != file["sha256"]:
            return f"{file['name']} has another checksum than when it was written"
    return ""


def hash_pieces(pieces: Iterable[bytes]) -> str:
    """Returns the hash in hex."""
    found = hashlib.sha256()
    for piece in pieces:
        found.update(piece)
    return found.hexdigest()


def _parse_content(text: str, backup: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(
            f"backup {backup} is damaged: its manifest cannot be read ({error})"
        ) from error
    if not isinstance(content, dict):
        raise Refused(f"backup {backup} is damaged: its manifest is not an object")
    return content


def _seal_of(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(content)).hexdigest()


def canonical_json(content: Any) -> bytes:
    """Returns equal text for equal content, independent of the order of keys."""
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
