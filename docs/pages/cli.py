"""Every verb of the command line, as ``--help`` shows it."""

import click

from docs.pages.markdown import fenced, joined, lines, table
from qdrant_rollouts.interfaces.cli import main
from qdrant_rollouts.interfaces.cli.groups import walk_verbs

_HEAD = """# Command line

`python -m docs.make_reference` makes this page from the command line. Every verb takes `--help`.
[Errors](errors.md) lists the exit codes.
"""


def page() -> str:
    return joined(_HEAD, *(_verb(path, command) for path, command in walk_verbs(main, "rollouts")))


def _verb(path: str, command: click.Command) -> str:
    context = click.Context(command, info_name=path)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    return joined(f"## {path}", _help(command), fenced("text", usage), _options(command, context))


def _help(command: click.Command) -> str:
    return "\n\n".join(
        " ".join(part.split()) for part in (command.help or "").replace("\b", "").split("\n\n")
    )


def _options(command: click.Command, context: click.Context) -> str:
    records = [record for option in command.params if (record := option.get_help_record(context))]
    rows = [[f"`{written}`".replace("|", "\\|"), lines(said)] for written, said in records]
    return table(["option", "meaning"], rows) if rows else ""
