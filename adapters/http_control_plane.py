"""The control plane of a router that has no database: a rollouts server.

Rule: routes are read from memory. A stream brings each change; while there is no stream, they are
asked for at each look, and an unchanged answer has no content. Reports are numbered, and feedback
has a key, so a report whose answer was lost is sent again and counts once.
"""

import json
import logging
import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import httpx

from qdrant_rollouts.adapters.report_parts import Part, split_batch
from qdrant_rollouts.adapters.rollouts_server import RolloutsServer, shut_down_connection
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.routing.batch import Batch
from qdrant_rollouts.core.routing.control_plane import LeftOut, NotReached
from qdrant_rollouts.core.routing.feedback import Feedback, Unexposed
from qdrant_rollouts.core.routing.route import Route

log = logging.getLogger(__name__)

#: Seconds for which an answer counts: one request for all the aliases of one look.
_FRESH_SECONDS = 0.3
_FIRST_WAIT = 0.1
_LONGEST_WAIT = 5.0
#: Routes in one report of those that are served; the server takes no more.
_MOST_SERVED = 10_000
#: Refusals of one batch after which no part is cut in halves any more: a server of another release
#: may refuse everything.
_MOST_REFUSALS = 40
#: For a server that accepts a connection and is silent; the thread ends by itself later.
_LONGEST_JOIN = 2.0


