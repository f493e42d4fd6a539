"""Points over gRPC: several times as fast as REST, and exact except for integers beyond int64,
which go by REST.

Two things distinguish it from the client's own loops (``benchmarks/streaming_copy.py``). The server
compresses every answer for a client that accepts gzip, which takes it twenty times as long as
reading the points, so this client does not accept gzip. And a copy moves vectors and payloads
without converting them to Python numbers.
"""

import os
import re
import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from qdrant_client import grpc as pb

from qdrant_rollouts.adapters.qdrant_http import CALL, Rest, rate_error
from qdrant_rollouts.adapters.qdrant_limits import KnownLimits
from qdrant_rollouts.adapters.qdrant_messages import (
    EVERYTHING,
    add_point,
    decode_id,
    decode_point,
    encode_id,
    encode_point,
    find_rounded,
    next_offset,
    select_payload,
)
from qdrant_rollouts.adapters.qdrant_points import MOST_POINTS, next_page_size, split_batches
from qdrant_rollouts.adapters.qdrant_rest import FIRST_PAGE, RestPoints, may_go_on, most_copied
from qdrant_rollouts.core.collections.merging import is_before, stop_at
from qdrant_rollouts.core.errors import Misconfigured, Refused, Unavailable
from qdrant_rollouts.core.ports import Limits, Point, PointId
from qdrant_rollouts.core.sanitize.quoting import error_text

_PROBE_TIMEOUT = 2.0
#: The metadata in which a rate limit says how long to wait.
_RETRY_AFTER = "retry-after"
#: Simultaneous writes of a copy: the server processes them while the next page is read. More were
#: not faster.
_WRITERS = 2
_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.compression_enabled_algorithms_bitset", 1),  # only identity
    # by default it may take two minutes until a returning server is noticed
    ("grpc.max_reconnect_backoff_ms", 1000),
]
_REFUSAL_CODES = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNIMPLEMENTED,
}


#: Wrong settings, recognised by the library's message about the connection; the first match counts.
_WRONG_SETTINGS = (
    (
        r"http1\.x server|Failed parsing HTTP/2|Expected SETTINGS",
        "speaks no gRPC; correct ROLLOUTS_QDRANT_GRPC_PORT",
    ),
    (
        r"WRONG_VERSION_NUMBER",
        "speaks no TLS, which https:// in ROLLOUTS_QDRANT_URL asks for; let it, or write http://",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|unable to get local issuer|self.signed",
        "has a certificate that is not trusted; name its authority in SSL_CERT_FILE",
    ),
    (
        r"Peer name .* is not in peer certificate",
        "has a certificate of another name; correct ROLLOUTS_QDRANT_URL",
    ),
)


