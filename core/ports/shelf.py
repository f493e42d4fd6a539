"""The place where backups are stored."""

from collections.abc import Iterator
from typing import Protocol


class Shelf(Protocol):
    """Stores each backup as a folder of files and a manifest that is written last. A folder without
    a manifest is no backup. Every worker reaches the shelf under the same path."""

    @property
    def address(self) -> str: ...

    def check_writing(self) -> None:
        """Writes a file and removes it. Raises Refused or Unavailable if that fails."""

    def backups(self) -> list[str]:
        """Ids of the backups that have a manifest."""

    def manifest(self, backup: str) -> str:
        """The manifest as it was sealed. Raises Refused if there is none."""

    def seal(self, backup: str, manifest: str) -> None:
        """Writes the manifest in one act: it is there whole or not at all."""

    def size(self, backup: str, name: str) -> int:
        """Bytes of the file as far as it is written; 0 if it is not there."""

    def write(self, backup: str, name: str, start: int, content: bytes) -> None:
        """Puts ``content`` at ``start``. The same write may be repeated. Returns when it is
        on the disk."""

    def read(self, backup: str, name: str) -> Iterator[bytes]:
        """Raises Refused if the file is not there."""

    def unseal(self, backup: str) -> None:
        """Removes the manifest. A missing manifest is no error."""

    def drop(self, backup: str) -> None:
        """Removes the whole backup, the manifest first. A missing backup is no error."""
