"""Rows of the previous release, and rows that the next one might write: this release reads both,
because during an upgrade all of them work on the same rows."""

import json
import sqlite3
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import JSON, select
from starlette.testclient import TestClient

from qdrant_rollouts.core.alerts import deliveries
from qdrant_rollouts.core.alerts.outbox import read_notice
from qdrant_rollouts.core.collections import manifests
from qdrant_rollouts.core.collections.manifests import Manifest
from qdrant_rollouts.core.collections.stamps import STAMP_KEY, Stamp
from qdrant_rollouts.core.config.experiment_spec import ArmSpec, ExperimentSpec, MetricSpec
from qdrant_rollouts.core.config.index_file import IndexSpec, RebuildSpec, ScheduleSpec
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.database.alert_rows import NoticeRow
from qdrant_rollouts.core.database.experiment_rows import SketchRow
from qdrant_rollouts.core.database.models import Base, Deployment, RouteRow, TrafficRow
from qdrant_rollouts.core.database.schedule_rows import Schedule
from qdrant_rollouts.core.database.stored_json import read_stored, read_stored_dataclass
from qdrant_rollouts.core.deployments import engine
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.experiments import folding, interim_analysis
from qdrant_rollouts.core.operations.schedules import sweep
from qdrant_rollouts.core.operations.views import metrics as census
from qdrant_rollouts.core.ports import AlertChannel
from qdrant_rollouts.core.ports.messages import Severity
from qdrant_rollouts.core.routing import table, traffic
from qdrant_rollouts.core.statistics.team_draft import Draft, Place
from qdrant_rollouts.core.statistics.traffic_sketch import LatencyGrid, TrafficSketch
from qdrant_rollouts.interfaces.http.api import ENDPOINTS, PREFIX
from qdrant_rollouts.interfaces.http.app import make_app
from tests.world import World

FROZEN = sorted((Path(__file__).parents[1] / "frozen").glob("*.sql"))
PAGES = (
    "/",
    "/indexes/docs",
    "/indexes/docs/ask",
    "/indexes/docs/judged",
    "/deployments",
    "/deployments/{deployment}",
    "/schedules",
    "/alerts",
    "/events",
)
NEW = "of_another_release"
#: Where a model stands in the JSON of a row: from there on its keys are known, and the next release
#: may add one.
PLACES = {
    ("deployments", "spec"): [
        (),
        *(
            ("soak",),
            ("canary",),
            ("canary", "breakers"),
            ("canary", "stages", 0),
            ("retention",),
            ("embedding",),
        ),
        *(
            ("collection",),
            ("rebuild",),
            ("validation",),
            ("validation", "samples"),
            ("validation", "checks", "overlap"),
        ),
    ],
    ("experiments", "spec"): [(), ("arms", 0), ("metrics", 0)],
    ("steps", "arguments"): [()],
    ("routes", "arms"): [(0,)],
    ("experiments", "stages"): [(0,)],
}


@pytest.fixture(params=FROZEN, ids=lambda file: file.stem)
def database(request, tmp_path):
    """A database as that release left it."""
    file = tmp_path / "state.db"
    with sqlite3.connect(file) as connection:
        connection.executescript(request.param.read_text(encoding="utf-8"))
    connection.close()
    return file


def opened(database):
    """This release at work on it; nobody has taken its alerts yet."""
    world = World(database.parent, f"sqlite:///{database}")
    world.clock.moment = datetime(2026, 11, 2, 3, 0, tzinfo=UTC)
    world.taken = []
    for name in ("dead", "inbox"):
        world.channels[name] = AlertChannel(name, Severity.INFO, world.taken.append)
    return world


@pytest.fixture
def world(database):
    made = opened(database)
    yield made
    made.close()


def json_columns():
    for one in Base.metadata.sorted_tables:
        for column in one.columns:
            if isinstance(column.type, JSON):
                yield one.name, column.name


