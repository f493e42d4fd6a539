"""What this program writes is for its owner alone: folders 700, files 600, whatever the process' umask says.

Rule: nothing is opened here that is there already. Opening and closing a database would drop the
locks on it (see ``adapters.own_files``), so what is too open is changed by its path.
"""

import os
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_FOLDER = 0o700
_FILE = 0o600
_BITS_OF_OTHERS = 0o077
#: The folder that this program makes for itself; of any other it only makes what is missing.
_STATE_FOLDER = ".rollouts"
_making = threading.Lock()


def make_folder(folder: Path) -> None:
    """Makes what is missing of the path, and closes ``.rollouts`` where that was open to others."""
    for place in reversed((folder, *folder.parents)):
        if not place.exists():
            place.mkdir(mode=_FOLDER, exist_ok=True)
        elif place.name == _STATE_FOLDER:
            tighten_mode(place)


def make_file(path: Path) -> None:
    """Makes an empty file, or closes to others one that is there. Never opens one that is there."""
    with _making:
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE))
        except FileExistsError:
            tighten_mode(path)


def write_text(path: Path, text: str) -> None:
    make_file(path)
    path.write_text(text, encoding="utf-8")


def tighten_mode(path: Path) -> None:
    """Takes from others what they may do with it, where it is this user's; links are left alone."""
    with suppress(FileNotFoundError, PermissionError):
        about = path.lstat()
        if about.st_mode & _BITS_OF_OTHERS and not stat.S_ISLNK(about.st_mode) and about.st_uid == os.geteuid():
            path.chmod(stat.S_IMODE(about.st_mode) & ~_BITS_OF_OTHERS)


def tighten_below(folder: Path) -> None:
    for path in _walk_all((folder,)):
        tighten_mode(path)


def find_open_to_others(paths: Iterable[Path]) -> list[Path]:
    """Of the files, and of the folders with everything below them, what others may read, write or
    enter. What lies in a folder that they may not enter is closed to them too."""
    found = []
    for top in paths:
        closed: set[Path] = set()
        for path in _walk_all((top,)):
            mode = _mode_bits(path)
            if path.parent in closed or (mode is not None and not mode & _BITS_OF_OTHERS and path.is_dir()):
                closed.add(path)
            elif mode is not None and mode & _BITS_OF_OTHERS:
                found.append(path)
    return found


def _walk_all(tops: Iterable[Path]) -> Iterator[Path]:
    """From the top down; links are not followed."""
    for top in tops:
        yield top
        for at, folders, names in os.walk(top):
            yield from (Path(at, name) for name in (*folders, *names))


def _mode_bits(path: Path) -> int | None:
    try:
        about = path.lstat()
    except OSError:
        return None
    return None if stat.S_ISLNK(about.st_mode) else stat.S_IMODE(about.st_mode)
