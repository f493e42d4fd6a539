"""Unit tests reach nothing outside their process."""

import socket
from typing import NoReturn

import pytest


class ConnectionAttempted(AssertionError):
    """A unit test tried to reach a server; move it to tests/integration, or hand it a double."""


@pytest.fixture(autouse=True)
def _closed_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object, address: object, *__: object) -> NoReturn:
        raise ConnectionAttempted(f"to {address!r}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
