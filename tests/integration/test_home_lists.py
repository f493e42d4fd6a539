"""Two hundred indexes with a thousand deployments: each way to narrow and order the list of the
home page, on both databases, and what it reads for that."""

from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import event, select, text
from starlette.testclient import TestClient

from qdrant_rollouts.core.alerts.outbox import Alert, record_alert
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.database.models import AliasState, Base, Version
from qdrant_rollouts.core.database.schedule_rows import Schedule, ScheduleRun
from qdrant_rollouts.core.lifecycle import RunStatus
from qdrant_rollouts.core.operations.views.overview.calling_count import CallingCount
from qdrant_rollouts.core.operations.views.overview.home_choice import SORTS, STATES, HomeChoice
from qdrant_rollouts.core.operations.views.overview.home_page import describe_home_page
from qdrant_rollouts.core.operations.views.overview.store_snapshot import StoreSnapshot
from qdrant_rollouts.core.operations.views.paging import Place
from qdrant_rollouts.interfaces.http.app import make_app
from tests import crowds
from tests.world import World

#: These serve; ten more are filled for the first time.
SERVING = 190
INDEXES = 200
DEPLOYMENTS = 1000
CALLING = 12
NAMES = [crowds.name_alias(number) for number in range(SERVING)]
NEW = [crowds.name_alias(number) for number in range(DEPLOYMENTS, DEPLOYMENTS + 10)]


@pytest.fixture
def world(tmp_path, ready_url):
    made = World(tmp_path, ready_url)
    now = made.clock.moment
    with made.services.sessions.begin() as session:
        crowds.write_ended(session, now, DEPLOYMENTS - 10, SERVING)
        crowds.write_served(session, now, range(SERVING))
        crowds.write_waiting(session, now, range(DEPLOYMENTS, DEPLOYMENTS + 10), crowds.AGE)
        write_schedules(session, now)
        for number in range(CALLING):
            told = Alert(NAMES[number * 3], "deployment.inconclusive", "no evidence", next="retry")
            record_alert(session, now, told)
        for state, version in session.execute(
            select(AliasState, Version).join(Version, AliasState.desired == Version.collection)
        ):
            number = int(state.alias[-5:])
            state.changed_at = now - timedelta(hours=number + 1)
            facts = {"points": 3_000_000_000 - number, "model": f"sentence/model-{number % 4}"}
            served = {"since": state.changed_at.strftime("%Y-%m-%dT%H:%M:%S.000Z")}
            version.facts = facts if number % 2 else {**facts, "served": served}
    yield made
    made.close()


def write_schedules(session, now):
    """The last one is due first. The rebuild of the first index found nothing to do, an hour
    ago."""
    spec = {"cron": "0 2 * * *", "zone": "UTC"}
    rows = [
        Schedule(
            alias=alias,
            action="rebuild",
            spec=spec,
            declared=spec,
            next_at=now + timedelta(hours=INDEXES - number),
            waiting_since=now,
        )
        for number, alias in enumerate(NAMES)
    ]
    session.add_all(rows)
    session.flush()
    ended = now - timedelta(hours=1)
    row = {"nominal_at": ended, "created_at": ended, "finished_at": ended, "actor": "schedule"}
    said = "nothing has changed"
    session.add(
        ScheduleRun(schedule_id=rows[0].id, status=RunStatus.UNCHANGED, message=said, **row)
    )


@pytest.fixture
def seen(world):
    aliases = {alias: f"{alias}_1" for alias in NAMES}
    return StoreSnapshot(aliases, frozenset(aliases.values()), world.clock.moment)


@pytest.fixture
def web(world):
    world.over(crowds.ServingStore(world.store, range(SERVING)))
    app = make_app(world.services, Settings(_env_file=None))
    return TestClient(app, base_url="http://localhost:8600", client=("127.0.0.1", 50000))


def look(world, seen, *texts, **choice):
    return describe_home_page(world.services, seen, HomeChoice(*texts, **choice))


def listed(page):
    return [one["alias"] for block in page["blocks"] for one in block["indexes"]]


def test_the_list_is_narrowed_ordered_and_cut_as_it_is_asked_for(world, seen):
    first = look(world, seen)
    calling = [NAMES[number * 3] for number in range(CALLING)]
    assert [one["alias"] for one in first["calling"]] == calling[:5]
    assert listed(first)[:22] == [*calling, *NEW]
    assert (first["attention"], first["place"]) == (12, Place(1, 8, 1, 25, 200))
    assert first["counts"] == {
        "": 200,
        "attention": 12,
        "running": 10,
        "serves": 190,
        "unbuilt": 10,
    }
    assert listed(look(world, seen, state="unbuilt")) == NEW
    assert look(world, seen, state="serves", page=8)["place"].last == 190
    assert look(world, seen, state="serves", page=99)["place"].page == 8, "the list became shorter"
    assert look(world, seen, state="attention")["calling"] == [], "the list itself says it"

    model = look(world, seen, "MODEL-3")
    assert (model["place"].found, model["counts"]["attention"]) == (47, 3)
    assert listed(look(world, seen, "x-0100")) == NEW, "part of the name"
    assert listed(look(world, seen, "00042_1")) == ["index-00042"], "the live collection"

    assert listed(look(world, seen, sort="name"))[:2] == NAMES[:2]
    assert listed(look(world, seen, sort="since"))[:2] == NAMES[:2], "the newest first"
    assert listed(look(world, seen, sort="points"))[:2] == NAMES[:2], "the most first"
    assert listed(look(world, seen, sort="next"))[:2] == [NAMES[-1], NAMES[-2]], "the soonest first"
    assert listed(look(world, seen, sort="points", page=8))[-10:] == NEW, "the unknown last"
    (group, *_) = look(world, seen, sort="name", group="prefix")["blocks"]
    assert (group["prefix"], group["size"], group["counts"]["attention"]) == ("index", 200, 12)


