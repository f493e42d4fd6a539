"""/metrics, /livez and /readyz as monitors use them, and what is made from the names of metrics."""

import json
import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event, insert
from starlette.testclient import TestClient

from docs import make_dashboard, make_metrics
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.database.models import Deployment, StepRow
from qdrant_rollouts.core.deployments import engine
from qdrant_rollouts.core.deployments.workers import Task
from qdrant_rollouts.core.errors import Unavailable
from qdrant_rollouts.interfaces.access import tokens
from qdrant_rollouts.interfaces.http import health
from qdrant_rollouts.interfaces.http.app import make_app
from qdrant_rollouts.interfaces.http.metrics import METRICS, Scrape
from tests.roster import BULK, CONTROL, pass_time, says
from tests.schedules import Failing
from tests.world import World, texts

DOCS = Path(__file__).parents[2] / "docs"
AWAY = Unavailable("Qdrant at http://qdrant.internal:6333 did not answer")
EVERYTHING = ("server", "aliases", "collections", "schema", "health", "count", "search")


@pytest.fixture
def world(tmp_path, ready_sqlite_url):
    made = World(tmp_path, ready_sqlite_url)
    yield made
    made.close()


def web(world, **settings):
    app = make_app(world.services, Settings(_env_file=None, **settings))
    return TestClient(
        app,
        base_url="http://localhost:8600",
        client=("127.0.0.1", 50000),
        raise_server_exceptions=False,
    )


def bearer(world, *scopes):
    made = tokens.create_token(world.services, "-".join(scopes), scopes, actor="anna")["token"]
    return {"Authorization": f"Bearer {made}"}


def scraped(client, **headers):
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def by(family, *labels):
    return {
        tuple(sample.labels[label] for label in labels): sample.value for sample in family.samples
    }


def without_qdrant(world):
    world.services = replace(world.services, store=Failing(world.store, AWAY, *EVERYTHING))


# --- /metrics -------------------------------------------------------------------------------------


def test_a_scrape_has_every_metric_under_its_name_with_its_kind_and_its_labels(world):
    world.declare("docs", source=world.write("docs.jsonl", texts(20)))
    world.deploy("docs")
    world.run()
    found = scraped(web(world))
    assert {name: family.type for name, family in found.items()} == {
        metric.name: metric.kind for metric in METRICS
    }
    for metric in METRICS:
        for sample in found[metric.name].samples:
            assert (sample.name, set(sample.labels)) == (metric.sampled, set(metric.labels))
    (ended,) = found["rollouts_deployments_ended"].samples
    assert ended.labels == {"kind": "rollout", "strategy": "blue_green", "outcome": "promoted"}
    assert ended.value == 1


def test_prometheus_gets_the_form_that_it_prefers(world):
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    answer = web(world).get("/metrics", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert {family.name for family in openmetrics(answer.text)} == {
        metric.name for metric in METRICS
    }


def test_two_web_processes_tell_the_same(world):
    """Nothing is kept in a process, so none can be behind."""
    world.declare("docs", source=world.write("docs.jsonl", texts(20)))
    first = web(world)
    before = scraped(first)["rollouts_deployments"].samples
    world.deploy("docs")
    after = [scraped(client)["rollouts_deployments"].samples for client in (first, web(world))]
    assert before == []
    assert after[0] == after[1] != before


def test_a_scrape_needs_the_scope_to_read_once_there_is_a_token(world):
    client = web(world)
    assert client.get("/metrics").status_code == 200
    reading = bearer(world, "read")
    searching = bearer(world, "search")
    client = web(world)
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers=searching).status_code == 403
    assert "rollouts_deployments" in scraped(client, **reading)


def test_a_scrape_asks_nothing_of_qdrant(world):
    without_qdrant(world)
    assert scraped(web(world)).keys() == {metric.name for metric in METRICS}


def lose_database(world):
    """Puts a folder where the database was."""
    world.engine.dispose()
    file = Path(world.engine.url.database)
    file.rename(file.with_name("gone"))
    file.mkdir()


def test_a_scrape_without_the_database_fails_and_says_why(world):
    client = web(world)
    lose_database(world)
    answer = client.get("/metrics")
    assert answer.status_code == 503
    assert "cannot be opened" in answer.json()["detail"]


def test_a_thousand_deployments_are_as_many_queries_as_none(world):
    asked = [statements(world)]
    fill(world, 1000)
    asked.append(statements(world))
    assert asked[0] == asked[1] <= 35
    found = scraped(web(world))
    assert sum(sample.value for sample in found["rollouts_deployments"].samples) == 1000
    assert len(found["rollouts_step_duration_seconds"].samples) == 6 * 3


