"""Moves the clocks of other processes while they run, with libfaketime from the wheel of that name.

Only the time of day is moved; clocks that count seconds continue.
"""

import importlib.util
from pathlib import Path
from typing import Self

from tests.servers import Postgres, ServerFailed


class FakeClock:
    """The clock of each process that is started with its environment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def set(self, seconds: float) -> None:
        """From now on the clock is this far ahead of this machine's."""
        half = self._folder / "clock.half"
        half.write_text(f"{seconds:+.0f}\n")
        half.chmod(0o644)
        half.rename(self._folder / "clock")

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._folder / "clock"),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


class MovedPostgres(Postgres):
    """A PostgreSQL server whose clock a test may set."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock(self.folder)

    def start(self) -> Self:
        if not (self.folder / "clock").exists():
            self.clock.set(0)
        return super().start()

    def _environment(self) -> dict[str, str]:
        """The server's user may not be able to read this program's folder."""
        kept = self.folder / library().name
        if not kept.exists():
            kept.write_bytes(library().read_bytes())
            kept.chmod(0o644)
        return {**super()._environment(), **self.clock.environment, "LD_PRELOAD": str(kept)}


def library() -> Path:
    """Raises ServerFailed if it is not installed, or was built for another machine."""
    found = importlib.util.find_spec("libfaketime")
    if found is None or found.origin is None:
        raise ServerFailed("libfaketime is not installed; run `make install`")
    path = Path(found.origin).parent / "vendor/libfaketime/src/libfaketime.so.1"
    if not path.exists():
        raise ServerFailed(f"there is no {path}; it is built for Linux alone")
    return path
