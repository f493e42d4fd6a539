"""The log lines of a deployment: on its page, and as a file."""

from starlette.responses import Response

from qdrant_rollouts.core.operations.views import log_lines
from qdrant_rollouts.interfaces.http.pages.rendering import Shown, download_text
from qdrant_rollouts.interfaces.http.pages.visits import Visit

#: Log lines on a page; the file has all.
_MOST_LINES = 200


def show_log(visit: Visit, deployment_id: str) -> Shown:
    """``asked``: the address asks for a level, so the section is open."""
    asked = visit.query_value("level")
    level = asked or log_lines.LEVELS[0]
    lines = log_lines.list_log_lines(visit.services, deployment_id, level)["lines"]
    return {
        "level": level,
        "levels": log_lines.LEVELS,
        "asked": bool(asked),
        "total": len(lines),
        "lines": lines[-_MOST_LINES:],
    }


def download_log(visit: Visit) -> Response:
    """Returns the same lines, all of them, as a file of text."""
    level = visit.query_value("level") or log_lines.LEVELS[0]
    found = log_lines.list_log_lines(visit.services, visit.request.path_params["id"], level)
    text = "".join(f"{log_lines.format_log_line(line)}\n" for line in found["lines"])
    return download_text(text, f"{found['deployment_id']}.log.txt", "text/plain")
