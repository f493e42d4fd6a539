"""``status`` and ``list``."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.interfaces.cli import picture, screen
from qdrant_rollouts.interfaces.cli.following import follow
from qdrant_rollouts.interfaces.cli.running import DONE, looked


def status(deployment_id: str, watch: bool, every: bool, as_json: bool) -> int:
    with looked() as house:
        if watch:
            follow(house.services, deployment_id, timeout=None, as_json=as_json)
        seen = queries.deployment(house.services, deployment_id)
    if as_json:
        screen.emit(seen)
    else:
        screen.console().print(picture.details(seen, every=every) if watch else picture.full(seen, every=every))
    return DONE


def list_(alias: str | None, limit: int, as_json: bool) -> int:
    with looked() as house:
        deployments = queries.deployments(house.services, alias, limit)
        deletions = [row for row in queries.deletions(house.services, limit) if alias in (None, row["alias"])]
    if as_json:
        screen.emit({"deployments": deployments, "deletions": deletions})
        return DONE
    _print_deployments(deployments)
    _print_deletions(deletions)
    return DONE


def _print_deployments(deployments: Sequence[Mapping[str, Any]]) -> None:
    if not deployments:
        screen.console().print(Text("no deployments yet; `rollouts deploy ALIAS` starts one"))
        return
    titles = ("ALIAS", "ID", "STRATEGY", "STATUS", "STEP", "GREEN", "AGE", "ACTOR", "MESSAGE")
    rows = screen.table(*titles, drop=("STRATEGY", "ACTOR", "GREEN", "AGE", "STEP"))
    for seen in deployments:
        age = screen.age(screen.seconds_since(seen["created_at"]))
        state, step = screen.word(seen["status"]), picture.current(seen)
        names = (seen["alias"], seen["id"], seen["strategy"])
        said = seen["queue"]["text"] if seen["queue"] else seen["message"]
        screen.row(rows, (*names, state, step, seen["green"], age, seen["actor"], said))
    screen.console().print(rows)


def _print_deletions(deletions: Sequence[Mapping[str, Any]]) -> None:
    if not deletions:
        return
    rows = screen.table("COLLECTION", "DUE IN", "STATUS", "REASON")
    for row in deletions:
        screen.row(rows, (row["collection"], _due(row), screen.word(row["status"]), row["reason"]))
    out = screen.console()
    out.print()
    out.print(rows)
    screen.print_deletions(row for row in deletions if row["finished_at"] is None)


def _due(row: Mapping[str, Any]) -> str:
    if row["finished_at"]:
        return ""
    left = screen.seconds_until(row["delete_after"])
    return screen.span(left) if left else "now"
