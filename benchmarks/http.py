"""The HTTP API asked by 100 clients at once for 60 seconds: a real `rollouts web`, PostgreSQL, a
Qdrant server.

Every client has a connection of its own and asks again as soon as it is answered: of ten requests
seven are searches by vector through the route (top 10 of 20,000 points, 384 numbers), and one each
asks for the index, the latest deployments and the latest events; all with a bearer token. Before
it, the same clients ask a bare Starlette endpoint that is served with the same settings. Clients
and servers share the machine. Bound: no request fails.
"""

import asyncio
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from pydantic import SecretStr

from benchmarks.gate import fill, until_ready
from benchmarks.installation import Installation, declare, settings
from benchmarks.results import Result, Size
from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.interfaces.access import tokens
from tests.servers import Postgres, Qdrant

CLIENTS = 100
POINTS = {Size.FULL: 20_000, Size.CI: 20_000, Size.SMALLEST: 1_000}
SECONDS = {Size.FULL: 60.0, Size.CI: 5.0, Size.SMALLEST: 1.0}
BARE_SECONDS = {Size.FULL: 10.0, Size.CI: 10.0, Size.SMALLEST: 1.0}
_ROOT = Path(__file__).parents[1]


@dataclass
class Seen:
    """Seconds that each answer took, by what was asked, and what went wrong."""

    taken: dict[str, list[float]] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, what: str, seconds: float) -> None:
        self.taken.setdefault(what, []).append(seconds)

    @property
    def all(self) -> list[float]:
        return [seconds for taken in self.taken.values() for seconds in taken]


@dataclass(frozen=True, slots=True)
class Asked:
    what: str
    request: bytes


def run(size: Size) -> list[Result]:
    with (
        tempfile.TemporaryDirectory(prefix="rollouts-http-") as name,
        Qdrant() as qdrant,
        Postgres() as postgres,
    ):
        environment, presented = _prepared(Path(name), qdrant, postgres.url, POINTS[size])
        with _process([sys.executable, "-m", "benchmarks.bare"], {}) as bare:
            before = asyncio.run(_asked(bare, _requests(presented, bare), BARE_SECONDS[size]))
        web = [
            sys.executable,
            "-m",
            "qdrant_rollouts.interfaces.cli",
            "web",
            "--port",
            "0",
            "--json",
        ]
        with _process(web, environment) as address:
            seen = asyncio.run(_asked(address, _requests(presented, address), SECONDS[size]))
    return _results(seen, SECONDS[size], before, BARE_SECONDS[size])


def percentile(seconds: Sequence[float], share: float) -> float:
    """The smallest of ``seconds`` that at least ``share`` of them do not exceed."""
    ordered = sorted(seconds)
    return ordered[math.ceil(len(ordered) * share) - 1]


def _prepared(
    folder: Path, qdrant: Qdrant, database: str, points: int
) -> tuple[dict[str, str], str]:
    """An index that serves, and a token: the web process' environment, and what to present."""
    store = ServerStore(qdrant.url, grpc_port=qdrant.grpc_port)
    fill(store, "texts_1", points)
    until_ready(store, "texts_1")
    declare(folder, {})
    configured = settings(folder, qdrant.url, qdrant.grpc_port).model_copy(
        update={"database_url": SecretStr(database)}
    )
    installation = Installation(configured)
    commands.create_alias(installation.services, "texts", "texts_1", actor="benchmark")
    made = tokens.create_token(
        installation.services, "benchmark", ("read", "search"), actor="benchmark"
    )
    installation.close()
    environment = {
        "ROLLOUTS_DATABASE_URL": database,
        "ROLLOUTS_QDRANT_URL": qdrant.url,
        "ROLLOUTS_QDRANT_GRPC_PORT": str(qdrant.grpc_port),
        "ROLLOUTS_CONFIG": str(folder / "rollouts.yaml"),
    }
    return environment, str(made["token"])