class HttpControlPlane:
    def __init__(self, url: str, token: str) -> None:
        self._server = RolloutsServer(url, token)
        self._begin_process()

    def _begin_process(self) -> None:
        #: Held while the routes are asked for, so that all who wait use the same answer.
        self._asking = threading.Lock()
        self._guard = threading.Lock()
        self._routes: dict[str, Route] = {}
        self._tag = ""
        self._fresh_until = 0.0
        #: Whether every change arrives by the stream.
        self._followed = False
        self._stream: httpx.Response | None = None
        self._listener: threading.Thread | None = None
        self._closed = threading.Event()
        self._numbers: Counter[str] = Counter()
        self._batch = 0
        #: What is left of the batch; the first one may have been sent with its number.
        self._parts: deque[Part] = deque()
        self._number: int | None = None
        #: Why parts of the batch were refused, and how many of their entries were not cut further.
        self._refusals: list[Refused] = []
        self._left_out = 0

    @property
    def name(self) -> str:
        return str(self._server)

    # --- routes -----------------------------------------------------------------------------------

    def read_route(self, alias: str) -> Route:
        self._refresh()
        return self._routes.get(alias) or Route(alias)

    def find_newer_routes(self, versions: Mapping[str, int]) -> set[str]:
        self._refresh()
        return {
            alias
            for alias, version in versions.items()
            if alias in self._routes and self._routes[alias].version > version
        }

    def listen(self, heard: Callable[[str], None], stopped: threading.Event) -> None:
        self._listener = threading.Thread(
            target=self._follow_routes, args=(heard, stopped), name="route-stream", daemon=True
        )
        self._listener.start()

    def _refresh(self) -> None:
        if self._followed:
            return
        with self._asking:
            if time.monotonic() < self._fresh_until:
                return
            response = self._server.get("/routes", self._tag)
            if response.status_code != httpx.codes.NOT_MODIFIED:
                self._take_routes(response.content)
                self._tag = response.headers.get("etag", "")
            self._fresh_until = time.monotonic() + _FRESH_SECONDS

    def _take_routes(self, content: str | bytes) -> list[str]:
        """Returns the aliases whose routes are new. Versions only grow, so an answer that was
        overtaken changes nothing."""
        with self._server.expect_our_answer():
            found = [Route.of(one) for one in json.loads(content)["routes"]]
        with self._guard:
            newer = [route for route in found if self._is_newer(route)]
            self._routes = {**self._routes, **{route.alias: route for route in newer}}
        return [route.alias for route in newer]

    def _is_newer(self, route: Route) -> bool:
        known = self._routes.get(route.alias)
        return known is None or known.version < route.version

    def _follow_routes(self, heard: Callable[[str], None], stopped: threading.Event) -> None:
        wait = _FIRST_WAIT
        while not (stopped.is_set() or self._closed.is_set()):
            try:
                for content in self._read_stream():
                    wait = _FIRST_WAIT
                    for alias in self._take_routes(content):
                        heard(alias)
            except (NotReached, Refused) as error:
                log.info("changes of routes are asked for: %s", error)
            self._closed.wait(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _read_stream(self) -> Iterator[str]:
        """Nothing is missed from the moment that the first event is taken until the stream is
        lost."""
        with self._server.open_stream("/routes/stream") as response:
            self._stream = response
            try:
                for event, data in _read_events(response.iter_lines()):
                    if event != "routes" or self._closed.is_set():
                        return
                    yield data
                    self._followed = True
            finally:
                self._followed = False
                self._stream = None

    # --- reports ----------------------------------------------------------------------------------

    def report_served_routes(self, router: str, served: Mapping[str, int]) -> None:
        routes = list(served.items())
        for start in range(0, len(routes), _MOST_SERVED):
            serves = dict(routes[start : start + _MOST_SERVED])
            self._post("/routers", {"router": router, "serves": serves})

    def forget_router(self, router: str) -> None:
        self._post("/routers", {"router": router, "serves": {}})

    def write_batch(self, router: str, number: int, batch: Batch) -> LeftOut | None:
        """Goes on after the last part that was taken. Of a part that is never valid, what is valid
        is sent, as long as few are."""
        if number != self._batch:
            self._parts = deque(split_batch(batch))
            self._batch = number
            self._refusals = []
            self._left_out = 0
        while self._parts:
            part = self._parts[0]
            try:
                self._send_first_part(router, part)
            except Refused as error:
                self._refusals.append(error)
                halves: list[Part] = []
                if len(self._refusals) < _MOST_REFUSALS:
                    halves = part.halve()
                self._parts.extendleft(reversed(halves))
                if part.path == "/exposures" and not halves:
                    self._left_out += len(part.entries)
        if not self._refusals:
            return None
        return LeftOut(self._left_out, str(self._refusals[-1]))

    def count_feedback(self, given: Feedback, *, patient: bool) -> bool:
        piece = {
            "experiment": given.experiment_id,
            "metric": given.metric,
            "value": given.value,
            "variant": given.variant,
            "user_id": given.user_id,
            "key": given.key or secrets.token_hex(12),
            "query_id": given.query_id,
            "document": given.document,
        }
        response = self._post("/feedback", {"feedback": [piece], "patient": patient})
        with self._server.expect_our_answer():
            (result,) = response.json()["results"]
            outcome, detail = result["outcome"], result["detail"]
        if outcome == "unexposed":
            raise Unexposed(detail)
        if outcome == "refused":
            raise Refused(detail)
        return bool(outcome == "counted")

    def find_experiment_route(self, experiment_id: str) -> tuple[str, str]:
        response = self._server.get(f"/experiments/{quote(experiment_id, safe='')}/route")
        with self._server.expect_our_answer():
            found = response.json()
            return found["route"], found["control"]

    def leave_parent(self) -> None:
        self._begin_process()

    def close(self) -> None:
        """Ends the stream."""
        self._closed.set()
        stream = self._stream
        if stream is not None:
            shut_down_connection(stream)
        if self._listener is not None:
            self._listener.join(_LONGEST_JOIN)
        self._server.close()

    def _send_first_part(self, router: str, part: Part) -> None:
        """A part keeps its number until our server has answered. Something in between that answers
        has not taken it."""
        new = self._number is None
        if self._number is None:
            self._numbers[part.path] += 1
            self._number = self._numbers[part.path]
        content = part.write(router, self._number)
        repeated = self._server.repeated
        try:
            response = self._server.post(part.path, content)
        except Refused:
            self._drop_first_part()
            raise
        with self._server.expect_our_answer():
            recorded = response.json()["recorded"]
        if not recorded and new and repeated == self._server.repeated:
            log.warning(
                "%s: batch %d was sent to %s once, and was not counted: another router of this "
                "name has sent one with its number",
                router,
                self._number,
                part.path,
            )
        self._drop_first_part()

    def _drop_first_part(self) -> None:
        self._parts.popleft()
        self._number = None

    def _post(self, path: str, content: Mapping[str, Any]) -> httpx.Response:
        return self._server.post(path, json.dumps(content).encode())


def _read_events(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Returns the name and the data of each event; comments keep the connection alive."""
    event = ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "event":
            event = value
        elif name == "data":
            yield event, value
