"""``rollouts mark``."""

import click

from qdrant_rollouts.core.collections import marks
from qdrant_rollouts.core.collections.version_facts import say_mark
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.interfaces.cli.options import json_option, reason_option
from qdrant_rollouts.interfaces.cli.running import DONE, actor, open_services, verb
from qdrant_rollouts.interfaces.cli.screen import print_answer


@click.command()
@click.argument("alias")
@click.argument("version")
@click.option("--bad", is_flag=True, help="Mark it bad; with --reason.")
@click.option("--good", is_flag=True, help="Remove the mark.")
@reason_option
@json_option
@verb
def change_mark(alias: str, version: str, bad: bool, good: bool, reason: str, as_json: bool) -> int:
    """Marks VERSION of ALIAS as bad, or removes the mark.

    VERSION is a number or a collection, as in `rollouts versions ALIAS`, or `live` for what serves.
    A rollback does not choose a version that is marked bad; `--to` goes there only with --force.
    Nothing else changes.
    """
    if bad == good:
        raise Refused("say either --bad or --good")
    with open_services(needs="rows") as context:
        answer = marks.mark_version(
            context.services, alias, version, bad=bad, actor=actor(), reason=reason
        )
    mark = answer["marked_bad"]
    said = say_mark(mark) if mark is not None else "not marked bad"
    print_answer(answer, f"{answer['collection']} is {said}; {answer['next']}", as_json)
    return DONE
