"""What can be looked at: each page is a function from a visit to what its template shows."""

from typing import Any

from qdrant_rollouts.core.collections import comparing, lineage
from qdrant_rollouts.core.deployments import backups, unclaimed
from qdrant_rollouts.core.errors import Malformed, Refused
from qdrant_rollouts.core.experiments import queries as trials
from qdrant_rollouts.core.operations.views.overview import acts, home, lists, run
from qdrant_rollouts.core.sanitize.quoting import quoted
from qdrant_rollouts.interfaces.http.pages.drawing import course
from qdrant_rollouts.interfaces.http.pages.visits import Visit, picture
from qdrant_rollouts.interfaces.pictures.experiment import experiment_svg

Shown = dict[str, Any]

_OTHERS = 200


def indexes(visit: Visit) -> Shown:
    return {"title": "Indexes", "here": "/", **home.home(visit.services, visit.seen)}


def index(visit: Visit) -> Shown:
    alias = visit.request.path_params["alias"]
    seen = lists.index(visit.services, alias, visit.seen)
    return {
        "title": alias,
        "here": "/",
        "now": seen["now"],
        "seen": seen,
        **_versions(visit, alias, seen["live"]),
        "runs": lists.history(visit.services, alias),
        "events": lists.audit(visit.services, alias),
    }


def _versions(visit: Visit, alias: str, live: str | None) -> Shown:
    there = None if visit.seen.error else visit.seen.collections
    aliases = {alias: live} if live else {}
    try:
        found = lineage.listed(visit.services, alias, aliases, there)["versions"]
    except Refused:
        return {"versions": [], "versions_error": ""}
    blank = dict.fromkeys(("points", "model", "gate", "actor", "deployment", "created_at", "delete_after", "deletion"))
    return {"versions": [{**blank, **row} for row in found], "versions_error": ""}


def compare(visit: Visit) -> Shown:
    alias = visit.request.path_params["alias"]
    found = comparing.diff(visit.services, alias, visit.asked("one"), visit.asked("other"))
    return {"title": f"{alias}: versions compared", "here": "/", "diff": found}


def deployments(visit: Visit) -> Shown:
    alias, outcome = visit.asked("alias"), visit.asked("outcome")
    listed = lists.history(visit.services, alias, outcome, number(visit, "page", 1))
    return {"title": "Deployments", "here": "/deployments", "listed": listed, "alias": alias, "outcome": outcome}


def deployment(visit: Visit) -> Shown:
    seen = run.deployment(visit.services, visit.request.path_params["id"], visit.seen)
    title = f"{seen['alias']} {seen['status'].replace('_', ' ')}"
    return {
        "title": title,
        "here": "/deployments",
        "now": seen["now"],
        "seen": seen,
        "course": course,
        "side": side,
        "rows": rows_of(seen["gate"]) if seen["gate"] else {},
    }


def rows_of(gate: Shown) -> dict[str, list[Shown]]:
    """The gate's checks: those that did not pass, the worst first; those that passed; those that decide nothing.
    Rows of an older release say less."""
    blank = {"level": "hard", "found": "", "means": "", "act": ""}
    rows = [{**blank, **check} for check in gate["checks"]]
    deciding = [row for row in rows if row["level"] != "shown"]
    stopped = [row for row in deciding if row["verdict"] != "pass"]
    return {
        "stopped": sorted(stopped, key=lambda row: row["verdict"] != "block"),
        "passed": [row for row in deciding if row["verdict"] == "pass"],
        "shown": [row for row in rows if row["level"] == "shown"],
    }


def side(check: Shown) -> str:
    """On which side of its bound a check's value has to be, as its detail says."""
    found = check["detail"].removeprefix("shown, no bound in the index file; ")
    if "low >= bound" in found or found.startswith("at least"):
        return "≥"
    return "≤" if "high <= bound" in found or "at most" in found else ""


def experiments(visit: Visit) -> Shown:
    rows = trials.experiments(visit.services, visit.asked("alias") or None, _OTHERS)
    return {"title": "Experiments", "here": "/experiments", "rows": rows}


def experiment(visit: Visit) -> Shown:
    found = trials.experiment(visit.services, visit.request.path_params["id"])
    begun = found["started_at"] is not None
    seen: Shown = trials.report(visit.services, found["id"]) if begun else {**found, "decision": None, "decided": None}
    coverage = found["stages"][-1]["coverage"] if found["stages"] else 0
    return {
        "title": found["name"],
        "here": "/experiments",
        "seen": {"units": {}, **seen},
        "acts": acts.of_experiment(found["id"], found["status"], coverage),
        "picture": picture(experiment_svg(seen)) if begun else "",
        "told": f"The differences and their intervals over {len(seen.get('looks', ()))} looks.",
    }


def schedules(visit: Visit) -> Shown:
    return {"title": "Schedules", "here": "/schedules", "rows": lists.schedules(visit.services, visit.seen)}


def backed_up(visit: Visit) -> Shown:
    refused = visit.seen.no_backups
    rows = [
        {**row, "acts": acts.of_backup(row["backup_id"], row["alias"], row["status"], refused)}
        for row in backups.listed(visit.services)
    ]
    return {
        "title": "Backups",
        "here": "/backups",
        "rows": rows,
        "shelf": visit.services.shelf.address,
        "refused": refused,
        "create": acts.making_a_backup(refused),
        "aliases": sorted(visit.seen.aliases or ()),
    }


def alerts(visit: Visit) -> Shown:
    return {"title": "Alerts", "here": "/alerts", "told": lists.alerts(visit.services)}


def events(visit: Visit) -> Shown:
    alias, before = visit.asked("alias"), number(visit, "before", 0)
    listed = lists.audit(visit.services, alias, before)
    return {"title": "Events", "here": "/events", "listed": listed, "alias": alias, "before": before}


def workers(visit: Visit) -> Shown:
    return {"title": "Workers", "here": "/workers", "told": unclaimed.listed(visit.services)}


def number(visit: Visit, name: str, default: int) -> int:
    """A count that the address gives, from ``default`` on. Raises Malformed."""
    given = visit.asked(name)
    if not given:
        return default
    if not given.isdecimal() or not given.isascii() or len(given) > 9 or int(given) < default:
        raise Malformed(f"{name} is {quoted(given)}; expected a whole number from {default} on")
    return int(given)
