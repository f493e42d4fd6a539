"""``alias list``."""

from rich.text import Text

from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.running import DONE, looked


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
