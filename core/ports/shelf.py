"""Where backups stand."""

from collections.abc import Iterator
from typing import Protocol


class Shelf(Protocol):
    """Where backups stand: for each a folder of files, and a manifest that is written last. A
    folder without a manifest is no backup. Reachable by every process that works, under the same
    path."""

    @property
    def address(self) -> str: ...

    def check_writing(self) -> None:
        """Writes something and takes it back. Raises Refused or Unavailable where that cannot be
        done."""

    def backups(self) -> list[str]:
        """Ids of those with a manifest."""

    def manifest(self, backup: str) -> str:
        """As it was sealed. Raises Refused if there is none."""

    def seal(self, backup: str, manifest: str) -> None:
        """Writes the manifest in one act: it is there whole or not at all."""

    def size(self, backup: str, name: str) -> int:
        """Bytes of the file as far as it is written; 0 if it is not there."""

    def write(self, backup: str, name: str, start: int, content: bytes) -> None:
        """Puts ``content`` at ``start``. Done twice is done once. Returns when it is on the
        disk."""

    def read(self, backup: str, name: str) -> Iterator[bytes]:
        """Raises Refused if the file is not there."""

    def unseal(self, backup: str) -> None:
        """Removes the manifest; gone is done."""

    def drop(self, backup: str) -> None:
        """Removes all of it, the manifest first; gone is done."""