def change(database, how):
    """Every JSON value of the database, as ``how(table, column, value)`` makes it."""
    with sqlite3.connect(database) as connection:
        for name, column in json_columns():
            if column not in [one[1] for one in connection.execute(f"PRAGMA table_info({name})")]:
                continue  # which that release did not have yet
            found = connection.execute(f"SELECT DISTINCT {column} FROM {name}").fetchall()  # noqa: S608
            for (text,) in found:
                if text is not None:
                    changed = json.dumps(how(name, column, json.loads(text)))
                    connection.execute(
                        f"UPDATE {name} SET {column} = ? WHERE {column} = ?",  # noqa: S608
                        (changed, text),
                    )
    connection.close()


def at(value, path):
    for part in path:
        there = isinstance(value, list) or part in value
        value = value[part] if value and there and value[part] is not None else None
        if value is None:
            return None
    return value


def newer(name, column, value):
    """With keys that this release does not know, wherever a model or an object of ours stands."""
    for path in PLACES.get((name, column), [()]):
        found = at(value, path)
        if isinstance(found, dict):
            found[NEW] = {"a": [1]}
    return value


def older(name, column, value):
    """Without what has a default, and so may have come later."""
    if (name, column) == ("deployments", "spec"):
        return _without_defaults(IndexSpec, value)
    if (name, column) == ("experiments", "spec"):
        arms = [_without_defaults(ArmSpec, arm) for arm in value["arms"]]
        metrics = [_without_defaults(MetricSpec, metric) for metric in value["metrics"]]
        return {**_without_defaults(ExperimentSpec, value), "arms": arms, "metrics": metrics}
    if name == "schedules":
        return _without_defaults(RebuildSpec, value)
    if column == "message":
        return {
            key: part
            for key, part in value.items()
            if key not in ("value", "bound", "next", "deployment_id")
        }
    if column == "tally":
        return {key: part for key, part in value.items() if key in ("cells", "failed")}
    return {} if column == "facts" else value


def _without_defaults(model, value):
    return {
        key: part
        for key, part in value.items()
        if key not in model.model_fields or _is_needed(model, key)
    }


def _is_needed(model, key):
    return model.model_fields[key].is_required() or key in (
        "source",
        "embedding",
        "canary",
        "goal",
        "kind",
    )


def names(world):
    with world.services.sessions() as session:
        found = session.scalars(select(Deployment).where(Deployment.alias == "docs")).all()
    return {
        "alias": "docs",
        "deployment": found[-1].id,
        "experiment": "colours",
        "action": "rebuild",
        "backup": "b",
    }


def look_at_everything(world):
    """Every look that a person or a program has, with the answer 200, and all that is done in the
    background."""
    given = names(world)
    wrong = {}
    app = make_app(world.services, Settings())
    with TestClient(
        app, base_url="http://localhost", client=("127.0.0.1", 5), raise_server_exceptions=False
    ) as client:
        looks = [
            one.path for one in ENDPOINTS if one.method == "GET" and "{backup}" not in one.path
        ]
        asked = {
            "/indexes/{alias}/diff": "?one=1&other=2",
            "/indexes/{alias}/compare-answers": "?query=python",
        }
        for path in [*(PREFIX + look + asked.get(look, "") for look in looks), *PAGES]:
            answer = client.get(path.format(**given))
            # There are no collections to compare.
            if answer.status_code != 200 and not any(look in path for look in asked.values()):
                wrong[path] = answer.text[:300]
    assert wrong == {}
    assert table.current_route(world.services, "docs").version > 0
    assert census.read_metrics(world.services)
    deliveries.deliver_due(world.services)
    sweep.sweep_schedules(world.services)
    interim_analysis.check_due_experiments(world.services)
    folding.fold_sketches(world.services)


def test_there_are_rows_of_a_release():
    assert FROZEN


def test_rows_of_the_release_before_are_read(world):
    look_at_everything(world)
    assert len(world.taken) >= 30


@pytest.mark.parametrize("how", [newer, older])
def test_rows_of_a_release_that_knows_more_or_less_are_read(database, how):
    change(database, how)
    world = opened(database)
    try:
        look_at_everything(world)
        assert len(world.taken) >= 30
        assert all(one.text for one in world.taken)
    finally:
        world.close()


