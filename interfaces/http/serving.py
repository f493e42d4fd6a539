"""Serves the web process' app: in the main thread (`rollouts web`) or beside the worker
(`rollouts up`)."""

import gc
import ipaddress
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.access import tokens
from qdrant_rollouts.interfaces.http.connections import AT_ONCE, BACKLOG, Connection, Server
from qdrant_rollouts.interfaces.http.limits import Limits, process_limits
from qdrant_rollouts.interfaces.http.security import is_loopback

#: Seconds for which running answers may continue when the process ends; streams would never end by
#: themselves.
_SHUTDOWN_GRACE = 3
#: Milliseconds after which the kernel gives up a connection whose other end reads nothing or is
#: gone.
_SEND_TIMEOUT_MS = 60_000


@contextmanager
def bind_socket(
    services: Services, settings: Settings, host: str, port: int
) -> Iterator[socket.socket]:
    """Returns a listening socket; port 0 uses any free port. Raises Refused if anybody could get
    in, and if another process already listens there."""
    open_to_others = not is_loopback(host)
    if (
        open_to_others
        and not settings.api_token.get_secret_value()
        and not tokens.has_any_token(services)
    ):
        raise Refused(
            f"--host {host} can be reached from other machines, and there is no token: make one "
            "with "
            "`rollouts token create NAME --scope read`, or set ROLLOUTS_API_TOKEN"
        )
    with _open_listener(host, port) as door:
        yield door


def serve_until_signal(app: ASGIApp, door: socket.socket, limits: Limits | None = None) -> None:
    """Until Ctrl-C or SIGTERM, which uvicorn passes on when it has ended: by then there is nothing
    left to end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    _freeze_loaded_objects()
    _make_server(app, limits or process_limits()).run(sockets=[door])


@contextmanager
def serve_beside(app: ASGIApp, door: socket.socket, limits: Limits | None = None) -> Iterator[None]:
    """In a separate thread, until the end of the block."""
    _freeze_loaded_objects()
    server = _make_server(app, limits or process_limits())
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [door]}, name="web", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


def socket_url(door: socket.socket) -> str:
    host, port = door.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _freeze_loaded_objects() -> None:
    """Modules and models stay until the process ends: some 300,000 objects, which Python's
    collector would walk once in a dozen large pages, while everything else waits for 0.2 s."""
    gc.collect()
    gc.freeze()


def _make_server(app: ASGIApp, limits: Limits) -> uvicorn.Server:
    """The client's address is that of the socket: addresses claimed by a proxy are ignored
    (``proxy_headers``). There is no WebSocket, whose connections uvicorn would not count."""
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        backlog=AT_ONCE,
        timeout_keep_alive=limits.idle,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_SHUTDOWN_GRACE,
    )
    return Server(config, limits)


def _open_listener(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        family = socket.AF_INET
    # The protocol is named as TCP: only then asyncio sends at once (TCP_NODELAY). Otherwise each
    # answer waits 40 ms for the client's ACK.
    door = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # of every accepted connection
    door.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SEND_TIMEOUT_MS)
    try:
        door.bind((host, port))
        door.listen(BACKLOG)
    except OSError as error:
        door.close()
        raise Refused(
            f"--host {host} --port {port}: cannot listen there ({error.strerror or error}); "
            "another process may: name "
            "another port with --port"
        ) from error
    return door
