"""``token create`` and ``revoke``."""

from collections.abc import Sequence

from rich.text import Text

from qdrant_rollouts.interfaces.access import tokens
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.running import DONE, actor, open_services


def create_token(name: str, scopes: Sequence[str], reason: str, as_json: bool) -> int:
    with open_services() as house:
        made = tokens.create_token(house.services, name, scopes, actor=actor(), reason=reason)
    if as_json:
        screen.print_json(made)
        return DONE
    screen.print_note("it is shown this once; keep it where secrets are kept")
    screen.make_console().print(Text(made["token"]), soft_wrap=True)
    return DONE


def revoke_token(name: str, reason: str, as_json: bool) -> int:
    with open_services(needs="rows") as house:
        answer = tokens.revoke_token(house.services, name, actor=actor(), reason=reason)
    if as_json:
        screen.print_json(answer)
    else:
        screen.make_console().print(Text(f"{name} is revoked"))
    return DONE
