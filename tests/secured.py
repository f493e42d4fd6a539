"""TLS in front of a server without TLS: a relay on loopback with a certificate of a new
authority."""

import socket
import ssl
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.servers import HOST


@dataclass(frozen=True)
class Authority:
    """``certificate`` is the authority to trust; ``key`` and ``chain`` belong to ``localhost`` and
    127.0.0.1, which it signed."""

    certificate: Path
    chain: Path
    key: Path


def make_authority(folder: Path) -> Authority:
    """An authority that is its own and only server."""
    chain = folder / "chain.pem"
    key = folder / "key.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ),
            *("-subj", "/CN=localhost", "-days", "30", "-keyout", str(key), "-out", str(chain)),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    return Authority(chain, chain, key)


class Secured:
    """Speaks TLS at ``port`` and relays to the plain server at ``target``; ``alpn`` are the
    protocols that it accepts."""

    def __init__(self, target: int, authority: Authority, alpn: tuple[str, ...] = ()) -> None:
        self._target = target
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(authority.chain, authority.key)
        if alpn:
            self._context.set_alpn_protocols(list(alpn))
        self._door = socket.create_server((HOST, 0))
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()

    @property
    def port(self) -> int:
        return int(self._door.getsockname()[1])

    def __enter__(self) -> Self:
        self._begin(self._accept)
        return self

    def __exit__(self, *exc: object) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        for one in list(self._open):
            _end(one)
        for thread in list(self._threads):
            thread.join(5)

    def _begin(self, run: object, *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._door.accept()
            except OSError:
                return
            self._begin(self._serve, plain)

    def _serve(self, plain: socket.socket) -> None:
        try:
            plain.settimeout(10)
            with self._context.wrap_socket(plain, server_side=True) as client:
                client.settimeout(None)
                with socket.create_connection((HOST, self._target)) as server:
                    self._open |= {client, server}
                    self._relay(client, server)
                    self._open -= {client, server}
        except OSError:
            plain.close()

    def _relay(self, client: ssl.SSLSocket, server: socket.socket) -> None:
        """One thread for each direction; a TLS socket may be read and written at the same time."""
        back = threading.Thread(target=_pump, args=(server, client), daemon=True)
        back.start()
        _pump(client, server)
        back.join(5)


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while piece := source.recv(65536):
            target.sendall(piece)
    except OSError:
        pass
    finally:
        for one in (source, target):
            _end(one)


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
