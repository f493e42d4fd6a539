"""Options that several verbs share, and how their values are read."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import click

from qdrant_rollouts.core import defaults
from qdrant_rollouts.core.errors import Malformed, Refused
from qdrant_rollouts.core.sanitize.bounded import read_yaml
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.times import read_time
from qdrant_rollouts.interfaces.cli.groups import Command

json_option = click.option(
    "--json", "as_json", is_flag=True, help="One JSON document on stdout, messages on stderr."
)
reason_option = click.option(
    "--reason", default="", metavar="TEXT", help="The reason; it is kept with the audit events."
)
all_checks_option = click.option(
    "--all",
    "every",
    is_flag=True,
    help="Show every check of the gate with its figures, also those that passed.",
)


def settings_option(example: str) -> Callable[[Command], Command]:
    """Returns ``--option KEY=VALUE`` for a verb that takes any setting. ``parse_options`` reads
    it."""
    return click.option(
        "--option",
        "options",
        multiple=True,
        metavar="KEY=VALUE",
        help=f"Any setting, e.g. {example}.",
    )


def limit_option(
    default: int, text: str, most: int = defaults.MOST
) -> Callable[[Command], Command]:
    return click.option(
        "--limit", type=click.IntRange(1, most), default=default, show_default=True, help=text
    )


def list_options(what: str) -> Callable[[Command], Command]:
    """Returns ``--alias`` and ``--limit`` for a verb that lists ``what``."""
    alias = click.option("--alias", help=f"Only {what} of this index.")
    limit = limit_option(defaults.ROWS, "How many to show.")
    return lambda command: alias(limit(command))


def time_option(name: str, text: str) -> Callable[[Command], Command]:
    """Returns an option that is a time; its value is None, or aware."""

    def read(context: click.Context, option: click.Parameter, given: str | None) -> datetime | None:
        if given is None:
            return None
        try:
            return read_time(name, given)
        except Malformed as error:
            raise click.BadParameter(str(error), context, option) from None

    return click.option(name, metavar="TIME", callback=read, help=text)


def timeout_option(default: float | None, text: str) -> Callable[[Command], Command]:
    return click.option(
        "--timeout",
        type=click.FloatRange(min=0),
        default=default,
        metavar="SECONDS",
        show_default=True,
        help=text,
    )


def serve_options(at: int = 8600) -> Callable[[Command], Command]:
    """Returns ``--host`` and ``--port`` for a verb that serves HTTP."""
    host = click.option(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        show_default=True,
        help="An address other than loopback needs a token.",
    )
    port = click.option(
        "--port",
        type=click.IntRange(0, 65535),
        default=at,
        show_default=True,
        help="0 takes any free port.",
    )
    return lambda command: host(port(command))


def parse_options(options: Sequence[str]) -> dict[str, Any]:
    """Returns options such as ``soak.seconds=2`` as nested settings; values are YAML. Raises
    Refused."""
    settings: dict[str, Any] = {}
    for option in options:
        path, sign, text = option.partition("=")
        keys = path.split(".")
        if not sign or not all(keys):
            raise Refused(
                f"--option {quote_value(option)}: expected KEY=VALUE such as soak.seconds=60"
            )
        _nested_section(settings, keys[:-1], option)[keys[-1]] = _parse_option_value(option, text)
    return settings


def _nested_section(settings: dict[str, Any], path: Sequence[str], option: str) -> dict[str, Any]:
    for key in path:
        settings = settings.setdefault(key, {})
        if not isinstance(settings, dict):
            raise Refused(
                f"--option {quote_value(option)}: {key} was given a value of its own before"
            )
    return settings


def _parse_option_value(option: str, text: str) -> Any:
    try:
        return read_yaml(text)
    except ValueError as error:
        raise Refused(
            f"--option {quote_value(option)}: {quote_value(text)} is no YAML value"
        ) from error