def test_a_row_says_how_the_last_rebuild_ended(world, seen):
    first, second = look(world, seen, sort="name")["blocks"][0]["indexes"][:2]
    assert first["ended"]["why"] == "nothing has changed"
    assert (first["ended"]["status"], first["ended"]["link"]) == ("unchanged", "/schedules")
    assert (second["ended"]["status"], second["ended"]["why"]) == ("live", "")
    assert second["ended"]["link"].startswith("/deployments/")


def test_whatever_is_asked_for_few_queries_read_in_full_only_what_is_shown(world, seen):
    asked = [{"sort": sort} for sort in SORTS] + [{"state": state} for state in STATES]
    asked += [{"text": "index"}, {"group": "prefix"}, {"page": 8}]
    read = {
        str(choice): count_reads(world, partial(look, world, seen, **choice)) for choice in asked
    }
    assert max(statements for statements, _ in read.values()) <= 19
    rows = {name: rows for name, (_, rows) in read.items()}
    schedules = rows.pop("{'sort': 'next'}")
    # of each of 30 indexes: state, version, deployment, its steps, schedule
    assert max(rows.values()) <= CALLING + 30 * 4 + 10 * 7
    assert schedules <= SERVING + CALLING + 30 * 4 + 10 * 7


def count_reads(world, work):
    """Returns how many queries the work sends, and how many whole rows it reads."""
    found = {"statements": 0, "rows": 0}

    def count_statement(*_):
        found["statements"] += 1

    def count_row(*_):
        found["rows"] += 1

    event.listen(world.engine, "before_cursor_execute", count_statement)
    event.listen(Base, "load", count_row, propagate=True)
    work()
    event.remove(world.engine, "before_cursor_execute", count_statement)
    event.remove(Base, "load", count_row)
    return found["statements"], found["rows"]


def test_a_page_shows_no_number_if_indexes_cannot_be_counted(tmp_path, ready_sqlite_url):
    world = World(tmp_path, ready_sqlite_url)
    with world.engine.begin() as connection:
        connection.execute(text("DROP TABLE alias_states"))
    app = make_app(world.services, Settings(_env_file=None))
    local = TestClient(app, base_url="http://localhost:8600", client=("127.0.0.1", 50000))
    answer = local.get("/alerts")
    assert answer.status_code == 200
    assert "badge" not in answer.text
    assert "need attention" not in local.get("/").text
    world.close()


def test_the_number_is_counted_now_and_then_and_not_for_each_page(world, seen):
    moment = [0.0]
    count = CallingCount(world.services, lambda: moment[0])
    assert count.read(seen) == CALLING
    with world.services.sessions.begin() as session:
        told = Alert(NAMES[1], "deployment.inconclusive", "no evidence")
        record_alert(session, world.clock.moment, told)
    assert count.read(seen) == CALLING
    moment[0] = 5.1
    assert count.read(seen) == CALLING + 1
    count.note(3)
    assert count.read(seen) == 3, "what a page has counted itself is believed"


def test_the_page_names_five_and_counts_the_rest_in_the_navigation_too(web):
    home = web.get("/").text
    assert '<a href="/?state=attention">and 7 more</a>' in home
    assert "25 of 200" in home
    for path in ("/", "/alerts", "/events", "/schedules"):
        assert '<b class="badge">12</b><span class="hidden"> need attention</span>' in (
            web.get(path).text
        )
    web.get("/indexes/nosuch")
    assert '<b class="badge">12</b>' in web.get("/alerts").text, "a page of an error counts nothing"
    shown = web.get("/?q=index&state=serves&sort=points&group=prefix&page=2").text
    assert 'href="/?q=index&amp;state=serves&amp;sort=points&amp;group=prefix&amp;page=3"' in shown
    assert 'href="/?q=index&amp;state=serves&amp;sort=points&amp;group=prefix"' in shown, "previous"
    assert "continued" in shown
    beyond = web.get("/?state=serves&page=12345678901")
    assert beyond.status_code == 200
    assert "190 of 190" in beyond.text, "the last page"
    refused = web.get("/?state=ill")
    assert refused.status_code == 422
    assert "state &#39;ill&#39; is not known; known: attention" in refused.text
    assert '<b class="badge">12</b>' in web.get("/alerts").text, "a refused page forgets nothing"
    assert "No index matches the filter" in web.get("/?q=nosuch").text