def statements(world):
    """Of a scrape alone; who asks is looked up besides."""
    count = 0

    def heard(*_):
        nonlocal count
        count += 1

    event.listen(world.engine, "before_cursor_execute", heard)
    assert list(Scrape(world.services).collect())
    event.remove(world.engine, "before_cursor_execute", heard)
    return count


def fill(world, count):
    """Deployments that went live, of 200 indexes, each with six steps."""
    now = world.clock.moment
    rows = [
        {
            "id": f"d{number}",
            "alias": f"index_{number % 200}",
            "strategy": "blue_green",
            "status": "live",
            "green": f"g{number}",
            "spec": {},
            "actor": "anna",
            "number": number // 200,
            "created_at": now,
            "finished_at": now,
            "wake_at": now,
        }
        for number in range(count)
    ]
    names = ("create", "populate", "validate", "catch_up", "switch", "soak")
    steps = [
        {
            "deployment_id": row["id"],
            "position": position,
            "name": name,
            "queue": "control",
            "status": "done",
            "started_at": now,
            "finished_at": now,
        }
        for row in rows
        for position, name in enumerate(names)
    ]
    with world.services.sessions.begin() as session:
        session.execute(insert(Deployment), rows)
        session.execute(insert(StepRow), steps)


def test_a_workers_clock_work_and_silence_are_told(world):
    says(world, BULK, ahead=40.0)
    world.clock.move(5)
    world.declare("docs", source=world.write("docs.jsonl", texts(20)))
    at_work = Task("deployments.populate", world.deploy("docs"), 30.0)
    says(world, replace(CONTROL, received=40, discarded=3, busy=(at_work,)))
    found = scraped(web(world))
    offsets = by(found["rollouts_worker_clock_offset_seconds"], "worker")
    assert offsets == {
        ("bulk@one",): pytest.approx(40.0, abs=1.0),
        ("worker@one",): pytest.approx(0.0, abs=1.0),
    }
    assert by(found["rollouts_worker_seen_age_seconds"], "worker") == {
        ("bulk@one",): 5.0,
        ("worker@one",): 0.0,
    }
    places = by(found["rollouts_queue_places"], "queue", "state")
    assert places["bulk", "free"] == 1
    assert (places["control", "busy"], places["control", "free"]) == (1, 3)
    messages = by(found["rollouts_worker_messages"], "worker", "what")
    assert (messages["worker@one", "taken"], messages["worker@one", "discarded"]) == (37, 3)
    world.clock.move(31)
    found = scraped(web(world))
    assert (
        found["rollouts_worker_clock_offset_seconds"].samples
        == found["rollouts_queue_places"].samples
        == []
    )


# --- what is drawn from it ------------------------------------------------------------------------


def test_the_table_and_the_dashboard_are_as_code_draws_them():
    page = make_metrics.PAGE.read_text(encoding="utf-8")
    assert page == make_metrics.page(page), "stale: run python -m docs.make_metrics"
    drawn = make_dashboard.FILE.read_text(encoding="utf-8")
    assert drawn == make_dashboard.dashboard(), "stale: run python -m docs.make_dashboard"


def expressions():
    dashboard = json.loads(make_dashboard.FILE.read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"], target["legendFormat"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"], ""
    rules = (DOCS / "reference" / "rules.md").read_text(encoding="utf-8")
    for block in re.findall(r"```yml\n(.*?)```", rules, re.DOTALL):
        for group in yaml.safe_load(block).get("groups", []):
            for rule in group["rules"]:
                yield rule["alert"], rule["expr"], rule["annotations"]["summary"]


def test_every_expression_asks_for_metrics_and_labels_that_a_scrape_has(world):
    names = {metric.sampled for metric in METRICS if metric.name in scraped(web(world))}
    labels = {metric.sampled: set(metric.labels) for metric in METRICS}
    found = list(expressions())
    assert len(found) > 30
    for title, asked, words in found:
        used = set(re.findall(r"\brollouts_\w+", asked))
        assert used, title
        assert used <= names, title
        known = set().union(*(labels[name] for name in used))
        assert set(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', asked)) <= known, title
        grouped = [
            label
            for group in re.findall(r"by \(([^)]*)\)", asked)
            for label in re.split(r",\s*", group)
        ]
        shown = re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}", words)
        assert {*grouped, *shown} <= known, title
        assert not grouped or set(shown) <= set(grouped), title


