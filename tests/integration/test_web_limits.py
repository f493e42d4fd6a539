"""What unknown clients can occupy in the web process: real processes and sockets, thousands of
incomplete requests."""

import asyncio
import json
import logging
import os
import re
import resource
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from qdrant_rollouts.interfaces.http import serving
from qdrant_rollouts.interfaces.http.limits import Limits, address_group, process_limits
from qdrant_rollouts.interfaces.http.problems import TYPE
from qdrant_rollouts.interfaces.repeats import OncePerSecond
from tests.own_time import Stopwatch
from tests.shell import ROOT, declare, records, write

DESCRIPTORS = 256
HALF = b"POST /api/v1/deployments HTTP/1.1\r\nHost: localhost\r\nContent-Ty"
HALF_BODY = (
    b"POST /api/v1/deployments HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b'Content-Length: 5000\r\n\r\n{"alias": "do'
)
HALF_CALL = HALF_BODY.replace(b"/api/v1/deployments", b"/mcp")
DOCS = {
    "source": "jsonl:docs/*.jsonl",
    "embedding": {"model": "hashing:64", "text": "{title}: {text}"},
    "validation": {"samples": {"records": 12, "queries": 12}},
    "soak": {"seconds": 0.2, "interval_seconds": 0.1},
}
PATIENCE = httpx.Timeout(30)


