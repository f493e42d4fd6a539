"""The checks of a gate, in the groups and with the signs that its page shows."""

from qdrant_rollouts.interfaces.http.pages.rendering import Shown


def group_checks(gate: Shown) -> dict[str, list[Shown]]:
    """Returns the gate's checks: those that did not pass, the worst first; those that passed; those
    that decide nothing. Rows of an older release have fewer keys."""
    blank = {"level": "hard", "found": "", "means": "", "act": ""}
    rows = [{**blank, **check} for check in gate["checks"]]
    deciding = [row for row in rows if row["level"] != "shown"]
    stopped = [row for row in deciding if row["verdict"] != "pass"]
    return {
        "stopped": sorted(stopped, key=lambda row: row["verdict"] != "block"),
        "passed": [row for row in deciding if row["verdict"] == "pass"],
        "shown": [row for row in rows if row["level"] == "shown"],
    }


def find_bound_side(check: Shown) -> str:
    """Returns on which side of its bound a check's value must be, according to its detail."""
    found = check["detail"].removeprefix("shown, no bound in the index file; ")
    if "low >= bound" in found or found.startswith("at least"):
        return "≥"
    if "high <= bound" in found or "at most" in found:
        return "≤"
    return ""
