"""Interleaved lists that were served, the clicks on them, and their sums.

Rule: a list is stored as it was first served, and only for exposed users; repeated clicks on a
document count once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database import upserts
from qdrant_rollouts.core.database.experiment_rows import Click, ExposureRow, Impression
from qdrant_rollouts.core.routing.exposures import Person, ServedList


@dataclass(frozen=True, slots=True)
class Votes:
    """Users who prefer the treatment, the control, and neither, among those whose windows have
    ended."""

    wins: int
    losses: int
    ties: int


def write_lists(session: Session, lists: Mapping[tuple[Person, str], ServedList]) -> None:
    """Adds what was served; the exposures of these users are already stored."""
    rows = []
    for (person, query_id), served in lists.items():
        exposed = session.get(ExposureRow, (person.experiment_id, person.unit))
        if exposed is not None:
            key = {"experiment_id": person.experiment_id, "query_id": query_id}
            rows.append(
                {**key, "unit": person.unit, "served": served, "closes_at": exposed.closes_at}
            )
    upserts.insert_new(session, Impression, rows)


def find_list(session: Session, experiment_id: str, query_id: str) -> Impression | None:
    return session.get(Impression, (experiment_id, query_id))


def count_click(session: Session, seen: Impression, document: str) -> bool:
    """Counts a click; returns False if this document of this list was clicked before. Raises
    KeyError for a document that is not in the list."""
    credit = {str(shown): whose for shown, whose, *_ in seen.served}[document]
    row = {
        "experiment_id": seen.experiment_id,
        "query_id": seen.query_id,
        "document": document,
        "unit": seen.unit,
        "credit": credit,
        "closes_at": seen.closes_at,
    }
    return upserts.insert_if_new(session, Click, row)


def count_votes(session: Session, experiment_id: str, at: datetime) -> Votes:
    """The vote of a list is the sign of its clicks' credits; the vote of a user is the sign of
    their lists' votes (section 10.6)."""
    ended = Click.experiment_id == experiment_id, Click.closes_at <= at
    lists = select(Click.unit, _sign_of_sum(func.sum(Click.credit)).label("vote")).where(*ended)
    by_list = lists.group_by(Click.unit, Click.query_id).subquery()
    by_user = (
        select(_sign_of_sum(func.sum(by_list.c.vote)).label("vote"))
        .group_by(by_list.c.unit)
        .subquery()
    )
    query = select(by_user.c.vote, func.count()).group_by(by_user.c.vote)
    found: dict[int, int] = {vote: users for vote, users in session.execute(query)}  # noqa: C416 - rows are no pairs to mypy
    exposed = ExposureRow.experiment_id == experiment_id, ExposureRow.closes_at <= at
    users = session.scalar(select(func.count()).select_from(ExposureRow).where(*exposed)) or 0
    wins = found.get(1, 0)
    losses = found.get(-1, 0)
    return Votes(wins, losses, users - wins - losses)


def _sign_of_sum(number: ColumnElement[int]) -> ColumnElement[int]:
    return case((number > 0, 1), (number < 0, -1), else_=0)
