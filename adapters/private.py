"""Files that this program writes are readable only by their owner: folders 700, files 600, whatever
the process' umask says.

Rule: nothing that already exists is opened here. Opening and closing a database would drop the
locks on it (see ``adapters.own_files``), so the mode of an existing file is changed by its path.
"""

import os
import stat
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_FOLDER = 0o700
OWNER_ONLY = 0o600
_BITS_OF_OTHERS = 0o077
#: The folder that this program creates for itself; of any other path it only creates what is
#: missing.
_STATE_FOLDER = ".rollouts"
_making = threading.Lock()


def make_folder(folder: Path) -> None:
    """Creates what is missing of the path, and restricts ``.rollouts`` if others can read it."""
    for place in reversed((folder, *folder.parents)):
        if not place.exists():
            place.mkdir(mode=_FOLDER, exist_ok=True)
        elif place.name == _STATE_FOLDER:
            tighten_mode(place)


def make_file(path: Path) -> None:
    """Creates an empty file, or restricts an existing one. Never opens an existing file."""
    with _making:
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY))
        except FileExistsError:
            tighten_mode(path)


def write_text(path: Path, text: str) -> None:
    make_file(path)
    path.write_text(text, encoding="utf-8")


def create_text(path: Path, text: str, mode: int = OWNER_ONLY) -> None:
    """Creates the file with all of its text, or not at all: a process that is killed leaves no half
    of it. Raises FileExistsError, and changes nothing, if there is anything of this name."""
    half = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        os.link(half, path)
    finally:
        half.unlink(missing_ok=True)


def tighten_mode(path: Path) -> None:
    """Removes other users' permissions, if the file is this user's; leaves links alone."""
    with suppress(FileNotFoundError, PermissionError):
        about = path.lstat()
        if (
            about.st_mode & _BITS_OF_OTHERS
            and not stat.S_ISLNK(about.st_mode)
            and about.st_uid == os.geteuid()
        ):
            path.chmod(stat.S_IMODE(about.st_mode) & ~_BITS_OF_OTHERS)


def tighten_below(folder: Path) -> None:
    for path in _walk_all((folder,)):
        tighten_mode(path)


def find_open_to_others(paths: Iterable[Path]) -> list[Path]:
    """Returns those of the files, and of the folders with everything below them, that others may
    read, write or enter. What is in a folder that they may not enter is closed to them too."""
    found = []
    for top in paths:
        closed: set[Path] = set()
        for path in _walk_all((top,)):
            mode = _mode_bits(path)
            if path.parent in closed or (
                mode is not None and not mode & _BITS_OF_OTHERS and path.is_dir()
            ):
                closed.add(path)
            elif mode is not None and mode & _BITS_OF_OTHERS:
                found.append(path)
    return found


def _walk_all(tops: Iterable[Path]) -> Iterator[Path]:
    """Yields parents before children; links are not followed."""
    for top in tops:
        yield top
        for at, folders, names in os.walk(top):
            yield from (Path(at, name) for name in (*folders, *names))


def _mode_bits(path: Path) -> int | None:
    try:
        about = path.lstat()
    except OSError:
        return None
    if stat.S_ISLNK(about.st_mode):
        return None
    return stat.S_IMODE(about.st_mode)
