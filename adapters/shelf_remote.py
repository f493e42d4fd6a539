"""Backups on any filesystem that fsspec supports: ``{id}/manifest.json``, and each file as a folder
of parts.

Object stores cannot write into the middle of a file, so each part is a separate object, named by
its first byte's position. A file is the chain of parts from byte 0 on, each beginning where the
previous one ends; a part outside the chain was left by a worker that died, and is ignored. The
filesystem takes its credentials from the environment.
"""

import importlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any

from qdrant_rollouts.core.errors import AppError, Refused, Unavailable
from qdrant_rollouts.core.ports.naming import check_name
from qdrant_rollouts.core.sanitize.quoting import quote_value

_MANIFEST = "manifest.json"


class RemoteShelf:
    """``url`` contains no credentials. Nothing is opened before the first call; the named folder
    must exist."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    @property
    def address(self) -> str:
        return self._url

    def check_writing(self) -> None:
        """Uses a file whose name no backup has."""
        try:
            with self._translate_errors("be written"):
                path = f"{self._root}/.doctor-{secrets.token_hex(8)}"
                self._files.pipe_file(path, b"doctor")
                self._files.rm_file(path)
        except FileNotFoundError as error:
            raise Refused(
                f"{self._url} is not there: make it, or correct ROLLOUTS_BACKUP_DIR"
            ) from error

    def backups(self) -> list[str]:
        with self._translate_errors("be listed"):
            names = [name for name in self._list_folder(self._root) if not name.startswith(".")]
            return sorted(
                name for name in names if self._files.exists(f"{self._root}/{name}/{_MANIFEST}")
            )

    def manifest(self, backup: str) -> str:
        path = self._backup_path(backup, _MANIFEST)
        try:
            with self._translate_errors("be read"):
                return bytes(self._files.cat_file(path)).decode()
        except FileNotFoundError as error:
            raise Refused(
                f"there is no backup {backup} in {self._url}; `rollouts backup list` shows them"
            ) from error
        except UnicodeDecodeError as error:
            raise Refused(
                f"backup {backup} is damaged: its manifest is not text ({error.reason})"
            ) from error

    def seal(self, backup: str, manifest: str) -> None:
        """Written under another name, then moved, because not every filesystem shows a file only
        when it is complete."""
        path = self._backup_path(backup, _MANIFEST)
        with self._translate_errors("be written"):
            if self._files.exists(path):
                if bytes(self._files.cat_file(path)) == manifest.encode():
                    return
                self._files.rm_file(path)
            self._write_file(f"{path}.part", manifest.encode())
            self._files.mv(f"{path}.part", path)

    def size(self, backup: str, name: str) -> int:
        return sum(length for _, length in self._list_parts(backup, name))

    def write(self, backup: str, name: str, start: int, content: bytes) -> None:
        with self._translate_errors("be written"):
            self._write_file(f"{self._parts_folder(backup, name)}/{start:020d}", content)

    def read(self, backup: str, name: str) -> Iterator[bytes]:
        chain = self._list_parts(backup, name)
        if not chain:
            raise Refused(f"backup {backup} is damaged: {name} is missing")
        for start, _ in chain:
            with self._translate_errors("be read"):
                piece = bytes(
                    self._files.cat_file(f"{self._parts_folder(backup, name)}/{start:020d}")
                )
            yield piece

    def unseal(self, backup: str) -> None:
        path = self._backup_path(backup, _MANIFEST)
        with suppress(FileNotFoundError), self._translate_errors("be removed"):
            self._files.rm_file(path)

    def drop(self, backup: str) -> None:
        self.unseal(backup)
        folder = self._backup_path(backup)
        with suppress(FileNotFoundError), self._translate_errors("be removed"):
            self._files.invalidate_cache()
            self._files.rm(folder, recursive=True)

    @property
    def _files(self) -> Any:
        return self._opened[0]

    @property
    def _root(self) -> str:
        return self._opened[1]

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        """In a forked process fsspec opens its own connections."""
        try:
            fsspec = importlib.import_module("fsspec.core")
            files, root = fsspec.url_to_fs(self._url)
        except ImportError as error:
            raise Refused(
                f"{self._url} needs more than is installed: {error}; pip install "
                "'qdrant-rollouts[remote]' and that"
            ) from error
        return files, str(root).rstrip("/")

    def _backup_path(self, backup: str, *more: str) -> str:
        return "/".join([self._root, check_name("backup", backup), *more])

    def _parts_folder(self, backup: str, name: str) -> str:
        """A name from a manifest cannot lead to another folder."""
        if name in ("", ".", "..", _MANIFEST) or "/" in name or "\\" in name:
            raise Refused(f"backup {backup} is damaged: {quote_value(name)} is not a file name")
        return self._backup_path(backup, name)

    def _list_parts(self, backup: str, name: str) -> list[tuple[int, int]]:
        """Returns start and length of each part that belongs to the file."""
        path = self._parts_folder(backup, name)
        with self._translate_errors("be listed"):
            lengths = {
                int(part): length
                for part, length in self._list_folder(path).items()
                if part.isdigit()
            }
        chain = []
        at = 0
        while length := lengths.get(at):
            chain.append((at, length))
            at += length
        return chain

    def _list_folder(self, folder: str) -> dict[str, int]:
        """Returns current names and sizes: other processes write too, so nothing is cached."""
        self._files.invalidate_cache()
        try:
            found = self._files.ls(folder, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        return {
            str(one["name"]).rstrip("/").rpartition("/")[2]: int(one["size"] or 0) for one in found
        }

    def _write_file(self, path: str, content: bytes) -> None:
        """Creates missing folders if the filesystem has folders, but never the one that a person
        named."""
        try:
            self._files.pipe_file(path, content)
        except FileNotFoundError:
            made = path.removeprefix(f"{self._root}/").split("/")[:-1]
            for depth in range(1, len(made) + 1):
                with suppress(FileExistsError):
                    self._files.mkdir("/".join([self._root, *made[:depth]]), create_parents=False)
            self._files.pipe_file(path, content)

    @contextmanager
    def _translate_errors(self, act: str) -> Iterator[None]:
        try:
            yield
        except (AppError, FileNotFoundError, UnicodeDecodeError):
            raise
        except PermissionError as error:
            raise Refused(
                f"{self._url} may not {act}: look at its credentials in the environment"
            ) from error
        except Exception as error:
            # Each filesystem's library has its own errors; all of them mean that the operation was
            # not done.
            raise Unavailable(f"{self._url} could not {act}: {type(error).__name__}") from error
