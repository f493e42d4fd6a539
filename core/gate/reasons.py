"""Why a report did not pass, in one sentence: what decided it, with its figures, and what to do.

Rule: everything that says why a version is not live says it with this sentence.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from qdrant_rollouts.core.answers.deployments import Check

#: Between the cause and what to do about it.
NEXT = ". Next: "
#: At the end of the detail of a row that cannot tell and need not.
ACCEPTED = "; accepted by the index file"


def list_failed_checks(report: Mapping[str, Any]) -> list[Check]:
    """Returns the rows because of which the gate did not pass, the one that decided it first: what
    blocks before what cannot tell."""
    rows: list[Check] = [
        row
        for row in report["checks"]
        if row["verdict"] != "pass" and row.get("level", "hard") != "shown"
    ]
    return sorted(rows, key=_rank_row)


def _rank_row(row: Check) -> tuple[bool, bool, bool]:
    accepted = str(row["detail"]).endswith(ACCEPTED)
    return accepted, row["verdict"] != "block", row.get("level", "hard") != "hard"


def describe_reasons(report: Mapping[str, Any]) -> str:
    """Describes the check that decided, the cause if the report knows one, which others did not
    pass, and what to do."""
    rows = list_failed_checks(report)
    if not rows:
        return "no check decided"
    first, *others = rows
    parts = [_describe_row(first), _describe_losses(report.get("attribution") or {})]
    if others:
        parts.append(f"{_name_others(others)} did not pass either")
    said = "; ".join(filter(None, parts))
    act = str(first.get("act") or "")
    return f"{said}{NEXT}{act}" if act else said


def _describe_row(row: Check) -> str:
    """Reports of an older release have only figures, and some rows have no bound."""
    found = str(row.get("found") or "").removesuffix(".")
    bound = ""
    if row["bound"] is not None:
        bound = f" against {_format_number(row['bound'])}"
    figures = f"{row['name']} {_format_number(row['value'])}{bound}"
    if not found:
        return f"{figures} ({row['detail']}, n={row['n']})"
    return f"{found} ({figures}, n={row['n']})"


def _describe_losses(found: Mapping[str, Any]) -> str:
    if not found.get("cause"):
        return ""
    lost = ", ".join(f"{name} {value:+.3f}" for name, value in found["lost"].items())
    return f"most was lost because of the {found['cause']} ({found['measure']}: {lost})"


def _name_others(rows: Sequence[Check]) -> str:
    names = [str(row["name"]) for row in rows]
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _format_number(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:.4g}"
