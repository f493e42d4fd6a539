"""``alias list``."""

from rich.text import Text

from core import queries
from interfaces.cli import screen
from interfaces.cli.running import DONE, looked


def list_(as_json: bool) -> int:
    with looked(store=True) as house:
        aliases = queries.aliases(house.services)
    if as_json:
        screen.emit({"aliases": aliases})
        return DONE
    rows = screen.table("ALIAS", "COLLECTION")
    for pair in aliases.items():
        screen.row(rows, pair)
    screen.console().print(rows if aliases else Text("no aliases yet"))
    return DONE
