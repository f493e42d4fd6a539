"""The checks of ``doctor`` on what the index file declares and the database holds."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

from qdrant_rollouts.beat_schedule import SCHEDULE
from qdrant_rollouts.core.alerts import sent_alerts
from qdrant_rollouts.core.answers.deployments import Deployment
from qdrant_rollouts.core.collections.changes import check_source
from qdrant_rollouts.core.collections.live_source import name_source
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.deployments import places, unclaimed, workers
from qdrant_rollouts.core.deployments.commands.first_records import (
    FIRST,
    FirstRecords,
    check_first_records,
    has_records_to_check,
)
from qdrant_rollouts.core.deployments.commands.specs import (
    check_alias_name,
    check_models,
    live_aliases,
)
from qdrant_rollouts.core.deployments.steps import STEPS
from qdrant_rollouts.core.deployments.workers import Worker
from qdrant_rollouts.core.errors import Busy, Refused, Unavailable
from qdrant_rollouts.core.lifecycle import MOVING, Status
from qdrant_rollouts.core.operations.schedules import queries as schedule_queries
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.ports import FetchedEmbedder
from qdrant_rollouts.core.ports.naming import shell_word
from qdrant_rollouts.core.routing.limited_calls import LimitedCalls
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.check_runner import Findings, run_check
from qdrant_rollouts.interfaces.cli.checkup_refusals import check_judged, check_refusals
from qdrant_rollouts.interfaces.cli.running import UNREACHABLE
from qdrant_rollouts.interfaces.health_checks import (
    STILL_SECONDS,
    Check,
    inspect_sweep,
)
from qdrant_rollouts.wiring import (
    build_read_only,
)

#: Seconds after which a source is no longer waited for.
_SOURCE_SECONDS = 20.0
_BAD_RECORDS = (
    "correct the record, or the text template that names its field; or leave bad records out with "
    "on_bad_record: skip and max_bad_records"
)


def check_contents(settings: Settings, *, rows: bool) -> list[Check]:
    """Checks sources and models even if there are no ``rows`` yet: the first deployment needs
    them."""
    try:
        services, _ = build_read_only(settings, empty=not rows)
    except Refused as error:
        return [Check("database", "warn", str(error), "nothing in it was looked at")]
    declared: dict[str, Callable[[Services], Findings]] = {
        "settings of indexes": check_refusals,
        "sources": _check_sources,
        "models": _check_models,
        "judged queries": check_judged,
    }
    if not settings.embedded:
        # Also without rows, because the first deployment needs workers.
        declared["queues"] = _queues
    written = {
        "clocks": _clocks,
        "deployments": _check_deployments,
        "deletions": _check_deletions,
        "schedules": _check_schedules,
        "alerts": _check_channels,
    }
    looks = declared
    if rows:
        looks = {"sweep": _check_sweep, **declared, **written}
    try:
        found = [
            check
            for name, look in looks.items()
            for check in run_check(name, partial(look, services))
        ]
        return _leave_out_repeated(found)
    finally:
        services.close()


def _leave_out_repeated(checks: Sequence[Check]) -> list[Check]:
    """Two checks of an index may meet the same fault."""
    first: dict[tuple[str, str], Check] = {}
    for check in checks:
        first.setdefault((check.name, check.value), check)
    return list(first.values())


def _check_sweep(services: Services) -> Findings:
    yield inspect_sweep(services)


def _queues(services: Services) -> Findings:
    with services.sessions() as session:
        now = services.clock.now(session)
        roster = workers.list_known_workers(session, now)
    wanted = {step.queue for step in STEPS.values()} | {
        entry["options"]["queue"] for entry in SCHEDULE.values()
    }
    for queue, takers in unclaimed.without_takers(sorted(wanted), roster).items():
        yield _check_queue(queue, takers, now)


def _check_queue(queue: str, takers: Sequence[Worker], now: datetime) -> Check:
    if takers:
        told = ", ".join(
            f"{one.name} {unclaimed.occupation(one, now)}" if one.busy else one.name
            for one in takers
        )
        return Check(f"queue {queue}", "ok", told)
    advice = f"start one: celery -A qdrant_rollouts.tasks worker -Q {queue}"
    return Check(f"queue {queue}", "fail", "no worker answers", advice, UNREACHABLE)


def _clocks(services: Services) -> Findings:
    """Checks the clocks of the workers that answer."""
    with services.sessions() as session:
        roster = workers.list_known_workers(session, services.clock.now(session))
    for worker in roster:
        if worker.answers:
            state, advice = ("warn", unclaimed.CLOCK_NEXT) if worker.clock_is_off else ("ok", "")
            yield Check(f"clock {worker.name}", state, worker.clock_words, advice)


def _check_sources(services: Services) -> Findings:
    """Waits only so long for each source, because a query or a function may take its time for the
    first record."""
    for alias, spec in services.indexes().items():
        name = f"index {alias}"
        try:
            live = live_aliases(services)
            check_alias_name(services, alias, live)
            look = partial(_read_source, services, alias, spec, live)
            found = LimitedCalls().run(look, _SOURCE_SECONDS)
        except TimeoutError:
            value = f"its source gave no record in {_SOURCE_SECONDS:g} s, so it was not checked"
            advice = f"`rollouts plan {shell_word(alias)}` waits until it does"
            yield Check(name, "warn", value, advice)
        except Busy as error:
            yield Check(name, "warn", f"not checked: {error}", "ask again when nothing is deployed")
        except (Refused, Unavailable) as error:
            yield Check(name, "warn", str(error), "deploying it would be refused now")
        else:
            if found is not None:
                yield _describe_records(alias, found)


def _read_source(
    services: Services, alias: str, spec: IndexSpec, live: Mapping[str, str]
) -> FirstRecords | None:
    """Returns what is found in the first records; None if there is nothing to read."""
    if spec.source is None:
        return None
    source = services.source(name_source(spec.source, alias, live))
    check_source(source, spec)
    if not has_records_to_check(source):
        return None
    return check_first_records(services, alias, spec, live, source)


def _describe_records(alias: str, found: FirstRecords) -> Check:
    name = f"records {alias}"
    if not found.acceptable:
        return Check(name, "warn", found.bad, _BAD_RECORDS)
    if not found.read:
        value = f"none could be read in {FIRST.seconds:g} s, so none was checked"
        if found.all_read:
            value = "the source has none"
        return Check(name, "warn", value, f"`rollouts plan {shell_word(alias)}` reads it again")
    told = f"the first {found.read:,} can be deployed"
    if found.all_read:
        told = f"all {found.read:,} can be deployed"
    elif found.read < FIRST.records:
        told += f"; no more were read in {FIRST.seconds:g} s"
    return Check(name, "ok", found.bad or told)


def _check_models(services: Services) -> Findings:
    for alias, spec in services.indexes().items():
        name = f"index {alias}"
        try:
            check_models(services, spec)
        except Refused as error:
            yield Check(name, "warn", str(error), "deploying it would be refused now")
            continue
        try:
            _check_files(services, spec)
        except (Refused, Unavailable) as error:
            advice = "a deployment that is run on this machine would fail: correct that first"
            yield Check(name, "warn", str(error), advice)


def _check_files(services: Services, spec: IndexSpec) -> None:
    """Raises Refused or Unavailable for a model that this machine does not have and cannot get."""
    for model in spec.models:
        embedder = services.embedder(model)
        if isinstance(embedder, FetchedEmbedder):
            embedder.check_files()


def _check_deployments(services: Services) -> Findings:
    rows = queries.list_deployments(services, limit=1000)
    yield from _queue_of_rebuilds(services)
    for row in rows:
        if row["status"] == Status.NEEDS_OPERATOR:
            advice = f"correct it, then `rollouts abort {row['id']}`"
            yield Check(
                f"deployment {row['id']}",
                "warn",
                f"{row['alias']} needs an operator: {row['message']}",
                advice,
            )
        elif row["status"] in MOVING and row["queue"] is None:
            yield _check_turn(queries.get_deployment(services, row["id"]))


def _queue_of_rebuilds(services: Services) -> Findings:
    """Reports the queue of rebuilds. A deployment that waits for a place is not late."""
    with services.sessions() as session:
        building = places.list_taken(session)
        waiting = places.count_waiting(session)
    if waiting:
        taken = ", ".join(one.alias for one in building) or "none"
        value = f"{waiting} wait; {len(building)} build: {taken}"
        yield Check("rebuilds", "ok", value)


def _check_turn(seen: Deployment) -> Check:
    name = f"deployment {seen['id']}"
    where = f"{seen['alias']} is {seen['status']}"
    waits = seen["waits"]
    if waits is None:
        return Check(name, "ok", where)
    state = "warn"
    if waits["cause"] == unclaimed.Cause.BUSY:
        state = "ok"
    return Check(name, state, f"{where}; {waits['text']}", waits["next"])


def _check_deletions(services: Services) -> Findings:
    for row in queries.list_deletions(services, limit=1000):
        late = screen.seconds_since(row["delete_after"])
        if row["finished_at"] is None and late > STILL_SECONDS:
            value = f"{row['collection']} was due {screen.format_span(late)} ago"
            advice = "it waits for running time, or no process runs: see runner and queues. "
            yield Check("deletion", "warn", value, advice + row["text"])


def _check_schedules(services: Services) -> Findings:
    for seen in schedule_queries.list_schedules(services, limit=1):
        name = f"schedule {seen['alias']} {seen['action']}"
        last = next(iter(seen["runs"]), None)
        late = 0.0
        if seen["next_at"]:
            late = screen.seconds_since(seen["next_at"])
        if late > STILL_SECONDS:
            value = f"was due {screen.format_span(late)} ago"
            yield Check(
                name,
                "warn",
                value,
                "no process sweeps: start `rollouts up`, or beat and the workers",
            )
        elif last is not None and last["status"] == "failed":
            yield Check(
                name,
                "warn",
                f"the last run failed: {last['message']}",
                "correct that; it runs again by itself",
            )
        elif seen["status"] == "on":
            yield Check(name, "ok", f"next at {seen['next_at']}")


def _check_channels(services: Services) -> Findings:
    """Reports each channel whose latest delivery failed."""
    latest: dict[str, str] = {}
    for row in sent_alerts.list_alerts(services, limit=1000):
        for told in row["deliveries"]:
            if told["tries"]:
                latest.setdefault(told["channel"], told["error"])
    for channel, error in latest.items():
        if error:
            advice = (
                f"correct it, then `rollouts alert test {channel}`; `rollouts alert list` has what "
                "waits"
            )
            yield Check(f"channel {channel}", "warn", error, advice)
