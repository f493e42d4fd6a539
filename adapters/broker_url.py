"""The broker's URL: refused with a message where Celery would end with a traceback, and shown
without credentials."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from kombu.connection import Connection
from kombu.utils.url import as_url, url_to_parts

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.sanitize.quoting import quote_value

_SETTING = "ROLLOUTS_BROKER_URL"
_FILE_PARAMETERS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_CERTIFICATE_CHECKS = (
    "required",
    "optional",
    "none",
    "CERT_REQUIRED",
    "CERT_OPTIONAL",
    "CERT_NONE",
)


def check_broker_url(url: str) -> None:
    """Raises Refused, naming the setting, if Celery could not connect with ``url``. No connection
    is made."""
    for one in url.split(";"):
        _check_url_parts(one)
        try:
            Connection(one)  # type: ignore[no-untyped-call]  # kombu has few types
        except (KeyError, TypeError, ValueError, ImportError):
            known = ", ".join(("ssl_cert_reqs", *_FILE_PARAMETERS, "ssl_check_hostname"))
            raise Refused(
                f"{_SETTING} has a part or parameter that Celery does not know; a rediss:// URL "
                f"may have {known}"
            ) from None


def display_address(url: str) -> str:
    """Returns the broker's address without credentials and parameters. Raises Refused if it is not
    a URL."""
    try:
        return ";".join(_without_credentials(one) for one in url.split(";"))
    except ValueError as error:
        raise Refused(
            f"{_SETTING} is not a broker URL; e.g. redis://:password@host:6379/0"
        ) from error


def host_and_port(url: str) -> tuple[str, int] | None:
    """Returns the address of the first broker; None unless it is a Redis over TCP."""
    parts = url_to_parts(url.split(";", maxsplit=1)[0])
    if parts.scheme not in {"redis", "rediss"}:
        return None
    return (parts.hostname or "localhost", parts.port or 6379)


def checks_no_certificate(url: str) -> bool:
    """Celery trusts any certificate unless it is told not to, even if the URL says nothing."""
    secured = (urlsplit(one) for one in url.split(";") if one.startswith("rediss://"))
    return any(
        _query_parameters(one.query).get("ssl_cert_reqs", "none") in {"none", "CERT_NONE"}
        for one in secured
    )


def _check_url_parts(url: str) -> None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - it is looked at when it is asked for
    except ValueError:
        raise Refused(
            f"{_SETTING} is not a broker URL; e.g. redis://:password@host:6379/0"
        ) from None
    asked = _query_parameters(parts.query)
    if (checks := asked.get("ssl_cert_reqs")) and checks not in _CERTIFICATE_CHECKS:
        raise Refused(
            f"{_SETTING}: ssl_cert_reqs is {quote_value(checks)}; expected one of "
            f"{', '.join(_CERTIFICATE_CHECKS[:3])}"
        )
    for name in _FILE_PARAMETERS:
        if (file := asked.get(name)) and not Path(file).is_file():
            raise Refused(f"{_SETTING}: {name} names {file}, which is no file here")
    if parts.scheme in {"redis", "rediss", "redis+socket"}:
        _check_database_number(
            parts.path.strip("/")
            if parts.scheme != "redis+socket"
            else asked.get("virtual_host", "")
        )


def _check_database_number(database: str) -> None:
    if database and not database.isdecimal():
        raise Refused(
            f"{_SETTING}: the database of a Redis is a number such as 0, found "
            f"{quote_value(database)}"
        )


def _query_parameters(query: str) -> Mapping[str, str]:
    return dict(parse_qsl(query))


def _without_credentials(url: str) -> str:
    parts = url_to_parts(url)
    if parts.hostname is None and parts.scheme.endswith("+socket"):
        return f"{parts.scheme}:///{parts.path}"
    return str(as_url(parts.scheme, host=parts.hostname, port=parts.port, path=parts.path))
