"""A POST that was either accepted or says why not."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx

from qdrant_rollouts.core.errors import Refused, Unavailable

_TIMEOUT = 10.0
#: Status codes that may change later.
_RETRY_STATUSES = (408, 425, 429)


def post_bytes(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Follows no redirect: a signed message goes only where the index file says. Raises Unavailable
    if there is no answer or a server fault, Refused for every other answer than 2xx. Both name only
    the host of the address."""
    host = urlsplit(url).netloc
    try:
        answer = httpx.post(
            url, content=body, headers=dict(headers), timeout=_TIMEOUT, follow_redirects=False
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable(f"{host} did not answer: {type(error).__name__}") from error
    if answer.is_success:
        return
    kind = (
        Unavailable if answer.is_server_error or answer.status_code in _RETRY_STATUSES else Refused
    )
    raise kind(f"{host} answered {answer.status_code}, expected 2xx")
