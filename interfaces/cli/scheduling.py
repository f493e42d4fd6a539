"""``schedule run``, ``pause``, ``resume``, ``set``."""

from collections.abc import Callable, Sequence

from qdrant_rollouts.core.operations.schedules import commands, queries
from qdrant_rollouts.core.ports.naming import shell_word
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.deploying import parsed
from qdrant_rollouts.interfaces.cli.lists.schedules import shown
from qdrant_rollouts.interfaces.cli.running import DONE, actor, opened
from qdrant_rollouts.interfaces.embedded import running_elsewhere

_NOBODY = "nobody runs it until `rollouts up` is started"
_SOON = "it begins within ten seconds; `rollouts schedule list --alias {alias}` shows what became of it"


def run(alias: str, action: str, reason: str, as_json: bool) -> int:
    with opened(starts=True, needs="place") as house:
        asked = commands.run(house.services, alias, action, actor=actor(), reason=reason)
        seen = queries.run(house.services, asked)
        nobody = house.runner is not None and running_elsewhere() is None
    screen.note(_NOBODY if nobody else _SOON.format(alias=shell_word(alias)))
    if as_json:
        screen.emit({"alias": alias, "action": action, **seen})
    return DONE


def pause(alias: str, action: str | None, reason: str, as_json: bool) -> int:
    return _each(commands.pause, alias, action, reason, as_json)


def resume(alias: str, action: str | None, reason: str, as_json: bool) -> int:
    return _each(commands.resume, alias, action, reason, as_json)


def set_(
    alias: str, action: str, cron: str | None, zone: str | None, options: Sequence[str], reason: str, as_json: bool
) -> int:
    named = {key: value for key, value in (("cron", cron), ("zone", zone)) if value is not None}
    wanted = {**parsed(options), **named}
    with opened(needs="place") as house:
        commands.change(house.services, alias, action, wanted, actor=actor(), reason=reason)
        return shown(house, alias, 1, as_json)


def _each(command: Callable[..., None], alias: str, action: str | None, reason: str, as_json: bool) -> int:
    with opened(needs="place") as house:
        for one in [action] if action else commands.actions_of(house.services, alias):
            command(house.services, alias, one, actor=actor(), reason=reason)
        return shown(house, alias, 1, as_json)