def test_both_releases_see_the_same_schedule_in_the_index_file(database):
    """Else each sweep of one would undo what a person has set, and the next one of the other."""
    change(
        database,
        lambda name, column, value: newer(name, column, value) if name == "schedules" else value,
    )
    world = opened(database)
    world.declare("docs", source="jsonl:docs.jsonl", rebuild="0 2 * * *")
    with world.services.sessions.begin() as session:
        row = session.scalars(select(Schedule).where(Schedule.alias == "docs")).one()
        row.spec = {**row.spec, "cron": "0 5 * * *"}
    sweep.take_over_declared(world.services)
    with world.services.sessions() as session:
        row = session.scalars(select(Schedule).where(Schedule.alias == "docs")).one()
    assert row.spec["cron"] == "0 5 * * *"
    assert NEW in row.declared
    world.close()


def test_sums_of_the_next_release_outlive_a_fold_by_this_one(database):
    def counted(name, column, value):
        return {**value, "refused": 3, "shape": {"a": 1}} if column == "tally" else value

    change(database, counted)
    world = opened(database)
    with world.services.sessions() as session:
        before = session.query(TrafficRow).count(), session.query(SketchRow).count()
        calls = sum(
            TrafficSketch.from_json(row.tally).calls for row in session.scalars(select(TrafficRow))
        )
    world.clock.move(30 * 86_400)
    traffic.fold_traffic(world.services)
    with world.services.sessions() as session:
        rows = session.scalars(select(TrafficRow)).all()
        assert sum(row.tally["refused"] for row in rows) == 3 * before[0]
        assert sum(TrafficSketch.from_json(row.tally).calls for row in rows) == calls
    assert len(rows) < before[0]
    world.close()


# --- one at a time --------------------------------------------------------------------------------


WHOLE = {
    "cells": [[1, 2], [100, 101], [3, 4]],
    "failed": [[1], [1]],
    "nothing": [[2], [1]],
    "seconds": 0.5,
    "embedding": 0.25,
    "embedded": 2,
    "fallbacks": 1,
    "anonymous": 2,
    "pairs": 1,
    "overlap": 0.9,
    "overlap_squares": 0.81,
    "log_ratio": 0.1,
    "log_ratio_squares": 0.01,
}


def test_a_tally_is_read_as_it_was_written():
    assert TrafficSketch.from_json(WHOLE).to_json() == WHOLE


@pytest.mark.parametrize("name", WHOLE)
def test_a_tally_without_a_sum_has_nothing_there(name):
    read = TrafficSketch.from_json({key: value for key, value in WHOLE.items() if key != name})
    lacking = read.to_json()
    assert lacking == {**WHOLE, name: TrafficSketch().to_json()[name]}
    total = TrafficSketch()
    total.merge(read)
    assert total.condense().to_json().keys() == WHOLE.keys()


def test_a_tally_keeps_the_sums_it_does_not_know():
    total = TrafficSketch()
    for _ in range(2):
        total.merge(
            TrafficSketch.from_json(
                {**WHOLE, "refused": 3, "waited": 0.25, "note": "x", "more": [1]}
            )
        )
    written = total.condense().to_json()
    assert (written["refused"], written["waited"]) == (6, 0.5)
    assert not {"note", "more"} & written.keys()


def test_a_grid_takes_a_tally_without_cells():
    grid = LatencyGrid()
    grid.add({})
    grid.add(WHOLE)
    assert grid.calls == 7


def test_a_draft_of_the_next_release_is_read():
    draft = Draft((Place("a", "control", False), Place(2, "treatment", True)), triggered=True)
    written = json.loads(json.dumps(draft.to_json()))
    assert Draft.from_json(written) == draft
    longer = {**written, "places": [[*place, 0.5] for place in written["places"]], NEW: 1}
    assert Draft.from_json(longer) == draft


def test_an_alert_of_a_severity_that_is_not_known_is_told_as_an_error(world):
    with world.services.sessions() as session:
        message = session.scalars(select(NoticeRow)).first().message
    assert read_notice({**message, "severity": "critical", NEW: 1}).severity == Severity.ERROR


