"""``alias create``, ``switch``, ``delete``."""

from typing import Any

from rich.text import Text

from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.running import DONE, actor, open_services


def create_alias(alias: str, collection: str, force: bool, reason: str, as_json: bool) -> int:
    with open_services(needs="store") as house:
        answer = commands.create_alias(house.services, alias, collection, force=force, reason=reason, actor=actor())
    return _print_answer(answer, f"{alias} → {collection}" + ("" if answer["created"] else ", as it was"), as_json)


def switch_alias(alias: str, collection: str, delete_old: bool, reason: str, as_json: bool) -> int:
    with open_services(needs="store") as house:
        answer = commands.switch_alias(
            house.services, alias, collection, delete_old=delete_old, reason=reason, actor=actor()
        )
    was = f", was {answer['old_collection']}" if answer["switched"] else ", as it was"
    words = f"{alias} → {collection}{was}"
    if deletion := answer.get("deletion"):
        words += "\n" + (deletion.get("text") or f"{answer['old_collection']} stays: {deletion['reason']}")
    return _print_answer(answer, words, as_json)


def delete_alias(alias: str, reason: str, as_json: bool) -> int:
    with open_services(needs="store") as house:
        answer = commands.delete_alias(house.services, alias, reason=reason, actor=actor())
    return _print_answer(answer, f"{alias} removed" if answer["deleted"] else f"{alias} was removed before", as_json)


def _print_answer(answer: dict[str, Any], words: str, as_json: bool) -> int:
    if as_json:
        screen.print_json(answer)
    else:
        screen.make_console().print(Text(words))
    return DONE
