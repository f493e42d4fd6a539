"""``schedule run``, ``pause``, ``resume``, ``set``."""

from collections.abc import Callable, Sequence

from qdrant_rollouts.core.operations.schedules import commands, queries
from qdrant_rollouts.core.ports.naming import shell_word
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.deploying import parse_options
from qdrant_rollouts.interfaces.cli.lists.schedules import print_schedules
from qdrant_rollouts.interfaces.cli.running import DONE, actor, open_services
from qdrant_rollouts.interfaces.embedded import running_elsewhere

_NOBODY = "nobody runs it until `rollouts up` is started"
_SOON = "it begins within ten seconds; `rollouts schedule list --alias {alias}` shows what became of it"


def run_schedule(alias: str, action: str, reason: str, as_json: bool) -> int:
    with open_services(starts=True, needs="place") as house:
        asked = commands.run_schedule(house.services, alias, action, actor=actor(), reason=reason)
        seen = queries.get_schedule_run(house.services, asked)
        nobody = house.runner is not None and running_elsewhere() is None
    screen.print_note(_NOBODY if nobody else _SOON.format(alias=shell_word(alias)))
    if as_json:
        screen.print_json({"alias": alias, "action": action, **seen})
    return DONE


def pause_schedules(alias: str, action: str | None, reason: str, as_json: bool) -> int:
    return _apply_to_each(commands.pause_schedule, alias, action, reason, as_json)


def resume_schedules(alias: str, action: str | None, reason: str, as_json: bool) -> int:
    return _apply_to_each(commands.resume_schedule, alias, action, reason, as_json)


def change_schedule(
    alias: str, action: str, cron: str | None, zone: str | None, options: Sequence[str], reason: str, as_json: bool
) -> int:
    named = {key: value for key, value in (("cron", cron), ("zone", zone)) if value is not None}
    wanted = {**parse_options(options), **named}
    with open_services(needs="place") as house:
        commands.change_schedule(house.services, alias, action, wanted, actor=actor(), reason=reason)
        return print_schedules(house, alias, 1, as_json)


def _apply_to_each(command: Callable[..., None], alias: str, action: str | None, reason: str, as_json: bool) -> int:
    with open_services(needs="place") as house:
        for one in [action] if action else commands.list_actions(house.services, alias):
            command(house.services, alias, one, actor=actor(), reason=reason)
        return print_schedules(house, alias, 1, as_json)
