"""The ``alerts`` section of the index file: the channels, and which alerts each gets.

Rule: a channel that cannot work is refused here. A channel without an address is an error, not a
way to switch alerts off.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from qdrant_rollouts.core.ports.messages import Severity
from qdrant_rollouts.core.sanitize import hosts


def _check_url(text: str) -> str:
    if not re.match(r"https?://[^/@\s]+(/\S*)?$", text):
        raise ValueError(
            "expected http://HOST or https://HOST, without a password; the key goes into the "
            "environment"
        )
    if hosts.has_impossible_host(text):
        raise ValueError(hosts.IMPOSSIBLE_HOST)
    return text


def _check_address(text: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", text):
        raise ValueError("expected an e-mail address such as oncall@example.org")
    return text


def _check_variable_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
        raise ValueError(
            "expected the name of an environment variable that holds the secret, never the secret "
            "itself"
        )
    return text


def _check_host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.:_-]+", text):
        raise ValueError("expected a host name or an address")
    if hosts.is_impossible_host(text):
        raise ValueError(hosts.IMPOSSIBLE_HOST)
    return text


Url = Annotated[str, AfterValidator(_check_url)]
Address = Annotated[str, AfterValidator(_check_address)]
Variable = Annotated[str, AfterValidator(_check_variable_name)]


class _Channel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    min_severity: Severity = Severity.INFO


class LogSpec(_Channel):
    kind: Literal["log"]


class WebhookSpec(_Channel):
    """``secret`` names the environment variable of the signing key."""

    kind: Literal["webhook"]
    url: Url
    secret: Variable


class AlertmanagerSpec(_Channel):
    """``url`` is without ``/api/v2/alerts``. ``secret`` names the variable of a bearer token, if
    one is needed."""

    kind: Literal["alertmanager"]
    url: Url
    secret: Variable | None = None


class EmailSpec(_Channel):
    """``secret`` names the variable of the password of ``username``."""

    kind: Literal["email"]
    host: Annotated[str, AfterValidator(_check_host)]
    port: Annotated[int, Field(ge=1, le=65535, strict=True)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    sender: Address
    to: Annotated[tuple[Address, ...], Field(min_length=1)]
    username: str | None = None
    secret: Variable | None = None

    @model_validator(mode="after")
    def _check_credentials(self) -> Self:
        if (self.username is None) != (self.secret is None):
            raise ValueError("expected username and secret together, or neither")
        if self.username is not None and self.security == "none":
            raise ValueError(
                "a password is not sent without encryption: expected security starttls or tls"
            )
        return self


class AppriseSpec(_Channel):
    """``secret`` names the variable of the service's URL, which contains its token."""

    kind: Literal["apprise"]
    secret: Variable


ChannelSpec = Annotated[
    LogSpec | WebhookSpec | AlertmanagerSpec | EmailSpec | AppriseSpec, Field(discriminator="kind")
]


def _check_channel_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text):
        raise ValueError("expected 1 to 64 letters, digits, _ or - as the name of a channel")
    return text


class AlertsSpec(BaseModel):
    """Without this section alerts are log lines. With it, they go only to its channels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: Annotated[
        dict[Annotated[str, AfterValidator(_check_channel_name)], ChannelSpec], Field(min_length=1)
    ] = {"log": LogSpec(kind="log")}
