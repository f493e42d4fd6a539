"""``token create`` and ``revoke``."""

from collections.abc import Sequence

from rich.text import Text

from qdrant_rollouts.interfaces.access import tokens
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.running import DONE, actor, opened


def create(name: str, scopes: Sequence[str], reason: str, as_json: bool) -> int:
    with opened() as house:
        made = tokens.create(house.services, name, scopes, actor=actor(), reason=reason)
    if as_json:
        screen.emit(made)
        return DONE
    screen.note("it is shown this once; keep it where secrets are kept")
    screen.console().print(Text(made["token"]), soft_wrap=True)
    return DONE


def revoke(name: str, reason: str, as_json: bool) -> int:
    with opened(needs="rows") as house:
        answer = tokens.revoke(house.services, name, actor=actor(), reason=reason)
    if as_json:
        screen.emit(answer)
    else:
        screen.console().print(Text(f"{name} is revoked"))
    return DONE
