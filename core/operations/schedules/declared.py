"""What the index file says about schedules, compared with the rows; this module writes nothing."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from qdrant_rollouts.core.config.cron import next_time
from qdrant_rollouts.core.config.index_file import IndexSpec, RebuildSpec, ScheduleSpec
from qdrant_rollouts.core.database.schedule_rows import Schedule
from qdrant_rollouts.core.database.stored_json import read_stored

#: The keys of ``core.operations.schedules.actions.ACTIONS``, for code that only reads and runs no
#: action.
ACTION_NAMES = ("rebuild", "verify", "backup")

ScheduleKey = tuple[str, str]
DeclaredSpec = dict[str, object] | None


def find_changed_specs(
    indexes: Mapping[str, IndexSpec], known: Mapping[ScheduleKey, DeclaredSpec]
) -> dict[ScheduleKey, DeclaredSpec]:
    """Returns what the file now says about an alias and action, if it differs from ``known``. A
    file that declares nothing at all withdraws nothing: this process may not see the right file."""
    if not indexes:
        return {}
    said = {
        (alias, action): _declared_spec(spec, action)
        for alias, spec in indexes.items()
        for action in ACTION_NAMES
    }
    before = {key: normalize_spec(spec, key[1]) for key, spec in known.items()}
    return {
        key: said.get(key) for key in sorted({*said, *before}) if said.get(key) != before.get(key)
    }


def find_spec_type(action: str) -> type[ScheduleSpec]:
    """Returns the settings that a schedule of this action has."""
    return RebuildSpec if action == "rebuild" else ScheduleSpec


def normalize_spec(spec: DeclaredSpec, action: str) -> dict[str, Any] | None:
    """Returns a row's spec as this release would write it. Otherwise two releases that run side by
    side would each take the other's rows for a change of the index file."""
    if not spec:
        return None
    return read_stored(find_spec_type(action), spec).model_dump(mode="json")


def overlay_declared(
    rows: Iterable[Schedule], indexes: Mapping[str, IndexSpec], now: datetime
) -> list[Schedule]:
    """Returns the rows as they will be after the next sweep, by alias and action."""
    found = {(row.alias, row.action): row for row in rows}
    told = find_changed_specs(indexes, {key: row.declared for key, row in found.items()})
    found |= {key: row_as_declared(found.get(key), key, said, now) for key, said in told.items()}
    return [found[key] for key in sorted(found)]


def row_as_declared(
    row: Schedule | None, key: ScheduleKey, wanted: DeclaredSpec, now: datetime
) -> Schedule:
    """Returns the row as the next sweep will write it; it belongs to no session."""
    seen = Schedule(alias=key[0], action=key[1], spec=wanted, declared=wanted, reason="")
    if row is not None:
        seen.id = row.id
        seen.paused_by = row.paused_by
        seen.reason = row.reason
    if row is not None and has_same_times(row.spec, wanted):
        seen.next_at = row.next_at
        seen.waiting_since = row.waiting_since
    else:
        start_waiting(seen, now)
    return seen


def has_same_times(one: DeclaredSpec, other: DeclaredSpec) -> bool:
    return bool(one and other and describe_times(one) == describe_times(other))


def describe_times(spec: DeclaredSpec) -> str:
    if not spec:
        return "off"
    found = read_stored(ScheduleSpec, spec)
    return f"{found.cron} in {found.zone}"


def start_waiting(row: Schedule, now: datetime) -> None:
    row.waiting_since = now
    spec = None
    if row.spec:
        spec = read_stored(ScheduleSpec, row.spec)
    row.next_at = next_time(spec.cron, spec.zone, now) if spec else None


def status_of(row: Schedule) -> Literal["on", "paused", "off"]:
    """``off``: no times are declared any more."""
    if row.spec is None:
        return "off"
    return "paused" if row.paused_by else "on"


def start_of(row: Schedule) -> datetime | None:
    """Returns when the next run begins: after its nominal time by the jitter."""
    if row.next_at is None or row.spec is None:
        return None
    return begins(read_stored(ScheduleSpec, row.spec), row.alias, row.next_at)


def begins(spec: ScheduleSpec, alias: str, nominal: datetime) -> datetime:
    """Returns the start for a time: always the same for an index and a time, in every process;
    whole seconds."""
    if not spec.jitter_minutes:
        return nominal
    drawn = hashlib.sha256(f"{alias} {nominal.astimezone(UTC):%Y-%m-%dT%H:%M:%S}".encode()).digest()
    share = int.from_bytes(drawn[:8]) / 2**64
    return nominal + timedelta(seconds=int(share * spec.jitter_minutes * 60))


def _declared_spec(spec: IndexSpec, action: str) -> DeclaredSpec:
    found = getattr(spec, action)
    return found.model_dump(mode="json") if found is not None else None