class GrpcPoints:
    """``adapters.qdrant_rest.Points`` over the server's gRPC port; each process opens its own
    channel."""

    def __init__(self, rest: Rest, port: int, limits: KnownLimits) -> None:
        self._rest = rest
        self._port = port
        self._limits = limits
        self._exact = RestPoints(rest, limits)
        self._opened: tuple[int, Any] | None = None

    def reaches(self, collections: Collection[str]) -> bool:
        """Does the port answer, and is it the server that has these collections? The default port
        may belong to another server on the same machine."""
        try:
            self.check(collections)
        except (Refused, Unavailable):
            return False
        return True

    def check(self, collections: Collection[str]) -> None:
        """Raises Unavailable, or Refused, if the port cannot be used: no answer, the key, TLS,
        another server."""
        raw = self._call_method("Collections/List", pb.ListCollectionsRequest(), _PROBE_TIMEOUT)
        if {found.name for found in pb.ListCollectionsResponse.FromString(raw).collections} != set(
            collections
        ):
            raise Misconfigured(
                f"gRPC port {self._port} has other collections than {self._rest}: another server "
                "answers there; "
                "correct ROLLOUTS_QDRANT_GRPC_PORT"
            )

    def upsert(self, collection: str, points: Sequence[Point]) -> None:
        try:
            ready = [encode_point(point) for point in points]
        except (TypeError, ValueError, RecursionError):
            self._exact.upsert(
                collection, points
            )  # REST can hold it, or says what is wrong with it
            return
        self._limits.within(
            collection, lambda limits: self._write_batches(collection, ready, limits)
        )

    def fetch(self, collection: str, ids: Sequence[PointId], *, vectors: bool) -> list[Point]:
        request = pb.GetPoints(
            collection_name=collection,
            ids=[encode_id(one) for one in ids],
            with_payload=EVERYTHING,
            with_vectors=pb.WithVectorsSelector(enable=vectors),
        )
        raw = self._call_method("Points/Get", request)
        return self._decode_points(collection, raw, pb.GetResponse.FromString(raw).result, vectors)

    def scroll(
        self,
        collection: str,
        after: PointId | None,
        limit: int,
        *,
        vectors: bool = True,
        payload: bool | Sequence[str] = True,
    ) -> tuple[list[Point], PointId | None]:
        raw = self._read_page(collection, after, limit, vectors=vectors, payload=payload)
        page = pb.ScrollResponse.FromString(raw)
        if not payload:  # it contains no number that could have been rounded
            return [decode_point(point) for point in page.result], next_offset(page)
        return self._decode_points(collection, raw, page.result, vectors), next_offset(page)

    def copy(
        self,
        source: str,
        target: str,
        after: PointId | None,
        seconds: float,
        until: PointId | None = None,
    ) -> tuple[int, PointId | None]:
        """Reads a page while the previous ones are written; holds at most ``_WRITERS`` + 1
        pages."""
        deadline = time.monotonic() + seconds
        limit = FIRST_PAGE
        most = most_copied(self._limits, source, target)
        copied = 0
        position = after
        writes: deque[Future[int]] = deque()
        with ThreadPoolExecutor(_WRITERS) as writers:
            while True:
                if not may_go_on(self._limits, source, copied + len(writes)):
                    return copied + sum(write.result() for write in writes), position
                raw = self._read_next_page(source, position, min(limit, most))
                page = pb.ScrollResponse.FromString(raw)
                points = _points_before(page.result, until)
                writes.append(writers.submit(self._copy_points, source, target, raw, points))
                position = stop_at(next_offset(page), until)
                if position is None or time.monotonic() >= deadline:
                    return copied + sum(write.result() for write in writes), position
                if len(writes) > _WRITERS:
                    copied += writes.popleft().result()
                limit = next_page_size(len(page.result), len(raw), most)

    def close(self) -> None:
        opened = self._opened
        self._opened = None
        if opened and opened[0] == os.getpid():
            opened[1].close()

    def _copy_points(self, source: str, target: str, raw: bytes, points: Sequence[Any]) -> int:
        """Writes points as they were read; those that gRPC cannot hold exactly go by REST."""
        inexact = find_rounded(raw, points)
        request = pb.UpsertPoints(collection_name=target, wait=True)
        for point in points:
            if not inexact or decode_id(point.id) not in inexact:
                add_point(request, point)
        if request.points:
            self._write_request(request)
        if inexact:
            self._exact.copy_these(source, target, list(inexact))
        return len(points)

    def _decode_points(
        self, collection: str, raw: bytes, points: Sequence[Any], vectors: bool
    ) -> list[Point]:
        inexact = list(find_rounded(raw, points))
        if inexact:
            exact = {one.id: one for one in self._exact.fetch(collection, inexact, vectors=vectors)}
        else:
            exact = {}
        return [exact.get(decode_id(point.id)) or decode_point(point) for point in points]

    def _read_next_page(self, source: str, after: PointId | None, size: int) -> bytes:
        return self._limits.within(
            source, lambda limits: self._read_page(source, after, limits.page(size))
        )

    def _read_page(
        self,
        collection: str,
        after: PointId | None,
        limit: int,
        *,
        vectors: bool = True,
        payload: bool | Sequence[str] = True,
    ) -> bytes:
        request = pb.ScrollPoints(
            collection_name=collection,
            offset=None if after is None else encode_id(after),
            limit=limit,
            with_payload=select_payload(payload),
            with_vectors=pb.WithVectorsSelector(enable=vectors),
        )
        return self._call_method("Points/Scroll", request)

    def _write_batches(self, collection: str, ready: list[Any], limits: Limits) -> None:
        for batch in split_batches(
            ready, lambda point: int(point.ByteSize()), limits.points_of_write(MOST_POINTS)
        ):
            self._write_request(
                pb.UpsertPoints(collection_name=collection, wait=True, points=batch)
            )

    def _write_request(self, request: Any) -> None:
        answer = pb.PointsOperationResponse.FromString(self._call_method("Points/Upsert", request))
        # the server gave up waiting: unknown, not failed (qdrant-facts 5.2)
        if answer.result.status != pb.Completed:
            status = pb.UpdateStatus.Name(answer.result.status)
            raise Unavailable(
                f"{self._rest} did not complete a write to {request.collection_name}: {status}"
            )

    def _call_method(self, method: str, request: Any, seconds: float = CALL) -> bytes:
        call = self._open_channel().unary_unary(
            f"/qdrant.{method}", request_serializer=type(request).SerializeToString
        )
        metadata = None
        if self._rest.api_key:
            metadata = [("api-key", self._rest.api_key)]
        with self._translate_errors():
            answer: bytes = call(request, timeout=seconds, metadata=metadata)
        return answer

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            if error.code() in _REFUSAL_CODES:
                raise Refused(
                    f"{self._rest} refused: {error_text(error.details() or '', 500)}"
                ) from error
            if words := next(
                (
                    words
                    for pattern, words in _WRONG_SETTINGS
                    if re.search(pattern, error.details() or "")
                ),
                None,
            ):
                raise Misconfigured(f"{self._rest} (gRPC port {self._port}) {words}") from error
            limited = rate_error(
                self._rest,
                str(error.details()),
                dict(error.trailing_metadata() or ()).get(_RETRY_AFTER),
            )
            if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and limited is not None:
                raise limited from error
            raise Unavailable(
                f"{self._rest} (gRPC port {self._port}) did not answer: {error.details()}"
            ) from error

    def _open_channel(self) -> Any:
        """A forked child must not use its parent's channel."""
        if self._opened is None or self._opened[0] != os.getpid():
            host = f"[{self._rest.host}]" if ":" in self._rest.host else self._rest.host
            target = f"{host}:{self._port}"
            secure = None
            if self._rest.secure:
                secure = grpc.ssl_channel_credentials(_read_authorities())
            if secure:
                channel = grpc.secure_channel(target, secure, _OPTIONS)
            else:
                channel = grpc.insecure_channel(target, _OPTIONS)
            self._opened = os.getpid(), channel
        return self._opened[1]


def _read_authorities() -> bytes | None:
    """gRPC trusts the same authorities as REST; by itself it does not read this variable."""
    file = os.environ.get("SSL_CERT_FILE")
    if file and Path(file).is_file():
        return Path(file).read_bytes()
    return None


def _points_before(points: Sequence[Any], end: PointId | None) -> Sequence[Any]:
    if end is None:
        return points
    return [point for point in points if is_before(decode_id(point.id), end)]
