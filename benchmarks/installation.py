"""The product as ``wiring`` puts it together, on a real Qdrant server, moved by hand: whoever runs
it is the broker.

So the turns of a step can be timed by themselves; what the engine waits for between them is waited
for in truth.
"""

import json
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.deployments import commands, engine
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.ports import Knock
from qdrant_rollouts.wiring import build_services

_SHORT = {"seconds": 0, "interval_seconds": 0.1}


def settings(folder: Path, qdrant_url: str, grpc_port: int) -> Settings:
    """Everything in ``folder``; nothing of the developer's own is read."""
    return Settings(
        _env_file=None,  # type: ignore[call-arg]  # pydantic-settings takes it, its types do not say so
        database_url=SecretStr(f"sqlite:///{folder / 'state.db'}"),
        qdrant_url=qdrant_url,
        qdrant_api_key=SecretStr(""),
        qdrant_grpc_port=grpc_port,
        config=folder / "rollouts.yaml",
        backup_dir=str(folder / "backups"),
        source_roots=(),
    )


def declare(folder: Path, indexes: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes the index file: these indexes with the shortest soak there is."""
    content = {"indexes": {alias: {"soak": _SHORT, **spec} for alias, spec in indexes.items()}}
    (folder / "rollouts.yaml").write_text(json.dumps(content), encoding="utf-8")


def write_records(path: Path, records: Iterable[Mapping[str, Any]]) -> str:
    """A JSONL file of the records; returns the source that reads it."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)
    return f"jsonl:{path}"


class Installation:
    """One deployment at a time."""

    def __init__(self, configured: Settings) -> None:
        self._knocks: deque[Knock] = deque()
        self.services = build_services(configured, self)

    def __call__(self, knock: Knock) -> None:
        self._knocks.append(knock)

    def close(self) -> None:
        self.services.close()

    def deploy(self, alias: str) -> dict[str, float]:
        """Seconds spent in the turns of each step, from the deployment's start to its end, which
        must be ``live``."""
        return self.through(commands.start_deployment(self.services, alias, actor="benchmark"))

    def through(self, run: str) -> dict[str, float]:
        """The same of a run of any kind that has begun."""
        spent: dict[str, float] = defaultdict(float)
        while self._knocks:
            knock = self._knocks.popleft()
            threading.Event().wait(knock.countdown)
            started = time.perf_counter()
            engine.take_turn(self.services, knock, "benchmark")
            spent[knock.step] += time.perf_counter() - started
        ended = queries.get_deployment(self.services, run)
        if ended["status"] != "live":
            raise RuntimeError(
                f"{ended['strategy']} of {ended['alias']} ended {ended['status']}: "
                f"{ended['message']}"
            )
        return spent
