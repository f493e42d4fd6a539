"""What the verbs share where they are declared: how one is called, how groups list them, options of the same meaning.

Rule: the modules that declare verbs import click and nothing else of weight, so that ``--help`` answers at once.
``verb`` brings the rest in when a verb is called, and an error its words; these are the deliberate late imports of the
house.
"""

import gc
import importlib
import runpy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

Command = Callable[..., Any]

#: ``core.defaults``, read as the file it is: an import would bring the package around it in.
DEFAULTS = runpy.run_path(str(Path(__file__).parents[2] / "core" / "defaults.py"))


@contextmanager
def _short_errors() -> Iterator[None]:
    """What click says of an argument repeats it; a long one is cut as everywhere."""
    try:
        yield
    except click.UsageError as error:
        said = error.format_message()
        shown = importlib.import_module("qdrant_rollouts.core.sanitize.quoting").shorten_message(said)
        if shown == said:
            raise
        raise click.UsageError(shown, error.ctx) from None


class InOrder(click.Group):
    """Lists its verbs as they are declared, in the order people need them."""

    def make_context(self, *given: Any, **named: Any) -> click.Context:
        with _short_errors():
            return super().make_context(*given, **named)

    def invoke(self, ctx: click.Context) -> Any:
        with _short_errors():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


def verb(target: str, /, **given: Any) -> None:
    """Runs ``module.function`` of this package and ends the process with the code it answers. Until that is loaded no
    garbage is looked for, and never among what was loaded: imports leave none, and the looks take a third of a short
    verb's time."""
    gc.disable()
    sys.exit(importlib.import_module("qdrant_rollouts.interfaces.cli.running").run(target, given))


as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, messages on stderr.")
reason = click.option("--reason", default="", metavar="TEXT", help="Why; kept with the events.")


def list_options(what: str) -> Callable[[Command], Command]:
    """``--alias`` and ``--limit`` of a verb that lists ``what``."""
    alias = click.option("--alias", help=f"Only {what} of this index.")
    limit = click.option(
        "--limit",
        type=click.IntRange(1, DEFAULTS["MOST"]),
        default=DEFAULTS["ROWS"],
        show_default=True,
        help="How many.",
    )
    return lambda command: alias(limit(command))
