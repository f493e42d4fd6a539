"""Which files belong to this program: no request may open them as records or as a model, or
overwrite them.

Rule: a file is judged by its path and by ``stat``, before anything opens it. Even opening and
closing the state database in this process would do harm: POSIX then drops every lock that the
process holds on it (fcntl(2)), and SQLite continues to write into files that other processes have
replaced.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import parse_qsl

from qdrant_rollouts.core.errors import Refused

#: Folders that never contain records, wherever they are: state of this program, and keys.
_FOLDERS = {
    ".rollouts": "the state of this program",
    ".ssh": "a folder of keys",
    ".gnupg": "a folder of keys",
    ".aws": "a folder of credentials",
    ".postgresql": "a folder of keys",
    ".kube": "a folder of credentials",
    ".docker": "a folder of credentials",
    ".azure": "a folder of credentials",
}
#: The same for files, by the whole name in lower case.
_NAMES = (
    (re.compile(r"\.env(\..*)?|\.envrc|.*\.env"), "a file of settings and secrets"),
    (
        re.compile(r"\.(pgpass|netrc|pypirc|my\.cnf|npmrc|git-credentials|htpasswd|s3cfg|boto)"),
        "a file of passwords",
    ),
    (
        re.compile(r".*\.(pem|key|p12|pfx|jks|keystore|kdbx|ppk)|id_(rsa|dsa|ecdsa|ed25519)(_sk)?"),
        "a key or certificate",
    ),
)

#: Variables that name a file with a key, certificate or password to libraries in this process.
_VARIABLES = (
    *(
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "NETRC",
        "AWS_SHARED_CREDENTIALS_FILE",
    ),
    *(
        "AWS_CONFIG_FILE",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "KUBECONFIG",
        "PGPASSFILE",
        "PGSERVICEFILE",
    ),
    *("PGSSLKEY", "PGSSLCERT", "PGSSLROOTCERT", "PGSSLCRL"),
)

#: Device and inode: what two names of one file have in common.
_Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class OwnFiles:
    """``files`` and everything below ``folders``, with a description. They need not exist."""

    files: Mapping[Path, str] = field(default_factory=dict)
    folders: Mapping[Path, str] = field(default_factory=dict)

    def refuse(self, path: Path, name: str) -> None:
        """Raises Refused, with the description, if ``path`` is one of them."""
        Watch(self).refuse(path, name)


class Watch:
    """One look at the current files, for one source; it remembers what it left out."""

    def __init__(self, own: OwnFiles) -> None:
        self._own = own
        self._left_out: dict[str, str] = {}

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names with descriptions, each once, in order."""
        return tuple(f"{name} ({what})" for name, what in sorted(self._left_out.items()))

    def leaves_out(self, path: Path, name: str) -> bool:
        """Whether ``path`` is one of them; then it is recorded under ``name``."""
        what = self.what(path)
        if what:
            self._left_out[name] = what
        return bool(what)

    def refuse(self, path: Path, name: str) -> None:
        if what := self.what(path):
            raise Refused(f"{name} is {what}, and no request may open it; name your own files")

    def what(self, path: Path) -> str:
        """Returns the description of ``path``, links followed; empty for a file of others."""
        try:
            real = path.resolve()
        except (OSError, RuntimeError):  # a circular link; the reader reports it
            return ""
        return self._match_path(real) or self._match_identity(real)

    def _match_path(self, real: Path) -> str:
        for part in real.parts:
            if part.lower() in _FOLDERS:
                return _FOLDERS[part.lower()]
        for pattern, what in _NAMES:
            if pattern.fullmatch(real.name.lower()):
                return what
        return self._paths.get(real, "")

    def _match_identity(self, real: Path) -> str:
        """A hard link has another path, and so has a file below a folder that is mounted twice."""
        for place in (real, *real.parents):
            if what := self._places.get(_file_identity(place) or (0, 0)):
                return what
        try:
            about = real.stat()
        except OSError:
            return ""
        if about.st_nlink < 2 or not stat.S_ISREG(about.st_mode):
            return ""
        return self._below.get((about.st_dev, about.st_ino), "")

    @cached_property
    def _paths(self) -> dict[Path, str]:
        return {
            path.resolve(): what for path, what in {**self._own.folders, **self._own.files}.items()
        }

    @cached_property
    def _places(self) -> dict[_Identity, str]:
        """The files and folders themselves."""
        named = {**self._own.folders, **self._own.files}
        found = ((_file_identity(path), what) for path, what in named.items())
        return {identity: what for identity, what in found if identity is not None}

    @cached_property
    def _below(self) -> dict[_Identity, str]:
        """Every file below the folders; looked up only if a file has a second name."""
        found = (
            (_file_identity(path), what)
            for top, what in self._own.folders.items()
            for path in _files_below(top)
        )
        return {identity: what for identity, what in found if identity is not None}


def named_files(urls: Iterable[str], environ: Mapping[str, str]) -> list[Path]:
    """Returns the existing files that parameters of our servers' URLs and the libraries' variables
    name."""
    parameters = [value for url in urls for _, value in parse_qsl(url.partition("?")[2])]
    named = [*parameters, *(environ.get(name, "") for name in _VARIABLES)]
    return [Path(text).absolute() for text in named if text and _is_file(Path(text))]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a parameter that is not a path
        return False


def _files_below(folder: Path) -> Iterator[Path]:
    return (Path(at, name) for at, _, names in os.walk(folder) for name in names)


def _file_identity(path: Path) -> _Identity | None:
    """Returns None if the file does not exist, or cannot be read."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino
