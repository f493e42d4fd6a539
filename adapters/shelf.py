"""Backups in a directory: ``{id}/manifest.json`` and the files that it names."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from qdrant_rollouts.adapters import private
from qdrant_rollouts.adapters.shelf_remote import RemoteShelf
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.ports import Shelf
from qdrant_rollouts.core.ports.naming import check_name
from qdrant_rollouts.core.sanitize.quoting import quote_value

_MANIFEST = "manifest.json"
_PIECE_BYTES = 1 << 20


def open_shelf(where: str) -> Shelf:
    """A directory, or a URL that ``core.config.settings`` has accepted."""
    if "://" in where:
        return RemoteShelf(where)
    return FolderShelf(Path(where))


class FolderShelf:
    """Nothing is created before the first write."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()

    @property
    def address(self) -> str:
        return str(self._folder)

    def check_writing(self) -> None:
        """Uses a file without a name; if the directory does not exist yet, in the folder where it
        would be created."""
        place = next(place for place in (self._folder, *self._folder.parents) if place.exists())
        try:
            with tempfile.TemporaryFile(dir=place) as file:
                file.write(b"doctor")
        except OSError as error:
            raise Refused(
                f"{self._folder} cannot be written ({place}: {error.strerror}); correct "
                "ROLLOUTS_BACKUP_DIR"
            ) from error

    def backups(self) -> list[str]:
        return sorted(path.parent.name for path in self._folder.glob(f"*/{_MANIFEST}"))

    def manifest(self, backup: str) -> str:
        path = self._backup_folder(backup) / _MANIFEST
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise Refused(
                f"there is no backup {backup} in {self._folder}; `rollouts backup list` shows them"
            ) from error
        except UnicodeDecodeError as error:
            raise Refused(
                f"backup {backup} is damaged: its manifest is not text ({error.reason})"
            ) from error

    def seal(self, backup: str, manifest: str) -> None:
        path = self._backup_folder(backup) / _MANIFEST
        private.make_folder(path.parent)
        fresh = path.with_suffix(".part")
        private.make_file(fresh)
        with fresh.open("wb") as file:
            file.write(manifest.encode())
            os.fsync(file.fileno())
        fresh.replace(path)
        self._sync_folder(backup)

    def size(self, backup: str, name: str) -> int:
        try:
            return self._file_path(backup, name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return 0

    def write(self, backup: str, name: str, start: int, content: bytes) -> None:
        path = self._file_path(backup, name)
        try:
            private.make_folder(path.parent)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        except OSError as error:
            raise Refused(
                f"{path} cannot be written: {error.strerror}; correct ROLLOUTS_BACKUP_DIR"
            ) from error
        try:
            self._write_fully(handle, start, content)
        except OSError as error:
            raise Unavailable(f"{path} cannot be written: {error.strerror}") from error
        finally:
            os.close(handle)

    def read(self, backup: str, name: str) -> Iterator[bytes]:
        path = self._file_path(backup, name)
        try:
            with path.open("rb") as file:
                while piece := file.read(_PIECE_BYTES):
                    yield piece
        except FileNotFoundError as error:
            raise Refused(f"backup {backup} is damaged: {name} is missing") from error

    def unseal(self, backup: str) -> None:
        with suppress(FileNotFoundError, NotADirectoryError):
            (self._backup_folder(backup) / _MANIFEST).unlink()
            self._sync_folder(backup)

    def drop(self, backup: str) -> None:
        self.unseal(backup)
        with suppress(FileNotFoundError, NotADirectoryError):
            shutil.rmtree(self._backup_folder(backup))

    def _backup_folder(self, backup: str) -> Path:
        return self._folder / check_name("backup", backup)

    def _file_path(self, backup: str, name: str) -> Path:
        """A name from a manifest cannot lead to another folder."""
        if Path(name).name != name or name in ("", "..", _MANIFEST):
            raise Refused(f"backup {backup} is damaged: {quote_value(name)} is not a file name")
        return self._backup_folder(backup) / name

    def _write_fully(self, handle: int, start: int, content: bytes) -> None:
        done = 0
        while done < len(content):
            done += os.pwrite(handle, content[done:], start + done)
        os.fsync(handle)

    def _sync_folder(self, backup: str) -> None:
        """A file's name is on the disk when its folder is."""
        handle = os.open(self._backup_folder(backup), os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
