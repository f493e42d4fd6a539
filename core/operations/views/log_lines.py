"""The log lines of a deployment, for people."""

from typing import Literal, get_args

from sqlalchemy import select

from qdrant_rollouts.core.answers import deployments as deployment_answers
from qdrant_rollouts.core.database.log_rows import LogLineRow
from qdrant_rollouts.core.deployments.lookup import find_deployment
from qdrant_rollouts.core.operations.choices import check_choice
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso

#: From the least to the most serious. A level means itself and those after it.
Level = Literal["info", "warning", "error"]
LEVELS: tuple[Level, ...] = get_args(Level)


def list_log_lines(
    services: Services, deployment_id: str, level: str = LEVELS[0]
) -> deployment_answers.DeploymentLog:
    """Returns the stored lines of ``level`` and more serious ones, the oldest first. Raises Unknown
    or Refused for an id that fits none or several, Malformed for an unknown level."""
    check_choice("level", level, LEVELS)
    full = find_deployment(services, deployment_id)
    query = (
        select(LogLineRow)
        .where(
            LogLineRow.deployment_id == full,
            LogLineRow.level.in_(LEVELS[LEVELS.index(level) :]),
        )
        .order_by(LogLineRow.id)
    )
    with services.sessions() as session:
        lines = [_describe_line(row) for row in session.scalars(query)]
    return {"deployment_id": full, "lines": lines}


def format_log_line(line: deployment_answers.LogLine) -> str:
    """Returns a line of a file of text. What continues in a next line is indented."""
    text = line["text"].replace("\n", "\n    ")
    return f"{line['at']} {line['level']:<7} {line['process']} {text}"


def _describe_line(row: LogLineRow) -> deployment_answers.LogLine:
    return {
        "at": as_iso(row.at),
        "level": row.level,
        "process": row.process,
        "logger": row.logger,
        "text": row.text,
    }
