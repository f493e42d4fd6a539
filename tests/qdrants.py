"""Helpers for tests of the Qdrant adapters: small collections, waiting, relays and fake servers."""

import socket
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import numpy as np
import pytest

from qdrant_rollouts.core.collections.readiness import count_vectors, judge_readiness
from qdrant_rollouts.core.ports import Point
from tests.servers import free_ports


def plain(size=4, **settings):
    return {"params": {"vectors": {"size": size, "distance": "Cosine"}}, **settings}


def points(count, size=4, start=0):
    numbers = np.random.default_rng(start).standard_normal((count, size)).astype(np.float32)
    return [Point(start + i, numbers[i], {"n": start + i}) for i in range(count)]


def wait_until(happens, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if seen := happens():
            return seen
        time.sleep(0.05)
    pytest.fail(f"{happens} did not happen within {seconds} s")


def seen(store, collection):
    schema = store.schema(collection)
    return judge_readiness(
        schema,
        store.health(collection),
        count_vectors(schema, lambda one: store.count(collection, having=one)),
    )


# --- what stands between --------------------------------------------------------------------------


@contextmanager
def answering(answer, note=lambda headers: None):
    """A server that answers every request with ``answer(path)``: a status and a body. ``note`` gets
    the headers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            note(self.headers)
            status, body = answer(self.path)
            self.send_response(status)
            self.send_header("content-length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    with serving(Handler) as url:
        yield url


@contextmanager
def for_us_alone(target):
    """A gate that lets this program's requests through to ``target`` and refuses the server's
    own."""

    class Handler(BaseHTTPRequestHandler):
        def pass_on(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            ours = "python-httpx" in self.headers.get("user-agent", "")
            answer = (
                httpx.request(self.command, target + self.path, content=body)
                if ours
                else httpx.Response(502)
            )
            self.send_response(answer.status_code)
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_PUT = do_POST = pass_on  # noqa: N815 - the names http.server asks for

        def log_message(self, *_):
            pass

    with serving(Handler) as url:
        yield url


@contextmanager
def serving(handler):
    server = ThreadingHTTPServer(("127.0.0.1", free_ports(1)[0]), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def relay(target):
    """Relays bytes to and from a local port; the second value returns how many so far."""
    carried = []

    def pump(source, sink):
        with suppress(OSError):  # either side may be gone first
            while data := source.recv(65536):
                carried.append(len(data))
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def serve(listener):
        with listener:
            here, _ = listener.accept()
            with here, socket.create_connection(("127.0.0.1", target)) as there:
                back = threading.Thread(target=pump, args=(there, here))
                back.start()
                pump(here, there)
                back.join()

    listener = socket.create_server(("127.0.0.1", free_ports(1)[0]))
    thread = threading.Thread(target=serve, args=(listener,))
    thread.start()
    yield listener.getsockname()[1], lambda: sum(carried)
    thread.join(10)
