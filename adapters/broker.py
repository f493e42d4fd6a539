"""The broker and the workers behind it, asked whether they are there."""

from celery import Celery
from kombu.utils.url import as_url, url_to_parts
from redis.exceptions import AuthenticationError

from adapters.celery import BROKER_AWAY, make_app
from core.errors import Refused, Unavailable
from core.settings import Settings

_SECONDS = 2.0


def address(settings: Settings) -> str:
    """Where the broker is, without credentials. Raises Refused when that is no URL."""
    try:
        return ";".join(_bare(url) for url in settings.broker_url.get_secret_value().split(";"))
    except ValueError as error:
        raise Refused("ROLLOUTS_BROKER_URL is not a broker URL; e.g. redis://:password@host:6379/0") from error


def ping(settings: Settings) -> None:
    """Raises Unavailable, naming the address, if the broker does not answer within about 2 s, and Refused if it is of a
    kind that Celery does not know here."""
    where = address(settings)
    try:
        with _impatient(settings).connection_for_write(connect_timeout=_SECONDS) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0.2, timeout=_SECONDS)
    except BROKER_AWAY as error:
        raise Unavailable(f"the broker at {where} {_why(error)}") from error
    except (KeyError, ImportError) as error:
        raise Refused(f"Celery cannot speak to the broker at {where}: {error}; use redis://") from error


def listened_queues(settings: Settings) -> dict[str, list[str]]:
    """The queues that workers take from, each with its workers' names. Raises Unavailable as ``ping``."""
    try:
        answers = _impatient(settings).control.inspect(timeout=_SECONDS).active_queues() or {}
    except BROKER_AWAY as error:
        raise Unavailable(f"the broker at {address(settings)} {_why(error)}") from error
    found: dict[str, list[str]] = {}
    for worker, queues in answers.items():
        for queue in queues:
            found.setdefault(queue["name"], []).append(worker)
    return found


def _impatient(settings: Settings) -> Celery:
    """An app for a person who waits: it gives up at once where a worker would go on trying."""
    app = make_app(settings)
    app.conf.broker_transport_options = {"socket_timeout": _SECONDS, "socket_connect_timeout": _SECONDS}
    return app


def _why(error: BaseException) -> str:
    cause = error.__cause__ or error
    if isinstance(cause, AuthenticationError):
        return "refused the credentials; check ROLLOUTS_BROKER_URL"
    return f"did not answer ({type(cause).__name__}); is it running?"


def _bare(url: str) -> str:
    parts = url_to_parts(url)
    return str(as_url(parts.scheme, host=parts.hostname, port=parts.port, path=parts.path))