def test_a_manifest_with_more_is_read_and_one_with_less_is_refused_by_name():
    manifest = Manifest("b1", "docs", "docs_1", 1, "", "anna", "", "1.16", {}, {}, 1, 1, [], [], {})

    def sealed(**changes):
        content = {
            name: value
            for name, value in {**asdict(manifest), **changes}.items()
            if value is not Ellipsis
        }
        return json.dumps({**content, "seal": manifests._seal_of(content)})

    assert Manifest.of(sealed(**{NEW: 1}), "b1") == manifest
    with pytest.raises(Refused, match=r"backup b1: Manifest cannot be read \(low missing\)"):
        Manifest.of(sealed(low=...), "b1")


def test_a_stamp_with_more_and_a_stamp_with_less_are_read():
    content = {"deployment": "d", "alias": "docs", "number": 1, NEW: 1}
    assert Stamp.of({STAMP_KEY: content}) == Stamp("d", "docs", 1)
    embedding = {"model": "hashing:8", "text": "{text}", NEW: 1}
    assert Stamp.of({STAMP_KEY: {**content, "embedding": embedding}}).spec.model == "hashing:8"


def test_a_row_is_read_where_a_person_would_be_refused():
    content = {"cron": "0 2 * * *", NEW: 1}
    assert read_stored(ScheduleSpec, content) == ScheduleSpec(cron="0 2 * * *")
    with pytest.raises(ValidationError):
        ScheduleSpec.model_validate(content)


def test_a_canary_of_the_release_before_keeps_its_rules():
    before = {"breakers": {"mean_latency_ms": 200.0}, "min_searches": 200}
    found = read_stored(IndexSpec, {"canary": before}).canary
    assert (found.undecided, found.breakers.times_blue) == ("pause", 0)
    now = IndexSpec().canary
    assert (now.undecided, now.breakers.times_blue) == ("proceed", 1.5)
    assert read_stored(IndexSpec, IndexSpec().model_dump(mode="json")).canary == now


def test_what_cannot_be_read_is_left_to_a_process_that_can():
    with pytest.raises(Unavailable, match=r"ScheduleSpec cannot be read .misfire"):
        read_stored(ScheduleSpec, {"cron": "0 2 * * *", "misfire": "thrice"})
    with pytest.raises(Unavailable, match="document, team missing"):
        read_stored_dataclass(Place, {"credited": True})


def test_a_route_of_the_next_release_still_leads_to_its_arms(database):
    change(database, newer)
    world = opened(database)
    with world.services.sessions() as session:
        arms = session.scalars(
            select(RouteRow.arms).where(RouteRow.experiment_id.is_not(None))
        ).one()
    assert NEW in arms[0]
    route = table.current_route(world.services, "shop")
    assert {route.variant(bucket) for bucket in range(0, 10_000, 100)} == {"control", "treatment"}
    world.close()


# --- words of the next release --------------------------------------------------------------------


#: Every column whose words this program has a list of.
WORDS = [
    *(("deployments", name) for name in ("status", "strategy", "kind", "paused_for", "requested")),
    *(("steps", name) for name in ("name", "queue", "status")),
    ("deletions", "status"),
    ("experiments", "status"),
    ("schedules", "action"),
    ("schedule_runs", "status"),
    ("alert_notices", "what"),
    ("alert_conditions", "what"),
    ("alert_deliveries", "status"),
    ("events", "event"),
]


@pytest.mark.parametrize(("table", "column"), WORDS, ids=".".join)
def test_a_word_of_the_next_release_is_shown_and_stops_nothing(database, table, column):
    """In the newest row alone, as when the next release has begun something."""
    with sqlite3.connect(database) as connection:
        newest = f"(SELECT max(rowid) FROM {table})"  # noqa: S608 - our own
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = {newest}", (NEW,))  # noqa: S608
    connection.close()
    world = opened(database)
    try:
        look_at_everything(world)
        engine.knock_overdue_turns(world.services)
    finally:
        world.close()
