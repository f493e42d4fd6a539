"""Servers on loopback that accept alerts like the outside would, and can be told to refuse or to
fail."""

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """``taken`` has what arrived: (headers, body). ``status`` is the answer for the next ones.
    ``instead`` gets the headers of a message and its sender's port, and says whether to give no
    answer, and whether the message counts as taken; None: as usual."""

    port: int = 0
    status: int = 200
    taken: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    instead: Callable[[dict[str, str], int], bool | None] = lambda headers, port: None


@contextmanager
def http_receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {
                "path": self.path,
                **{name.lower(): value for name, value in self.headers.items()},
            }
            unanswered = receiver.instead(headers, self.client_address[1])
            if receiver.status < 300 if unanswered is None else unanswered:
                receiver.taken.append((headers, body))
            if unanswered is not None:
                self.close_connection = True
                return
            self.send_response(receiver.status)
            self.send_header("location", "/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Prints nothing."""

    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler), receiver):
        yield receiver


@contextmanager
def smtp_receiver() -> Iterator[Receiver]:
    """Implements as much of RFC 5321 as a mail needs; a ``status`` from 400 on refuses the sender's
    address."""
    receiver = Receiver()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 loopback")
            for line in self.rfile:
                verb = line.split()[0].upper() if line.split() else b""
                if verb == b"DATA":
                    self.take()
                elif verb == b"MAIL" and receiver.status >= 400:
                    self.say("451 later" if receiver.status >= 500 else "550 no")
                elif verb == b"QUIT":
                    return self.say("221 bye")
                else:
                    self.say("250 fine")
            return None

        def take(self) -> None:
            self.say("354 go on")
            lines = iter(self.rfile.readline, b".\r\n")
            mail = b"".join(line.removeprefix(b".") for line in lines)
            receiver.taken.append(({}, mail))
            self.say("250 taken")

        def say(self, text: str) -> None:
            self.wfile.write(text.encode() + b"\r\n")

    with _serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler), receiver):
        yield receiver


@contextmanager
def _serving(server: socketserver.TCPServer, receiver: Receiver) -> Iterator[None]:
    receiver.port = int(server.server_address[1])
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def told(kind: str, body: bytes) -> dict[str, str]:
    """Returns what a person reads in it, for any channel: id, subject and text, as one string."""
    if kind == "email":
        mail = message_from_bytes(body, policy=policy.default)
        return {
            "id": mail["Message-ID"].strip("<>").split("@")[0],
            "all": f"{mail['Subject']}\n{mail.get_content()}",
        }
    if kind == "apprise":
        sent = json.loads(body)
        text = f"{sent['title']}\n{sent['message']}"
        return {"id": text.rpartition("id: ")[2].strip(), "all": text}
    if kind == "alertmanager":
        (alert,) = json.loads(body)
        return {"id": alert["annotations"]["id"], "all": json.dumps(alert, ensure_ascii=False)}
    return {"id": json.loads(body)["id"], "all": body.decode()}
