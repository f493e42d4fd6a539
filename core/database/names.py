"""Names of events and alerts: words with dots between them, such as ``deployment.live``."""

from typing import Any

from sqlalchemy import ColumnElement, or_


def match_name(column: Any, name: str) -> ColumnElement[bool]:
    """Whether the column's name is ``name``, or begins with it and a dot."""
    return or_(column == name, column.startswith(f"{name}.", autoescape=True))
