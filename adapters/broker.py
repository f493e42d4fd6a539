"""Checks whether the broker answers, and explains its answers."""

import re
import secrets
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any

from celery import Celery
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.messaging import Producer

from qdrant_rollouts.adapters import broker_url
from qdrant_rollouts.adapters.broker_errors import BROKER_AWAY
from qdrant_rollouts.adapters.celery import make_app
from qdrant_rollouts.adapters.redis_channel import RedisChannel
from qdrant_rollouts.adapters.route_channel import open_channel
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.errors import Misconfigured, Unavailable

_TIMEOUT = 2.0
_SETTING = "correct ROLLOUTS_BROKER_URL"
_NO_TLS_ADVICE = (
    "speaks no TLS; write redis:// instead of rediss://, or amqp:// instead of amqps://"
)
#: Wrong settings, recognised by the message of the Redis or AMQP client; the first match counts.
_WRONG_SETTINGS: Iterable[tuple[str, str]] = (
    (
        r"Error -\d+ connecting|Name or service not known|name resolution"
        r"|No address associated|nodename nor servname",
        f"has a host name that is not known; {_SETTING}",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed",
        "has a certificate that is not trusted; name its authority with ssl_ca_certs in "
        "ROLLOUTS_BROKER_URL",
    ),
    (
        r"CERTIFICATE_REQUIRED|certificate required|KEY_VALUES_MISMATCH|handshake failure",
        "requires a client certificate; name it with ssl_certfile and ssl_keyfile in "
        "ROLLOUTS_BROKER_URL",
    ),
    (
        r"WRONG_VERSION_NUMBER|record layer failure|UNEXPECTED_MESSAGE"
        r"|UNEXPECTED_EOF|EOF occurred in violation",
        _NO_TLS_ADVICE,
    ),
    (
        r"NOPERM|no permissions|no permission",
        "does not let this user do that; give its ACL all commands, keys and channels of this "
        "database",
    ),
    (
        r"NOAUTH|WRONGPASS|invalid username-password|invalid password|Authentication required"
        r"|AUTH.*without any password|AuthenticationError|AccessRefused|ACCESS_REFUSED",
        "refused the credentials; check ROLLOUTS_BROKER_URL",
    ),
    (r"DB index is out of range|invalid DB index", f"has no database of that number; {_SETTING}"),
    (
        r"NOT_ALLOWED|NotAllowed",
        f"has no virtual host of that name, or not for this user; {_SETTING}",
    ),
    (
        r"READONLY|ReadOnlyError",
        "may only be read: it is a replica; name the master in ROLLOUTS_BROKER_URL",
    ),
    (
        r"MOVED|MovedError|ClusterDown|CLUSTERDOWN|CROSSSLOT|cluster mode",
        "is a Redis Cluster, which Celery does not support; name a single Redis in "
        "ROLLOUTS_BROKER_URL",
    ),
    (
        r"Protocol Error|InvalidResponse|unknown command",
        f"is no Redis: something else answers there; {_SETTING}",
    ),
    (
        r"No such file or directory|FileNotFoundError",
        f"has no socket or file of that name; {_SETTING}",
    ),
    (
        r"Permission denied",
        f"may not be used by this process: correct the rights of its socket, or {_SETTING}",
    ),
)
#: The broker answered and will accept a connection later.
_PASSING_FAULTS: Iterable[tuple[str, str]] = (
    (r"LOADING|BusyLoading", "is loading its data"),
    (r"OOM command not allowed|OutOfMemory", "has no memory left"),
    (r"MISCONF", "cannot write to its disk"),
    (r"max number of clients", "has no free connection"),
    (r"MASTERDOWN|MasterDownError", "waits for its master"),
)
_SILENCE = r"(?i)closed by server|reset by peer|Broken pipe|closed the connection|timed out|timeout"
_HUNG_UP = re.compile(
    r"closed by server|reset by peer|Broken pipe|closed the connection", re.IGNORECASE
)


def broker_address(settings: Settings) -> str:
    """Returns the broker's address without credentials. Raises Refused if it is not a URL."""
    return broker_url.display_address(settings.broker_url.get_secret_value())


def ping_broker(settings: Settings) -> None:
    """Raises Unavailable, naming the address, if the broker does not answer within about 2 s,
    Misconfigured if it answers and refuses us."""
    with _connect_broker(settings):
        pass


def check_publishing(settings: Settings) -> None:
    """Sends a message to a separate queue, takes it, and removes the queue. Raises as
    ``ping_broker``."""
    name = f"rollouts.doctor.{secrets.token_hex(4)}"
    with _connect_broker(settings) as connection:
        channel: Any = connection.default_channel  # kombu has few types
        queue = _build_queue(name, channel)
        queue.queue_declare()
        try:
            producer: Any = Producer(channel)  # type: ignore[no-untyped-call]
            producer.publish({"from": "doctor"}, exchange="", routing_key=name, serializer="json")
            if not _take_message(queue):
                raise Unavailable(
                    f"the broker at {broker_address(settings)} took a message and does not give it "
                    "back"
                )
        finally:
            queue.delete()