@contextmanager
def _process(command: Sequence[str], environment: dict[str, str]) -> Iterator[str]:
    """A server of its own; the address that it prints first."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.pathsep.join([str(_ROOT / "src"), str(_ROOT)])
        whole = {**os.environ, **environment, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            command, cwd=folder, env=whole, stdout=subprocess.PIPE, text=True
        )
        try:
            yield _address(process)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _address(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith("http"):
            return line.strip()
        if said.rstrip().endswith("}"):
            return str(json.loads(said)["web"])
    raise RuntimeError(f"the server has ended: {said}")


def _requests(presented: str, address: str) -> list[Asked]:
    host = urlsplit(address).netloc
    vectors = np.random.default_rng(5).standard_normal((64, 384)).round(4)
    searches = [
        _request(
            host, presented, "search", "POST", "/indexes/texts/search", {"vector": vector.tolist()}
        )
        for vector in vectors
    ]
    reads = [
        _request(host, presented, what, "GET", path)
        for what, path in (
            ("index", "/indexes/texts"),
            ("deployments", "/deployments"),
            ("events", "/events"),
        )
    ]
    return [one for start in range(0, 63, 7) for one in (*searches[start : start + 7], *reads)]


def _request(
    host: str, presented: str, what: str, method: str, path: str, body: object = None
) -> Asked:
    content = b"" if body is None else json.dumps(body).encode()
    kind = "Content-Type: application/json\r\n" if body is not None else ""
    head = (
        f"{method} /api/v1{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer "
        f"{presented}\r\n{kind}"
    )
    return Asked(what, f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)


async def _asked(address: str, requests: Sequence[Asked], seconds: float) -> Seen:
    seen = Seen()
    ends = time.monotonic() + seconds
    await asyncio.gather(
        *(_client(address, requests, number, ends, seen) for number in range(CLIENTS))
    )
    return seen


async def _client(
    address: str, requests: Sequence[Asked], first: int, ends: float, seen: Seen
) -> None:
    parts = urlsplit(address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    number = first
    while time.monotonic() < ends:
        asked = requests[number % len(requests)]
        number += 1
        started = time.perf_counter()
        writer.write(asked.request)
        try:
            status = await _answered(reader)
        except (OSError, asyncio.IncompleteReadError) as error:
            seen.faults[f"{asked.what}: {type(error).__name__}"] += 1
            return
        seen.add(asked.what, time.perf_counter() - started)
        if status != 200:
            seen.faults[f"{asked.what}: {status}"] += 1
    writer.close()


async def _answered(reader: asyncio.StreamReader) -> int:
    """The status of an answer that was read to its end."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = next(line for line in head.split("\r\n") if line.startswith("content-length:"))
    await reader.readexactly(int(length.partition(":")[2]))
    return int(head.split(" ", 2)[1])


def _results(seen: Seen, seconds: float, before: Seen, bare_seconds: float) -> list[Result]:
    bare = f"bare Starlette: {_words(before.all)}, {len(before.all) / bare_seconds:,.0f}/s"
    faults = ", ".join(f"{what} {count}" for what, count in seen.faults.items())
    ratio = statistics.median(seen.all) / statistics.median(before.all)
    asked = f"{CLIENTS} clients for {seconds:g} s, {len(seen.all):,} requests"
    words = f"{_words(seen.all)}, {len(seen.all) / seconds:,.0f}/s"
    return [
        Result(f"{asked}: failed", str(seen.faults.total()), faults, None, "none", not seen.faults),
        Result("all of them", words, bare, ratio),
        *(
            Result(what, f"{_words(taken)}, {len(taken):,} of them")
            for what, taken in sorted(seen.taken.items())
        ),
    ]


def _words(seconds: Sequence[float]) -> str:
    middle, late = (percentile(seconds, share) * 1000 for share in (0.5, 0.99))
    return f"p50 {middle:,.0f} ms, p99 {late:,.0f} ms"
