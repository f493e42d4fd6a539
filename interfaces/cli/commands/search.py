"""``rollouts search``."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click
from rich.text import Text

from qdrant_rollouts.core import defaults
from qdrant_rollouts.core.collections.records import MARK_KEY
from qdrant_rollouts.core.operations.asking.compare import compare_answers
from qdrant_rollouts.core.routing import Router
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.beside import print_both
from qdrant_rollouts.interfaces.cli.options import json_option, limit_option
from qdrant_rollouts.interfaces.cli.running import DONE, open_or_empty, verb

_IDS_OF_RECORDS = {"id", MARK_KEY}


@click.command()
@click.argument("alias")
@click.argument("query")
@limit_option(defaults.RESULTS, "How many results.")
@click.option(
    "--user", help="The user who searches: the route gives a user the same collection every time."
)
@click.option(
    "--beside",
    metavar="VERSION",
    help="Ask the live version and this one, without routing, and show how their ranks differ.",
)
@json_option
@verb
def search_index(
    alias: str, query: str, limit: int, user: str | None, beside: str | None, as_json: bool
) -> int:
    """Shows what ALIAS finds for QUERY."""
    if beside is not None:
        return _ask_both(alias, query, limit, beside, as_json=as_json)
    with open_or_empty() as context, Router(context.services) as router:
        found = asdict(router.search(alias, query, user, limit))
    if as_json:
        screen.print_json(found)
        return DONE
    rows = screen.make_table("SCORE", "ID", "RECORD", cut=("RECORD",))
    for hit in found["results"]:
        screen.add_row(
            rows,
            (
                f"{hit['score']:.4f}",
                hit["payload"].get("id", hit["id"]),
                _payload_text(hit["payload"]),
            ),
        )
    out = screen.make_console()
    out.print(rows)
    out.print(Text(f"{len(found['results'])} results from {found['collection']}", style="dim"))
    return DONE


def _ask_both(alias: str, query: str, limit: int, beside: str, *, as_json: bool) -> int:
    with open_or_empty() as context:
        compared = compare_answers(context.services, alias, query, right=beside, limit=limit)
    if as_json:
        screen.print_json(compared)
    else:
        print_both(compared)
    return DONE


def _payload_text(payload: Mapping[str, Any]) -> str:
    return "  ".join(
        f"{key}: {value}" for key, value in payload.items() if key not in _IDS_OF_RECORDS
    )
