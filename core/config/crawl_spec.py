"""The ``crawl`` section of the index file: how ``sitemap:`` reads sites. No request can change
it."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

#: The longest pause between two requests, in seconds. A turn includes three: a page with its
#: redirects.
LONGEST_DELAY = 10.0


def _check_site(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9.-]+(:\d{1,5})?|[0-9a-f:]*:[0-9a-f:]*", name):
        raise ValueError("expected HOST, HOST:PORT or an IPv6 address, in lower case")
    return name


Delay = Annotated[float, Field(ge=0, le=LONGEST_DELAY, allow_inf_nan=False, strict=True)]


class CrawlSpec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Sites that may be read although their address is private; ``HOST``, or ``HOST:PORT`` for
    #: another port.
    allow: tuple[Annotated[str, AfterValidator(_check_site)], ...] = ()
    #: Seconds between two requests to a site; its robots.txt may ask for more.
    delay_seconds: Delay = 1
    #: The limit exists because the addresses are kept in memory while the site is read.
    max_pages: Annotated[int, Field(ge=1, le=500_000, strict=True)] = 50_000
