"""The list of indexes on the home page: searched, narrowed, ordered, grouped, and cut into pages.

Rule: of all indexes a few columns are read, and of those on the page everything. So the number of
queries does not depend on how many there are, nor on what is asked for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.answers import indexes as index_answers
from qdrant_rollouts.core.answers.deployments import DeploymentOutline
from qdrant_rollouts.core.database.models import AliasState, Deployment, Version
from qdrant_rollouts.core.database.schedule_rows import ACTOR, Schedule
from qdrant_rollouts.core.operations.schedules.declared import overlay_declared, start_of
from qdrant_rollouts.core.operations.views.overview import home_choice
from qdrant_rollouts.core.operations.views.overview.home import describe_outages
from qdrant_rollouts.core.operations.views.overview.home_choice import (
    PAGE_SIZE,
    Block,
    Group,
    HomeChoice,
    LightRow,
)
from qdrant_rollouts.core.operations.views.overview.index_rows import describe_indexes
from qdrant_rollouts.core.operations.views.overview.ranking import (
    IS_ENDED,
    Ranked,
    join_newest,
    rank_indexes,
)
from qdrant_rollouts.core.operations.views.overview.store_snapshot import StoreSnapshot
from qdrant_rollouts.core.operations.views.paging import find_place
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso

PageData = dict[str, Any]
#: Indexes that need attention and are named before the list; the others are counted.
CALLING = 5


def describe_home_page(services: Services, seen: StoreSnapshot, asked: HomeChoice) -> PageData:
    """Returns what calls for somebody, the chosen page of the list, and the counts of what may be
    chosen."""
    with services.sessions() as session:
        now = services.clock.now(session)
        ranked = rank_indexes(session, seen)
        found = [
            row
            for row in _read_light_rows(session, now, seen, ranked, asked)
            if row.contains(asked.text)
        ]
        narrowed = [row for row in found if not asked.state or row.is_in(asked.state)]
        place = find_place(asked.page, len(narrowed), PAGE_SIZE)
        blocks = home_choice.cut_page(_group(narrowed, asked), place.page)
        calling = [] if asked.narrows else ranked.calling[:CALLING]
        listed = [alias for block in blocks for alias in block.aliases]
        wanted = list(dict.fromkeys([*calling, *listed]))
        described = describe_indexes(services, session, now, seen, ranked, wanted)
    by_alias = {one["alias"]: one for one in described}
    return {
        "now": as_iso(now),
        "calling": [by_alias[alias] for alias in calling],
        "blocks": [_describe_block(block, by_alias) for block in blocks],
        "counts": {"": len(found), **home_choice.count_states(found)},
        "total": len(ranked.ranks),
        "attention": len(ranked.calling),
        "place": place,
        **describe_outages(seen),
    }


def count_calling(services: Services, seen: StoreSnapshot) -> int:
    """Returns how many indexes need attention."""
    with services.sessions() as session:
        return len(rank_indexes(session, seen).calling)


def _group(rows: Iterable[LightRow], asked: HomeChoice) -> list[Group]:
    ordered = home_choice.order_rows(rows, asked.sort)
    if asked.group:
        return home_choice.group_rows(ordered)
    return [Group("", ordered)]


def _describe_block(block: Block, by_alias: Mapping[str, index_answers.Index]) -> PageData:
    rows = [{**by_alias[alias], "ended": describe_end(by_alias[alias])} for alias in block.aliases]
    return {**asdict(block), "indexes": rows}


def describe_end(index: index_answers.Index) -> PageData | None:
    """Returns how the last rebuild ended, and why it did not go live. A scheduled run that started
    nothing, because it was refused or nothing had changed, counts if it is the newest."""
    last = index["last"]
    run = index["rebuild"]["last_run"] if index["rebuild"] is not None else None
    if run is not None and _is_last(run, last):
        return {
            "status": run["status"],
            "at": run["finished_at"],
            "why": run["message"],
            "actor": ACTOR,
            "link": "/schedules",
        }
    if last is None:
        return None
    return {
        "status": last["status"],
        "at": last["finished_at"],
        "why": last["why"],
        "actor": last["actor"],
        "link": f"/deployments/{last['id']}",
    }


def _is_last(run: index_answers.LastRun, last: DeploymentOutline | None) -> bool:
    if run["deployment_id"] is not None:
        return False
    return last is None or (run["finished_at"] or "") > (last["finished_at"] or "")


# --- what is read of all indexes ------------------------------------------------------------------


def _read_light_rows(
    session: Session, now: datetime, seen: StoreSnapshot, ranked: Ranked, asked: HomeChoice
) -> list[LightRow]:
    facts = {}
    if asked.text or asked.sort in ("since", "points"):
        facts = _read_facts(session)
    values = _read_values(session, now, seen, facts, asked.sort)
    return [
        LightRow(
            alias,
            rank,
            alias in ranked.running,
            ranked.live.get(alias),
            facts.get(alias, _NO_FACTS)["model"] or "",
            values.get(alias),
        )
        for alias, rank in ranked.ranks.items()
    ]


def _read_values(
    session: Session,
    now: datetime,
    seen: StoreSnapshot,
    facts: Mapping[str, PageData],
    sort: str,
) -> Mapping[str, Any]:
    """Returns the values of the chosen order, by alias, as far as they are known."""
    if sort in ("since", "points"):
        return {alias: one[sort] for alias, one in facts.items()}
    if sort == "last":
        return _read_last_ends(session)
    if sort == "next":
        return _read_next_starts(session, now, seen)
    return {}


_NO_FACTS: PageData = {"model": None, "points": None, "since": None}


def _read_facts(session: Session) -> dict[str, PageData]:
    """Returns the model, the points and the time since when it serves, of each index that was set
    to a version that is known."""
    of_version = Version.facts
    query = select(
        AliasState.alias,
        AliasState.changed_at,
        of_version["model"].as_string().label("model"),
        of_version["points"].as_string().label("points"),
        of_version["served", "since"].as_string().label("since"),
    ).outerjoin(Version, AliasState.desired == Version.collection)
    return {
        row.alias: {
            "model": row.model,
            "points": None if row.points is None else int(row.points),
            "since": row.since or as_iso(row.changed_at),
        }
        for row in session.execute(query.where(AliasState.desired.is_not(None)))
    }


def _read_last_ends(session: Session) -> dict[str, str | None]:
    columns: Any = select(Deployment.alias, Deployment.finished_at)
    query = join_newest(columns, *IS_ENDED)
    return {alias: as_iso(ended) for alias, ended in session.execute(query)}


def _read_next_starts(
    session: Session, now: datetime, seen: StoreSnapshot
) -> dict[str, str | None]:
    rows = session.scalars(select(Schedule).where(Schedule.action == "rebuild"))
    return {
        row.alias: as_iso(start_of(row))
        for row in overlay_declared(rows, seen.declared, now)
        if row.action == "rebuild" and not row.paused_by
    }