@contextmanager
def process(folder, *arguments, descriptors=DESCRIPTORS, **environment):
    """``rollouts`` as it is started, where it listens, and what it has said on stderr."""
    as_json = [] if "--http" in arguments else ["--json"]
    command = [
        sys.executable,
        "-m",
        "qdrant_rollouts.interfaces.cli",
        *arguments,
        "--port",
        "0",
        *as_json,
    ]
    limited = ["/bin/sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *command]
    whole = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "200", **environment}
    said = folder / "stderr.txt"
    with (
        said.open("wb") as errors,
        subprocess.Popen(
            limited, cwd=folder, env=whole, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as started,
    ):
        try:
            started.web = httpx.URL(_first_address(started.stdout, said)).copy_with(path="/")
            started.said = said
            yield started
        finally:
            started.send_signal(signal.SIGTERM)
            assert started.wait(timeout=60) == 0, said.read_text()[-2000:]


def _first_address(lines, said):
    text = ""
    while not (found := re.search(r"http://[\d.:]+", text)):
        more = lines.readline()
        assert more, said.read_text()
        text += more
    return found[0]


@pytest.fixture
def folder(tmp_path):
    return fill(tmp_path)


def fill(folder):
    write(folder / "docs" / "a.jsonl", records(12, "one"))
    declare(folder, docs=DOCS)
    return folder


class Flood:
    """So many connections at a time that have sent ``half``; each that is closed is opened anew."""

    def __init__(self, address, half, count, source="127.0.0.1"):
        self.address = address
        self.half = half
        self.count = count
        self.source = source
        self.answers = []
        self.opened = 0
        self._ends = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._thread = threading.Thread(target=self._go, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._ends.set()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()

    def _go(self):
        while not self._ends.is_set():
            missing = self.count - len(self._selector.get_map())
            for _ in range(min(100, missing)):
                self._open()
            for key, _ in self._selector.select(0.02):
                self._look(key.fileobj)

    def _open(self):
        one = socket.socket()
        one.bind((self.source, 0))
        one.settimeout(5)
        try:
            one.connect(self.address)
            one.sendall(self.half)
        except OSError:
            one.close()
            return
        self.opened += 1
        self._selector.register(one, selectors.EVENT_READ)

    def _look(self, one):
        try:
            answer = one.recv(4096)
        except OSError:
            answer = b""
        if answer:
            self.answers.append(answer)
            return
        self._selector.unregister(one)
        one.close()


def descriptors(process):
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


def address(url):
    return url.host, url.port


# --- the process ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "half", [HALF, HALF_BODY, HALF_CALL, b"", b"G"], ids=["headers", "body", "call", "", "byte"]
)
def test_a_person_is_served_and_the_worker_works_while_a_thousand_send_halves(folder, half):
    with (
        process(folder, "up") as up,
        httpx.Client(base_url=up.web, trust_env=False, timeout=PATIENCE) as person,
        Flood(address(up.web), half, 1_100) as flood,
    ):
        started = person.post("/api/v1/deployments", json={"alias": "docs"})
        assert started.status_code == 202, started.text
        most = 0
        seen = None
        ends = time.monotonic() + 60
        while time.monotonic() < ends and not (seen == "live" and flood.opened >= 1_100):
            seen = person.get(f"/api/v1/deployments/{started.json()['deployment_id']}").json()[
                "status"
            ]
            most = max(most, descriptors(up))
        assert seen == "live"
        assert httpx.get(up.web, trust_env=False, timeout=PATIENCE).status_code == 200  # a newcomer
        assert flood.opened >= 1_100
        assert most < DESCRIPTORS * 2 // 3
        assert up.said.stat().st_size < 20_000, up.said.read_text()[-3000:]


def test_every_server_of_ours_ends_what_does_not_get_on(tmp_path, qdrant_url):
    """Both at the same time, because they mostly wait."""
    verbs = {"web": ("web",), "mcp": ("mcp", "--http")}
    for name in verbs:
        (tmp_path / name).mkdir()
    with ThreadPoolExecutor(len(verbs)) as pool:
        for ended in [
            pool.submit(end_what_does_not_get_on, fill(tmp_path / name), qdrant_url, verb)
            for name, verb in verbs.items()
        ]:
            ended.result()


def end_what_does_not_get_on(folder, qdrant_url, verb):
    database_url = f"sqlite:///{folder / 'state.db'}"
    with (
        process(
            folder, *verb, ROLLOUTS_QDRANT_URL=qdrant_url, ROLLOUTS_DATABASE_URL=database_url
        ) as web,
        socket.create_connection(address(web.web)) as half,
        socket.create_connection(address(web.web)) as silent,
    ):
        half.sendall(HALF_CALL[:60])
        half.settimeout(30)
        with Stopwatch() as watch:
            begun = time.monotonic()
            status, problem = answered(half)
            assert (status, problem["status"]) == (408, 408)
            assert time.monotonic() - begun > 5
            assert watch.read() < 20
        silent.settimeout(30)
        assert silent.recv(100) == b""


def test_a_process_without_descriptors_says_so_once_a_second_and_recovers(
    folder, qdrant_url, sqlite_url
):
    """Not by connections, which are bounded: by something else in the process."""
    with process(
        folder,
        "web",
        descriptors=1024,
        ROLLOUTS_QDRANT_URL=qdrant_url,
        ROLLOUTS_DATABASE_URL=sqlite_url,
    ) as web:
        assert httpx.get(f"{web.web}livez", trust_env=False).status_code == 200
        allowed = resource.prlimit(web.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(
            web.pid, resource.RLIMIT_NOFILE, (3, allowed[1])
        )  # the three that every process has
        with ExitStack() as held:
            for _ in range(200):
                held.enter_context(socket.create_connection(address(web.web))).sendall(HALF)
            time.sleep(4)
            resource.prlimit(web.pid, resource.RLIMIT_NOFILE, allowed)
            assert (
                httpx.get(f"{web.web}livez", trust_env=False, timeout=PATIENCE).status_code == 200
            )
        said = web.said.read_text()
        assert 1 <= said.count("out of system resource") <= 7, said
        assert "more like it were left out" in said


# --- one connection -------------------------------------------------------------------------------

QUICK = Limits(connections=16, headers=1.0, body=2.0, idle=1, stall=1.0)
LONG = 30_000_000


async def _echo(request):
    return Response(await request.body())


async def _large(request):
    return Response(b"x" * LONG)


async def _endless(request):
    async def chunks():
        while True:
            yield b"x" * 10_000
            await asyncio.sleep(0)

    return StreamingResponse(chunks())


async def _refuse(request):
    return Response("no", 403)


@pytest.fixture
def door():
    routes = [
        Route("/echo", _echo, methods=["POST"]),
        Route("/large", _large),
        Route("/endless", _endless),
        Route("/refuse", _refuse, methods=["POST"]),
    ]
    with (
        serving.bind_socket(None, None, "127.0.0.1", 0) as bound,
        serving.serve_beside(Starlette(routes=routes), bound, QUICK),
    ):
        yield bound.getsockname()


def answered(connection):
    """Status and problem, or text, of what stands there when it is closed."""
    told = b""
    try:
        while more := connection.recv(65_536):
            told += more
    except ConnectionResetError:
        pass
    head, _, body = told.partition(b"\r\n\r\n")
    status = int(head.split()[1]) if head else None
    return status, json.loads(body) if b"problem+json" in head else body


def until(connection, mark):
    told = b""
    while not told.endswith(mark):
        more = connection.recv(1000)
        assert more, told
        told += more
    return told


@contextmanager
def connected(door, source="127.0.0.1"):
    with socket.create_connection(door, timeout=20, source_address=(source, 0)) as made:
        yield made


def drip(connection, text, seconds):
    """A byte at a time, for so long; whether it was still taken at the end."""
    ends = time.monotonic() + seconds
    try:
        while time.monotonic() < ends:
            connection.sendall(text)
            time.sleep(0.05)
    except OSError:
        return False
    return True


HEAD = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"


@pytest.mark.parametrize(
    "begun", [b"POST /echo HT", HEAD, b"GET /large HTTP/1.1\r\n", HEAD.replace(b"echo", b"refuse")]
)
def test_who_sends_a_byte_now_and_then_gains_no_time(door, begun):
    with connected(door) as half:
        half.sendall(begun)
        assert not drip(half, b"x", 6)


def test_a_body_that_stays_away_is_answered_by_408(door):
    with connected(door) as half:
        half.sendall(HEAD + b"x" * 70_000)
        status, problem = answered(half)
    assert status == 408
    assert problem["type"] == f"{TYPE}too-slow"
    assert "did not come within 2 s" in problem["detail"]


def test_a_second_half_after_an_answer_is_ended_too(door):
    with connected(door) as half:
        half.sendall(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi")
        until(half, b"hi")
        half.sendall(b"G")
        assert answered(half)[0] == 408


def test_an_idle_connection_is_closed_without_a_word(door):
    with connected(door) as idle:
        idle.sendall(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi")
        assert answered(idle)[1] == b"hi"


def read_on(connection, ends):
    while connection.recv(1_000_000) and time.monotonic() < ends:
        pass


def test_who_takes_no_answer_or_hardly_any_is_ended(door):
    """All at the same time, because each takes six seconds."""
    cases = list(product((b"/large", b"/endless"), (0, 100)))
    with ThreadPoolExecutor(len(cases)) as pool:
        for ended in [pool.submit(take_slowly_until_ended, door, *case) for case in cases]:
            ended.result()


def take_slowly_until_ended(door, path, pace):
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 10_000)
        slow.settimeout(20)
        slow.connect(door)
        slow.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        ends = time.monotonic() + 6
        while time.monotonic() < ends:
            time.sleep(0.1)
            if pace:
                slow.recv(pace)
        with pytest.raises(ConnectionResetError):
            read_on(slow, ends + 20)


def test_who_takes_a_long_answer_slowly_but_steadily_gets_all_of_it(door):
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 300_000)
        slow.settimeout(20)
        slow.connect(door)
        slow.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        taken = 0
        begun = time.monotonic()
        while more := slow.recv(1_000_000):
            taken += len(more)
            time.sleep(0.06)
    assert taken > LONG
    assert time.monotonic() - begun > 2 * QUICK.stall


# --- many connections -----------------------------------------------------------------------------


def test_a_newcomer_pushes_out_the_oldest_half_of_whoever_has_the_most(door):
    with ExitStack() as held:
        mine = held.enter_context(connected(door, "127.0.0.2"))
        mine.sendall(HEAD[:20])
        time.sleep(0.1)
        others = [held.enter_context(connected(door, "127.0.0.3")) for _ in range(40)]
        for other in others:
            other.sendall(HEAD[:20])
        time.sleep(0.3)
        mine.sendall(HEAD[20:].replace(b"100000", b"2") + b"hi")
        until(mine, b"hi")
        assert answered(others[0])[0] in (503, None)


def test_who_was_answered_before_is_pushed_out_last(door):
    """Of one address, so that only this tells a person from a flood."""
    with ExitStack() as held:
        person = held.enter_context(connected(door))
        for _ in range(4):
            person.sendall(HEAD.replace(b"100000", b"2") + b"hi")
            until(person, b"hi")
            for _ in range(20):
                held.enter_context(connected(door)).sendall(HEAD[:20])
            time.sleep(0.2)


def test_no_more_requests_are_worked_at_than_may_be_and_others_come_in():
    """Requests that wait in the application: those above the bound are refused, and it takes new
    ones afterwards."""
    go = threading.Event()

    def wait(request):
        go.wait(20)
        return Response("done")

    app = Starlette(routes=[Route("/wait", wait)])
    limits = Limits(connections=40, headers=5.0)
    with (
        serving.bind_socket(None, None, "127.0.0.1", 0) as bound,
        serving.serve_beside(app, bound, limits),
        ExitStack() as held,
    ):
        there = bound.getsockname()
        asked = [
            held.enter_context(connected(there, f"127.0.0.{2 + number % 3}"))
            for number in range(36)
        ]
        for one in asked:
            one.sendall(b"GET /wait HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        time.sleep(0.5)
        go.set()
        found = [answered(one) for one in asked]
        assert sorted(status for status, _ in found) == [200] * limits.requests + [503] * 6
        assert all("try again" in problem["detail"] for status, problem in found if status == 503)
        again = held.enter_context(connected(there))
        again.sendall(b"GET /wait HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert answered(again) == (200, b"done")


def test_one_address_has_half_of_what_is_worked_at():
    go = threading.Event()

    def wait(request):
        go.wait(20)
        return Response("done")

    app = Starlette(routes=[Route("/wait", wait)])
    limits = Limits(connections=40, headers=5.0)
    with (
        serving.bind_socket(None, None, "127.0.0.1", 0) as bound,
        serving.serve_beside(app, bound, limits),
        ExitStack() as held,
    ):
        asked = [held.enter_context(connected(bound.getsockname(), "127.0.0.2")) for _ in range(30)]
        for one in asked:
            one.sendall(b"GET /wait HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        time.sleep(0.5)
        go.set()
        statuses = [answered(one)[0] for one in asked]
    assert sorted(statuses) == [200] * limits.requests_of_one + [503] * (
        30 - limits.requests_of_one
    )


@pytest.mark.parametrize("path", ["/api/v1/stream", "/live"])
def test_streams_leave_room_for_requests(folder, path):
    with (
        process(folder, "up") as up,
        httpx.Client(
            base_url=up.web,
            trust_env=False,
            timeout=PATIENCE,
            limits=httpx.Limits(max_connections=None),
        ) as client,
        ExitStack() as held,
    ):
        for _ in range(60):
            answer = held.enter_context(client.stream("GET", path))
            if answer.status_code != 200:
                break
        assert answer.status_code == 503
        problem = json.loads(answer.read())
        assert "streams to your address are open" in problem["detail"]
        assert problem["type"] == f"{TYPE}crowded"
        assert answer.headers["retry-after"]
        assert client.get("/api/v1/me").status_code == 200
        held.close()
        ends = time.monotonic() + 20
        while time.monotonic() < ends:
            with client.stream("GET", path) as again:
                if again.status_code == 200:
                    break
            time.sleep(0.2)
        assert again.status_code == 200


def test_the_bounds_follow_from_the_descriptors_there_are():
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limits = process_limits()
    assert limits.connections <= max(16, allowed // 3)
    assert limits.streams_of_one < limits.streams < limits.requests < limits.connections


def test_an_address_of_ipv6_counts_as_its_network():
    assert (
        address_group("2001:db8::1")
        == address_group("2001:db8::ffff:2")
        != address_group("2001:db8:0:1::1")
    )
    assert address_group("10.0.0.1") != address_group("10.0.0.2")


# --- what is logged -------------------------------------------------------------------------------


def test_who_goes_away_in_the_middle_leaves_no_traceback(folder):
    with process(folder, "up") as up:
        for half in (
            HALF_BODY,
            HALF_CALL,
            HALF,
            HALF_BODY.replace(b"/api/v1/deployments", b"/login"),
        ):
            for _ in range(20):
                with socket.create_connection(address(up.web)) as gone:
                    gone.sendall(half)
        with httpx.Client(base_url=up.web, trust_env=False, timeout=PATIENCE) as person:
            assert person.get("/livez").status_code == 200
        time.sleep(0.5)
        assert "Traceback" not in up.said.read_text()


def test_nonsense_costs_one_line_a_second(folder):
    with process(folder, "up") as up:
        begun = time.monotonic()
        for _ in range(300):
            with socket.create_connection(address(up.web)) as other:
                other.sendall(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
                assert answered(other)[1]["type"] == f"{TYPE}garbled"
        seconds = time.monotonic() - begun
        assert 1 <= up.said.read_text().count("Invalid HTTP request") <= seconds + 2


class Lines(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


def logger(name, once):
    log = logging.getLogger(f"{name}.{id(once)}")
    handler = Lines()
    handler.addFilter(once)
    log.addHandler(handler)
    log.propagate = False
    log.setLevel(logging.DEBUG)
    return log, handler.lines


@pytest.fixture
def logged():
    now = [100.0]
    return *logger("qdrant_rollouts.interfaces.http", OncePerSecond(lambda: now[0])), now


def test_an_error_that_repeats_has_one_line_a_second_which_counts_the_others(logged):
    log, lines, now = logged
    for number in range(25):
        now[0] += 0.125  # a number that floats add up exactly
        try:
            raise OSError(24, f"Too many open files: /path/{number}")
        except OSError:
            log.exception("GET /path/%d failed", number)
    assert [line.partition(" failed")[2] for line in lines] == [
        "",
        " (7 more like it were left out)",
        " (7 more like it were left out)",
        " (7 more like it were left out)",
    ]


def test_different_errors_hide_each_other_never(logged):
    log, lines, _ = logged
    for error in (ValueError("a"), KeyError("b"), OSError(24, "x"), OSError(28, "x")):
        try:
            raise error
        except (ValueError, KeyError, OSError):
            log.exception("failed")
    assert len(lines) == 4


def test_what_our_own_code_says_of_two_things_is_said_of_both():
    log, lines = logger("qdrant_rollouts.interfaces.embedded", OncePerSecond())
    for name in ("one", "two", "one"):
        log.warning("%s is tried again", name)
    assert lines == ["one is tried again", "two is tried again"]


def test_kinds_are_not_remembered_for_ever():
    once = OncePerSecond()
    log, lines = logger("core", once)
    for number in range(5_000):
        log.warning("%d", number)
    assert len(lines) == 5_000
    assert len(once._seen) <= 1_000
