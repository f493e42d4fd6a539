"""Settings from the environment and ``.env``, validated once when they are read. The error for a
wrong value names the variable."""

import difflib
import errno
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from qdrant_rollouts.core.config.expected import describe_expected
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.sanitize import hosts, redaction
from qdrant_rollouts.core.sanitize.quoting import quote_value

#: Filesystems for backups besides a directory; fsspec names the package that each needs.
REMOTE = ("s3", "gs", "abfs", "sftp")
#: Supported transports for knocks: those that are tested, and RabbitMQ. Celery knows others, which
#: might lose messages.
BROKERS = ("memory", "redis", "rediss", "redis+socket", "amqp", "amqps")
#: Settings whose value may contain a password or token and is never shown; all but the last
#: three are URLs.
SECRET = (
    "backup_dir",
    "database_url",
    "broker_url",
    "qdrant_url",
    "qdrant_nodes",
    "url",
    "qdrant_api_key",
    "api_token",
    "token",
)
_URLS = SECRET[:-3]
_PREFIX = "ROLLOUTS_"
_ENV_FILE = ".env"


class Settings(BaseSettings):
    """``ROLLOUTS_*`` variables and ``.env``; contract section 2 describes each. An empty variable
    counts as unset."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_file=_ENV_FILE, env_ignore_empty=True, extra="ignore", frozen=True
    )

    database_url: SecretStr = SecretStr("sqlite:///.rollouts/state.db")
    broker_url: SecretStr = SecretStr("memory://")
    qdrant_url: str = ""
    qdrant_api_key: SecretStr = SecretStr("")
    qdrant_grpc_port: Annotated[int, Field(ge=1, le=65535)] = 6334
    #: URLs of the nodes of a cluster, separated by commas.
    qdrant_nodes: Annotated[tuple[str, ...], NoDecode] = ()
    config: Path = Path("rollouts.yaml")
    #: An additional token of the web process, with every scope.
    api_token: SecretStr = SecretStr("")
    #: The server for an application without the database, and a token that it accepts.
    url: str = ""
    token: SecretStr = SecretStr("")
    #: Allowed host names of the web process besides localhost and addresses, separated by commas.
    web_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    #: Whether agents may deploy declared indexes; if not, the tool for it does not exist.
    mcp_deploy: bool = False
    #: Where backups are stored: a directory or a URL that every worker can reach.
    backup_dir: str = ".rollouts/backups"
    #: Folders that file sources may read besides the working directory and the index file's;
    #: separated like ``PATH``.
    source_roots: Annotated[tuple[Path, ...], NoDecode] = ()

    @model_validator(mode="before")
    @classmethod
    def _strip_values(cls, given: Any) -> Any:
        """Strips white space: a secret made with ``echo`` ends with a line end, which no server
        accepts, and which some libraries show when they refuse it. A value of white space only
        counts as unset."""
        plain = {name: _strip_value(value) for name, value in dict(given).items()}
        return {name: value for name, value in plain.items() if value != ""}

    @field_validator("qdrant_api_key", "api_token", "token")
    @classmethod
    def _check_header_value(cls, key: SecretStr) -> SecretStr:
        if not key.get_secret_value().isascii():
            raise ValueError(
                "it holds a character that is not ASCII, which HTTP cannot send; write it without"
            )
        return key

    def model_post_init(self, context: Any) -> None:
        for name in SECRET:
            value = getattr(self, name)
            for text in value if isinstance(value, tuple) else (value,):
                secret = text
                if isinstance(text, SecretStr):
                    secret = text.get_secret_value()
                (redaction.remember_url if name in _URLS else redaction.remember_secret)(secret)

    @property
    def embedded(self) -> bool:
        """Without a broker, deployments run in the process that starts them, or in ``rollouts
        up``."""
        return self.broker_url.get_secret_value().startswith("memory:")

    @property
    def lends_store(self) -> bool:
        """Only one process at a time can open the embedded Qdrant, so a process that does not need
        it closes it."""
        return not self.qdrant_url

    @field_validator("source_roots", mode="before")
    @classmethod
    def _split_source_roots(cls, roots: Any) -> Any:
        if isinstance(roots, str):
            return [root for root in roots.split(os.pathsep) if root]
        return roots

    @field_validator("config")
    @classmethod
    def _check_config_path(cls, path: Path) -> Path:
        _check_length(path)
        return path

    @field_validator("source_roots")
    @classmethod
    def _check_source_roots(cls, roots: tuple[Path, ...]) -> tuple[Path, ...]:
        _check_length(*roots)
        return roots

    @field_validator("web_hosts", mode="before")
    @classmethod
    def _split_web_hosts(cls, hosts: Any) -> Any:
        if isinstance(hosts, str):
            return [host.strip().lower() for host in hosts.split(",") if host.strip()]
        return hosts

    @field_validator("web_hosts")
    @classmethod
    def _check_web_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [
            host for host in hosts if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", host)
        ]:
            raise ValueError(
                f"{quote_value(wrong[0])} is not a host name; expected names without scheme and "
                "port, such as web.lan"
            )
        return hosts

    @field_validator("backup_dir")
    @classmethod
    def _check_backup_dir(cls, where: str) -> str:
        """No message shows a URL, because it may contain a secret by mistake."""
        if "://" not in where:
            _check_length(Path(where))
            return where
        parts = urlsplit(where)
        if parts.scheme not in REMOTE or not parts.netloc:
            raise ValueError(
                "expected a directory, or a URL with one of "
                f"{', '.join(f'{one}://' for one in REMOTE)}"
            )
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                "expected a URL without user, password, query or fragment; credentials stand in "
                "variables"
            )
        return where

    @field_validator("qdrant_nodes", mode="before")
    @classmethod
    def _split_qdrant_nodes(cls, urls: Any) -> Any:
        found = urls
        if isinstance(urls, str):
            found = [url.strip() for url in urls.split(",") if url.strip()]
        if not all(re.match(r"https?://[^/]", url) for url in found):
            raise ValueError(
                "expected http://HOST:PORT,http://HOST:PORT…, one for every node of the cluster"
            )
        _check_hosts(*found)
        return found

    @field_validator(*SECRET, mode="before")
    @classmethod
    def _check_printable(cls, value: Any) -> Any:
        """This validator is the last of its kind, so pydantic runs it first: before a list is split
        into its parts."""
        text = value
        if isinstance(value, SecretStr):
            text = value.get_secret_value()
        if isinstance(text, str) and not text.isprintable():
            raise ValueError(
                "it holds a line end or another character that cannot be seen; write it without"
            )
        return value

    @field_validator("qdrant_url")
    @classmethod
    def _check_qdrant_url(cls, url: str) -> str:
        if url and not re.match(r"https?://[^/]", url):
            raise ValueError(
                "expected http://HOST:PORT or https://HOST:PORT, or nothing for the embedded Qdrant"
            )
        _check_hosts(url)
        return url

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        if url and not re.match(r"https?://[^/@?#]+(/[^@?#]*)?$", url):
            raise ValueError(
                "expected http://HOST:PORT or https://HOST:PORT of the server, without user and "
                "password"
            )
        _check_hosts(url)
        return url

    @field_validator("broker_url")
    @classmethod
    def _check_broker_url(cls, url: SecretStr) -> SecretStr:
        for one in url.get_secret_value().split(";"):
            scheme, colon, _ = one.partition("://")
            if not colon:
                raise ValueError(
                    "expected a Celery broker URL such as redis://HOST:6379/0 or memory://"
                )
            if scheme not in BROKERS:
                raise ValueError(_describe_wrong_broker(scheme))
            _check_hosts(one)
        return url

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, url: SecretStr) -> SecretStr:
        try:
            parsed = make_url(url.get_secret_value())
        except (ArgumentError, ValueError):
            raise ValueError(
                "expected a SQLAlchemy URL such as postgresql://USER@HOST/NAME"
            ) from None
        if any(
            map(hosts.is_impossible_host, (parsed.host, *parsed.normalized_query.get("host", ())))
        ):
            raise ValueError(hosts.IMPOSSIBLE_HOST)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            _check_length(Path(parsed.database))
        return url


def load_settings(**given: Any) -> Settings:
    """Reads the settings of this process; those that are ``given`` come first. Raises Refused
    naming each wrong variable and what was expected."""
    try:
        redaction.remember_environment({**dotenv_values(_ENV_FILE), **os.environ})
        return Settings(**given)
    except ValidationError as error:
        raise Refused(
            "\n".join(_describe_variable_fault(fault) for fault in error.errors())
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{_ENV_FILE}: cannot be read: {error}") from error


def _check_length(*paths: Path) -> None:
    """A path that does not exist is reported where it is used. But a path that is too long makes
    every access fail with an error, so it is refused here."""
    for path in paths:
        try:
            path.lstat()
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise ValueError(
                    "it is longer than the name of a file may be; write a shorter path"
                ) from None


def _check_hosts(*urls: str) -> None:
    if any(map(hosts.has_impossible_host, urls)):
        raise ValueError(hosts.IMPOSSIBLE_HOST)


def _describe_wrong_broker(scheme: str) -> str:
    shown = "that"
    if re.fullmatch(r"[a-z0-9+.-]{1,20}", scheme):
        shown = f"{scheme}://"
    advice = {
        "sentinel": "; name the master, or a proxy that follows it, with redis://",
        "unix": "; a socket is named by redis+socket:///PATH",
    }
    known = ", ".join(f"{one}://" for one in BROKERS)
    return f"{shown} is not supported as a broker; expected one of {known}{advice.get(scheme, '')}"


def _strip_value(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return SecretStr(value.get_secret_value().strip())
    if isinstance(value, str):
        return value.strip()
    return value


def find_unknown_variables(environ: Mapping[str, str | None] | None = None) -> list[str]:
    """Returns a sentence for each ``ROLLOUTS_*`` variable that is not a setting (default: of the
    environment and ``.env``).

    ``ROLLOUTS_TEST_*`` belong to the test suite and are ignored.
    """
    given = {**dotenv_values(_ENV_FILE), **os.environ} if environ is None else environ
    known = [_PREFIX + name.upper() for name in Settings.model_fields]
    ours = sorted(name for name in map(str.upper, given) if name.startswith(_PREFIX))
    return [
        _describe_unknown_variable(name, known)
        for name in ours
        if name not in known and not name.startswith(_PREFIX + "TEST_")
    ]


def _describe_unknown_variable(name: str, known: list[str]) -> str:
    """All begin with the same word, which says nothing about their likeness."""
    words = [one.removeprefix(_PREFIX) for one in known]
    close = difflib.get_close_matches(name.removeprefix(_PREFIX), words, n=1, cutoff=0.75)
    meant = f"known: {', '.join(known)}"
    if close:
        meant = f"did you mean {_PREFIX}{close[0]}?"
    return f"{name} is not a setting; {meant}"


def _describe_variable_fault(fault: Mapping[str, Any]) -> str:
    name = str(fault["loc"][0])
    found = ""
    if name not in SECRET:
        found = f"found {quote_value(fault['input'])}; "
    return f"{_PREFIX}{name.upper()}: {found}{describe_expected(fault)}"