def test_every_metric_is_in_the_dashboard():
    shown = " ".join(asked for _, asked, _ in expressions())
    assert [metric.sampled for metric in METRICS if metric.sampled not in shown] == [
        "rollouts_build_info"
    ]


# --- health ---------------------------------------------------------------------------------------


def ready(client, **headers):
    answer = client.get("/readyz", headers=headers)
    content = answer.json()
    assert (answer.status_code == 200) == content["ready"]
    return content["ready"], {check["name"]: check for check in content["checks"]}


def test_what_works_is_ready_and_says_how_it_knows(world):
    engine.knock_overdue_turns(world.services)
    world.clock.move(5)
    found, checks = ready(web(world))
    assert found is True
    assert {name: check["state"] for name, check in checks.items()} == dict.fromkeys(
        ("database", "qdrant", "sweep", "turns"), "ok"
    )
    assert checks["sweep"]["value"] == "5 s ago"


def test_nobody_who_sweeps_is_not_ready_and_the_next_act_is_said(world):
    found, checks = ready(web(world))
    assert found is False
    assert checks["sweep"]["value"] == "nobody has ever swept"
    assert "rollouts up" in checks["sweep"]["advice"]
    engine.knock_overdue_turns(world.services)
    world.clock.move(121)
    assert ready(web(world))[1]["sweep"]["value"] == "nobody has swept for 121 s"


def test_a_turn_that_nobody_takes_is_not_ready_and_one_that_waits_for_busy_workers_is(world):
    world.declare("docs", source=world.write("docs.jsonl", texts(20)))
    deployment = world.deploy("docs")
    pass_time(
        world,
        130,
        replace(BULK, busy=(Task("deployments.populate", deployment, 200.0),), idle=None),
    )
    found, checks = ready(web(world))
    assert found is True
    assert checks["turns"]["value"] == "1 wait for workers that are busy"
    pass_time(world, 40, CONTROL)
    found, checks = ready(web(world))
    assert found is False
    assert "no worker takes queue bulk" in checks["turns"]["value"]
    assert "celery -A qdrant_rollouts.tasks worker -Q bulk" in checks["turns"]["advice"]


def test_a_qdrant_that_is_away_is_named_and_the_rest_is_still_told(world):
    engine.knock_overdue_turns(world.services)
    without_qdrant(world)
    found, checks = ready(web(world))
    assert found is False
    assert checks["qdrant"]["value"] == str(AWAY)
    assert [name for name, check in checks.items() if check["state"] != "ok"] == ["qdrant"]


def test_a_database_that_is_away_leaves_the_process_alive_and_not_ready(world):
    client = web(world)
    lose_database(world)
    found, checks = ready(client)
    assert found is False
    assert {name for name, check in checks.items() if check["state"] == "fail"} == {
        "database",
        "sweep",
        "turns",
    }
    assert client.get("/livez").json() == {"status": "ok"}


def test_a_broker_that_is_away_is_told_without_its_password(world):
    engine.knock_overdue_turns(world.services)
    found, checks = ready(web(world, broker_url="redis://:geheim@127.0.0.1:1/0"))
    assert found is False
    assert "redis://127.0.0.1:1" in checks["broker"]["value"]
    assert "geheim" not in json.dumps(checks)


def test_who_may_not_read_hears_what_is_wrong_but_no_address(world):
    without_qdrant(world)
    mine = bearer(world, "read")
    client = web(world)
    assert "qdrant.internal" in json.dumps(ready(client, **mine)[1])
    found, checks = ready(client)
    assert found is False
    assert checks["qdrant"]["state"] == "fail"
    assert "internal" not in json.dumps(checks)


def test_a_server_that_hangs_is_not_waited_for_and_not_asked_twice(world):
    engine.knock_overdue_turns(world.services)
    asked, answered = [], []
    go_on = threading.Event()

    class Hanging(Failing):
        def _fail(self, *_, **__):
            asked.append(1)
            go_on.wait(60)
            answered.append(1)
            raise AWAY

    world.services = replace(world.services, store=Hanging(world.store, AWAY, "server"))
    client = web(world)
    for _ in range(2):
        found, checks = ready(client)
        assert found is False
        assert checks["qdrant"]["value"] == f"it has not answered for {health.CHECK_TIMEOUT:g} s"
    assert answered == []
    go_on.set()
    assert len(asked) == 1
