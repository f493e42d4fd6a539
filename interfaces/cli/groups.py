"""Groups of verbs. Each verb is in a module of its own.

Rule: the module of ``rollouts backup create`` is ``commands.backup.create``. It has the verb's
declaration and its body, and no other command. A group knows the names of its verbs and one line
about each, and imports a verb when it is called. So ``--help`` of a group is fast.
"""

import gc
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

Command = Callable[..., Any]


@contextmanager
def _short_errors() -> Iterator[None]:
    """Shortens errors of click: they repeat an argument, which may be long."""
    try:
        yield
    except click.UsageError as error:
        said = error.format_message()
        shown = importlib.import_module("qdrant_rollouts.core.sanitize.quoting").shorten_message(
            said
        )
        if shown == said:
            raise
        raise click.UsageError(shown, error.ctx) from None


class Verbs(click.Group):
    """``package`` has a module for each of ``verbs``, which are listed in the order in which people
    need them. The line about a verb is the first sentence of its help."""

    def __init__(
        self, *given: Any, package: str = "", verbs: Mapping[str, str] = {}, **named: Any
    ) -> None:
        super().__init__(*given, **named)
        self._package = package
        self._verbs = dict(verbs)

    def make_context(self, *given: Any, **named: Any) -> click.Context:
        with _short_errors():
            return super().make_context(*given, **named)

    def invoke(self, ctx: click.Context) -> Any:
        with _short_errors():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._verbs:
            return None
        module = _import_once(f"{self._package}.{cmd_name}")
        (command,) = (one for one in vars(module).values() if isinstance(one, click.Command))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self._verbs.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - loaded for completion alone

        found = [
            CompletionItem(name, help=line)
            for name, line in self._verbs.items()
            if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)


def walk_verbs(group: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Yields every verb with its words, such as ``rollouts backup create``; it imports all of
    them."""
    if not isinstance(group, Verbs):
        yield path, group
        return
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None, name
        yield from walk_verbs(found, f"{path} {name}")


def _import_once(name: str) -> Any:
    """Imports a verb without garbage collection: imports leave no garbage, and the collections
    would take a third of a short verb's time. Later collections skip what was imported."""
    if name in sys.modules:
        return sys.modules[name]
    collects = gc.isenabled()
    gc.disable()
    try:
        return importlib.import_module(name)
    finally:
        gc.freeze()
        if collects:
            gc.enable()
