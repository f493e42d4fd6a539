"""Which files a pattern means.

Patterns are separated by commas (``[,]`` is a comma in a name), ``**`` matches any depth, hidden
files need an explicit dot, and folders that cannot be listed are skipped. Every file must resolve,
symbolic links included, to a place under an allowed folder. So must the part of a pattern before
its first wildcard; otherwise a pattern could reveal what exists elsewhere.

Files of this program (``adapters.own_files``) are refused if they are named, and left out if a
wildcard or a folder includes them.
"""

import errno
import glob
import gzip
import hashlib
import os
import re
import stat
import zlib
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

from qdrant_rollouts.adapters.own_files import OwnFiles, Watch
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.sanitize.quoting import LONGEST_PLACE, quote_value

_SEPARATOR = re.compile(r",(?!\])")
_ESCAPED = re.compile(r"\[([*?\[,])\]")
_LASTING_ERRORS = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EACCES,
    errno.EPERM,
    errno.ELOOP,
    errno.ENAMETOOLONG,
}


@dataclass(frozen=True, slots=True)
class File:
    """``path`` is the real path, ``name`` the name for people. Bytes on disk, nanoseconds."""

    path: Path
    name: str
    size: int
    changed: int


def find_files(
    patterns: str, roots: Sequence[Path], watch: Watch | None = None
) -> tuple[File, ...]:
    """Returns the files that ``patterns`` mean, each once, by path. Raises Refused for missing or
    forbidden ones."""
    watch = watch or Watch(OwnFiles())
    parts = [pattern.strip() for pattern in _SEPARATOR.split(patterns)]
    files = {file.path: file for pattern in parts for file in _match_pattern(pattern, roots, watch)}
    return tuple(file for _, file in sorted(files.items()))


def make_absolute(patterns: str, base: Path) -> str:
    """Returns the same patterns, with those relative to ``base`` made absolute, so that they mean
    the same everywhere."""
    start = glob.escape(str(base.absolute())).replace(",", "[,]")
    return ",".join(os.path.join(start, pattern.strip()) for pattern in _SEPARATOR.split(patterns))  # noqa: PTH118


def find_below(
    folder: str, roots: Sequence[Path], endings: Container[str], watch: Watch | None = None
) -> tuple[File, ...]:
    """Returns the files in ``folder`` and its subfolders whose names end like this, by path;
    ``name`` begins at ``folder``. Hidden files are skipped, links to folders are not followed.
    Raises Refused for what is missing or not allowed."""
    real = _resolve_path(roots[0] / folder, folder)
    watch = watch or Watch(OwnFiles())
    _check_allowed(real, folder, roots)
    watch.refuse(real, folder)
    with translate_errors(folder):
        if not stat.S_ISDIR(real.stat().st_mode):
            raise Refused(f"{folder} is a file; name the folder it lies in")
    paths = sorted(path for path in _walk_visible(real) if path.suffix.lower() in endings)
    theirs = [path for path in paths if not watch.leaves_out(path, _display_name(path, real))]
    return tuple(
        replace(_inspect_file(path, roots), name=_display_name(path, real)) for path in theirs
    )


def _walk_visible(folder: Path) -> Iterator[Path]:
    for at, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(at, name) for name in names if not name.startswith("."))


def fingerprint_files(files: Sequence[File]) -> str:
    state = "\n".join(f"{file.path}\0{file.size}\0{file.changed}" for file in files)
    return hashlib.blake2b(os.fsencode(state), digest_size=16).hexdigest()


def check_unchanged(file: File) -> None:
    """Raises Refused if the file was written to since it was found."""
    now = file.path.stat()
    if (now.st_size, now.st_mtime_ns) != (file.size, file.changed):
        raise Refused(
            f"{file.name} changed while it was read; deploy again when nothing writes to it"
        )


def _match_pattern(pattern: str, roots: Sequence[Path], watch: Watch) -> list[File]:
    if not pattern or "\0" in pattern:
        raise Refused(f"file pattern {quote_value(pattern, LONGEST_PLACE)} is not a path")
    parts = Path(pattern).parts
    literal = [_ESCAPED.sub(r"\1", part) for part in takewhile(_is_literal, parts)]
    start = roots[0].joinpath(*literal)
    _check_allowed(_resolve_path(start, pattern), pattern, roots)
    if len(literal) == len(parts):
        return [_find_named(start, roots, watch)]
    if os.path.lexists(roots[0] / pattern):  # a name that only looks like a pattern
        return [_find_named(roots[0] / pattern, roots, watch)]
    found = glob.glob(pattern, root_dir=roots[0], recursive=True)  # noqa: PTH207 - pathlib's takes no absolute pattern
    there = [path for path in map(roots[0].joinpath, found) if not path.is_dir()]
    files = [_inspect_file(path, roots) for path in there]
    theirs = [file for file in files if not watch.leaves_out(file.path, file.name)]
    if files and not theirs:
        names = ", ".join(file.name for file in files)[:200]
        raise Refused(
            f"{quote_value(pattern, LONGEST_PLACE)} matches nothing but files of this program "
            f"({names}), "
            "and no request may have them opened; name files of your own"
        )
    if not files:
        raise Refused(
            f"no file matches {quote_value(pattern, LONGEST_PLACE)}; relative patterns start in "
            f"{roots[0]}"
        )
    return theirs


def _find_named(path: Path, roots: Sequence[Path], watch: Watch) -> File:
    file = _inspect_file(path, roots)
    watch.refuse(file.path, file.name)
    return file


def _is_literal(part: str) -> bool:
    return not glob.has_magic(_ESCAPED.sub("", part))


def _inspect_file(path: Path, roots: Sequence[Path]) -> File:
    name = _display_name(path, roots[0])
    with translate_errors(name):
        real = _resolve_path(path, name, strict=True)
        about = real.stat()
    _check_allowed(real, name, roots)
    if stat.S_ISDIR(about.st_mode):
        raise Refused(f"{name} is a directory; name its files, for example {name}/*.jsonl")
    if not stat.S_ISREG(about.st_mode):
        raise Refused(f"{name} is not a regular file")
    return File(real, name, about.st_size, about.st_mtime_ns)


def _resolve_path(path: Path, name: str, *, strict: bool = False) -> Path:
    try:
        return path.resolve(strict=strict)
    except RuntimeError as error:  # Python before 3.13
        raise Refused(f"{name} cannot be read: a link leads back to itself") from error


def _check_allowed(real: Path, name: str, roots: Sequence[Path]) -> None:
    allowed = list(dict.fromkeys(root.resolve() for root in roots))
    if not any(real.is_relative_to(root) for root in allowed):
        raise Refused(
            f"{name} lies at {real}, outside the folders that sources may read: "
            f"{', '.join(map(str, allowed))}; "
            "move it there, or add its folder to ROLLOUTS_SOURCE_ROOTS"
        )


def _display_name(path: Path, base: Path) -> str:
    shown = path
    if path.is_relative_to(base):
        shown = path.relative_to(base)
    return os.fsencode(shown).decode(errors="backslashreplace")


@contextmanager
def translate_errors(name: str) -> Iterator[None]:
    """Explains the file system's errors: Refused if waiting will not help, Unavailable
    otherwise."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Refused(f"{name} is damaged: {error}") from error
    except OSError as error:
        kind = Refused if error.errno in _LASTING_ERRORS else Unavailable
        raise kind(f"{name} cannot be read: {error.strerror or error}") from error
