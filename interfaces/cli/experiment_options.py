"""Options of an experiment, for the verbs that plan one and that create one."""

from collections.abc import Sequence
from typing import Any

import click

from qdrant_rollouts.core import defaults
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.sanitize.bounded import read_yaml
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.statistics.assignment import share_of
from qdrant_rollouts.interfaces.cli.groups import Command
from qdrant_rollouts.interfaces.cli.options import parse_options

_METRIC = "clicks, relevance, latency …, or your own: dwell,kind=mean,role=primary; repeatable."


def experiment_options(command: Command) -> Command:
    for option in reversed(
        (
            click.option(
                "--metric", "metrics", multiple=True, metavar="NAME[,KEY=VALUE]…", help=_METRIC
            ),
            click.option(
                "--split",
                type=float,
                default=defaults.SPLIT,
                show_default=True,
                help="The share of the treatments.",
            ),
            click.option(
                "--coverage",
                type=float,
                metavar="PERCENT",
                help="The share of users that take part; 100 by default.",
            ),
            click.option(
                "--option",
                "options",
                multiple=True,
                metavar="KEY=VALUE",
                help="Any setting of an experiment, e.g. max_days=14.",
            ),
        )
    ):
        command = option(command)
    return command


def merge_options(options: Sequence[str], coverage: float | None, **named: Any) -> dict[str, Any]:
    """Returns the settings of ``--option``. Options with a name of their own override them."""
    named["coverage"] = None if coverage is None else share_of(coverage)
    return {
        **parse_options(options),
        **{key: value for key, value in named.items() if value is not None},
    }


def parse_metric_options(given: Sequence[str]) -> list[str | dict[str, Any]] | None:
    """Reads options such as ``dwell,kind=mean``; values are YAML. Returns None if there are none.
    Raises Refused."""
    return [_parse_metric(text) for text in given] or None


def _parse_metric(text: str) -> str | dict[str, Any]:
    name, *settings = text.split(",")
    if not settings:
        return name
    return {"name": name, **dict(_parse_setting(text, setting) for setting in settings)}


def _parse_setting(text: str, setting: str) -> tuple[str, Any]:
    key, sign, value = setting.partition("=")
    if not sign or not key:
        raise Refused(
            f"--metric {quote_value(text)}: expected NAME,KEY=VALUE such as dwell,kind=mean, found "
            f"{quote_value(setting)}"
        )
    try:
        return key, read_yaml(value)
    except ValueError as error:
        raise Refused(
            f"--metric {quote_value(text)}: {quote_value(value)} is no YAML value"
        ) from error