def _build_queue(name: str, channel: Any) -> Any:
    exchange: Any = Exchange("")  # type: ignore[no-untyped-call]  # kombu has few types
    return Queue(name, exchange, routing_key=name, durable=False, expires=60)(channel)  # type: ignore[no-untyped-call]


def _take_message(queue: Any) -> bool:
    """RabbitMQ accepts a message before it can be fetched."""
    until = time.monotonic() + _TIMEOUT
    while queue.get(no_ack=True) is None:
        if time.monotonic() > until:
            return False
        Event().wait(0.05)
    return True


def check_announcing(settings: Settings) -> bool:
    """Announces on the channel of routes that any route may have changed; returns False if the
    broker has no such channel."""
    channel = open_channel(settings.broker_url.get_secret_value())
    if not isinstance(channel, RedisChannel):
        return False
    with _explain_errors(settings):
        channel.publish("")
    return True


def releases(settings: Settings) -> dict[str, dict[str, str]]:
    """Returns what each worker's program knows about the database, by the worker's name: ``head``,
    ``oldest``, and ``stopped``, which says why it takes no messages. Workers of older releases do
    not answer. Raises Unavailable as ``ping_broker``."""
    with _explain_errors(settings):
        control = _make_impatient_app(settings).control
        answers = control.broadcast("release", reply=True, timeout=_TIMEOUT) or []
    return {worker: told for answer in answers for worker, told in answer.items() if "head" in told}


@contextmanager
def _connect_broker(settings: Settings) -> Iterator[Connection]:
    with (
        _explain_errors(settings),
        _make_impatient_app(settings).connection_for_write(connect_timeout=_TIMEOUT) as connection,
    ):
        connection.ensure_connection(max_retries=1, interval_start=0.2, timeout=_TIMEOUT)
        yield connection


@contextmanager
def _explain_errors(settings: Settings) -> Iterator[None]:
    # RabbitMQ's client has its own errors
    with _make_impatient_app(settings).connection_for_write() as unused:
        known = (*BROKER_AWAY, *unused.connection_errors, *unused.channel_errors)
    try:
        yield
    except known as error:
        kind, words = _classify_error(settings, error)
        raise kind(f"the broker at {broker_address(settings)} {words}") from error


def _make_impatient_app(settings: Settings) -> Celery:
    """An app for a person who waits: it gives up at once where a worker would try again."""
    app = make_app(settings)
    app.conf.broker_transport_options = {
        "socket_timeout": _TIMEOUT,
        "socket_connect_timeout": _TIMEOUT,
    }
    return app


def _classify_error(settings: Settings, error: BaseException) -> tuple[type[Unavailable], str]:
    said = _error_chain_text(error)
    for kind, table in ((Unavailable, _PASSING_FAULTS), (Misconfigured, _WRONG_SETTINGS)):
        for pattern, words in table:
            if re.search(pattern, said):
                return kind, words
    cause = error.__cause__ or error
    if re.search(_SILENCE, said) and (advice := _advise_on_tls(settings)):
        return Misconfigured, advice
    if _HUNG_UP.search(said):
        return Unavailable, f"ended the connection ({type(cause).__name__})"
    return Unavailable, f"did not answer ({type(cause).__name__}); is it running?"


def _error_chain_text(error: BaseException | None) -> str:
    """Returns the messages of the error and its causes: kombu and the Redis client wrap the
    original error, once or twice."""
    words = []
    while error is not None:
        words.append(f"{type(error).__name__}: {error}")
        error = error.__cause__ or error.__context__
    return " <- ".join(words)


def _advise_on_tls(settings: Settings) -> str:
    """Returns what to write instead if Redis expects TLS on a plain connection, or the reverse; in
    both cases it does not answer or closes the connection. Empty otherwise."""
    url = settings.broker_url.get_secret_value()
    place = broker_url.host_and_port(url)
    if place is None:
        return ""
    try:
        with socket.create_connection(place, _TIMEOUT) as plain:
            if url.startswith("rediss://"):
                plain.sendall(b"PING\r\n")
                if plain.recv(1) not in {b"+", b"-"}:
                    return ""
                return _NO_TLS_ADVICE
            with _unverified_context().wrap_socket(plain):
                return "expects TLS; write rediss:// instead of redis:// in ROLLOUTS_BROKER_URL"
    except OSError:
        return ""


def _unverified_context() -> ssl.SSLContext:
    """Used only to see what answers: nothing is sent."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
