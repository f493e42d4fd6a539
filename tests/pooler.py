"""A pooler in transaction mode in front of PostgreSQL, like PgBouncer, for tests that session state
would mislead.

It refuses every startup parameter that PgBouncer refuses, and gives each transaction the connection
that was idle longest. So settings and prepared statements of one transaction are missing, or
another client's, in the next. If PgBouncer itself is installed, it can be started too.
"""

import shutil
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from typing import Self

from sqlalchemy import make_url

from tests.servers import HOST, Server, port_is_free

PGBOUNCER = shutil.which("pgbouncer", path="/usr/sbin:/usr/local/bin:/usr/bin")
#: Parameters that PgBouncer accepts by default.
_TAKEN = {"user", "database", "client_encoding", "application_name", "datestyle", "timezone"}
_SSL = 80877103
_GSS = 80877104
_CANCEL = 80877102


class Pooler:
    """All clients of one user and database share ``connections`` to the server at ``url``."""

    def __init__(self, url: str, connections: int = 2) -> None:
        self._server = make_url(url)
        self._connections = connections
        self._idle: dict[bytes, deque[socket.socket]] = {}
        self._greetings: dict[bytes, bytes] = {}
        self._free = threading.Condition()
        self._door = socket.create_server((HOST, 0))
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._begin(self._accept)
        return self

    def __exit__(self, *exc: object) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        for thread in self._threads:
            thread.join(5)
        for idle in self._idle.values():
            for server in idle:
                server.close()

    def url(self, database: str) -> str:
        """The URL of the database at the URL ``database``, through this pooler."""
        return (
            make_url(database)
            .set(host=HOST, port=self._door.getsockname()[1])
            .render_as_string(False)
        )

    def _begin(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._door.accept()
            except OSError:
                return
            self._begin(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client:
            _send_at_once(client)
            try:
                startup = self._startup(client)
                if startup is not None:
                    self._relay(client, startup)
            except (OSError, EOFError):
                return

    def _startup(self, client: socket.socket) -> bytes | None:
        while True:
            length, code = struct.unpack("!II", _read(client, 8))
            body = _read(client, length - 8)
            if code in (_SSL, _GSS):
                client.sendall(b"N")
                continue
            if code == _CANCEL:
                return None
            names = [name.decode() for name in body.split(b"\0")[:-1:2] if name]
            unknown = [name for name in names if name not in _TAKEN]
            if unknown:
                said = f"SFATAL\0C08P01\0Munsupported startup parameter: {unknown[0]}\0\0".encode()
                client.sendall(_message(b"E", said))
                return None
            return struct.pack("!II", length, code) + body

    def _relay(self, client: socket.socket, startup: bytes) -> None:
        self._open(startup)
        client.sendall(self._greetings[startup])
        server: socket.socket | None = None
        try:
            while True:
                kind, message = _next(client)
                if kind == b"X":
                    return
                server = server or self._take(startup)
                server.sendall(message)
                if kind in (b"Q", b"S") and _answered(server, client):
                    server = self._give(startup, server)
        finally:
            if server is not None:  # the client left in the middle of a transaction
                server.close()

    def _open(self, startup: bytes) -> None:
        with self._free:
            if startup in self._idle:
                return
            self._idle[startup] = deque()
            for _ in range(self._connections):
                server = socket.create_connection((self._server.host, self._server.port))
                _send_at_once(server)
                server.sendall(startup)
                greeting = b""
                while True:
                    kind, message = _next(server)
                    greeting += message
                    if kind in (b"Z", b"E"):
                        break
                self._greetings[startup] = greeting
                self._idle[startup].append(server)

    def _take(self, startup: bytes) -> socket.socket:
        with self._free:
            self._free.wait_for(lambda: self._idle[startup])
            return self._idle[startup].popleft()

    def _give(self, startup: bytes, server: socket.socket) -> None:
        with self._free:
            self._idle[startup].append(server)
            self._free.notify()


def _send_at_once(connection: socket.socket) -> None:
    """A statement comes in several messages, and each is passed on by itself. Without this, the
    kernel keeps all but the first until the receiver acknowledges that one, 40 ms later."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _answered(server: socket.socket, client: socket.socket) -> bool:
    """Everything up to the server's ReadyForQuery; whether the transaction is over."""
    while True:
        kind, message = _next(server)
        client.sendall(message)
        if kind == b"Z":
            return message[-1:] == b"I"


def _next(peer: socket.socket) -> tuple[bytes, bytes]:
    head = _read(peer, 5)
    (length,) = struct.unpack("!I", head[1:])
    return head[:1], head + _read(peer, length - 4)


def _read(peer: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        piece = peer.recv(count - len(found))
        if not piece:
            raise EOFError
        found += piece
    return found


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


class PgBouncer(Server):
    """The real one, before the PostgreSQL at ``database``; it does not run as root, and Debian has
    it in /usr/sbin. All clients share ``connections``."""

    name = "pgbouncer"

    def __init__(self, database: str, connections: int = 2) -> None:
        super().__init__()
        self._database = make_url(database)
        self._connections = connections

    @property
    def url(self) -> str:
        return self._database.set(host=HOST, port=self.port).render_as_string(hide_password=False)

    def _command(self) -> list[str]:
        users = self.folder / "users"
        config = self.folder / "pgbouncer.ini"
        users.write_text(f'"{self._database.username}" ""\n')
        config.write_text(
            "[databases]\n"
            f"* = host={self._database.host} port={self._database.port}\n"
            "[pgbouncer]\n"
            f"listen_addr = {HOST}\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {users}\npool_mode = transaction\n"
            f"default_pool_size = {self._connections}\nmax_client_conn = 500\n"
            "query_wait_timeout = 10\nserver_login_retry = 1\n"  # as docs/scaling.md says
        )
        for path in (self.folder, users, config):
            path.chmod(0o755)
        assert PGBOUNCER is not None
        return [PGBOUNCER, "-u", "nobody", str(config)]

    def _answers(self) -> bool:
        return not port_is_free(self.port)
