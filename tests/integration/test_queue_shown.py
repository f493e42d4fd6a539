"""A deployment that waits for a place among the rebuilds says so everywhere, and nowhere counts as
late."""

import json

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from qdrant_rollouts.core.config.index_file import ConcurrencySpec
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.operations.views.overview.deployment_situation import (
    get_deployment_with_situation,
)
from qdrant_rollouts.interfaces.http.app import make_app
from qdrant_rollouts.interfaces.mcp import answers
from tests.shell import Shell, records, write
from tests.world import World, texts

TEXT = "place 1 of 1; waits for 1 rebuild (first)"
INDEX = {"source": "jsonl:docs.jsonl", "embedding": {"model": "hashing:64", "text": "{text}"}}

QUICK = {
    "validation": {
        "queries": ["python asyncio"],
        "min_top_score": 0.1,
        "checks": {"collapse": False},
    },
    "soak": {"seconds": 0.1, "interval_seconds": 0.1},
}


@pytest.fixture
def world(tmp_path, ready_sqlite_url):
    """``first`` has the only place, ``second`` waits."""
    made = World(tmp_path, ready_sqlite_url)
    made.concurrency = ConcurrencySpec(rebuilds=1, per_model=1)
    for alias in ("first", "second"):
        made.declare(alias, source=made.write("docs.jsonl", texts(8)))
        made.clock.move(1)
        made.waiting = made.deploy(alias)
    yield made
    made.close()


@pytest.fixture
def web(world):
    app = make_app(world.services, Settings(_env_file=None))
    return TestClient(app, base_url="http://localhost:8600", client=("127.0.0.1", 50000))


def test_http_tells_place_and_reason(world, web):
    listed = web.get("/api/v1/deployments").json()["deployments"]
    assert {one["alias"]: one["queue"] and one["queue"]["text"] for one in listed} == {
        "first": None,
        "second": TEXT,
    }
    (one,) = (
        row for row in web.get("/api/v1/indexes").json()["indexes"] if row["alias"] == "second"
    )
    assert (
        one["running"]["queue"] == web.get(f"/api/v1/deployments/{world.waiting}").json()["queue"]
    )
    assert (one["running"]["queue"]["place"], one["running"]["queue"]["of"]) == (1, 1)


@pytest.mark.parametrize("path", ["/", "/deployments", "/deployments/{}"])
def test_every_page_of_deployments_tells_it(world, web, path):
    shown = web.get(path.format(world.waiting)).text
    assert TEXT in shown
    assert "The end cannot be predicted" not in shown


def test_prometheus_hears_how_many_wait(web):
    found = {
        family.name: family for family in text_string_to_metric_families(web.get("/metrics").text)
    }
    assert [sample.value for sample in found["rollouts_rebuilds_waiting"].samples] == [1]
    places = {
        sample.labels["state"]: sample.value for sample in found["rollouts_rebuild_places"].samples
    }
    assert places == {"limit": 1, "taken": 1}


def test_an_agent_is_told_to_come_again_later_and_not_to_call_a_person(world):
    seen = answers.build_seen(get_deployment_with_situation(world.services, world.waiting))
    assert seen.message == TEXT
    assert "begins by itself" in seen.next


def test_the_command_line_tells_it_and_doctor_finds_nothing_late(tmp_path):
    """Nobody runs anything here; the first has a place all the same, and the second waits for
    it."""
    write(tmp_path / "docs.jsonl", records(8, "one"))
    content = {
        "concurrency": {"rebuilds": 1, "per_model": 1},
        "indexes": {"first": INDEX, "second": INDEX},
    }
    (tmp_path / "rollouts.yaml").write_text(json.dumps(content))
    shell = Shell(tmp_path)
    shell.json("deploy", "first")
    deployed = shell("deploy", "second")
    assert f"waits for a place: {TEXT}" in deployed.output
    assert "no worker has taken it yet" not in deployed.output
    second = shell.json("list", "--alias", "second")["deployments"][0]
    assert second["queue"]["text"] == TEXT
    assert TEXT in shell("list").output
    assert TEXT in shell("status", second["id"]).output
    checks = {
        check["name"]: check for check in json.loads(shell("doctor", "--json").stdout)["checks"]
    }
    assert checks["rebuilds"]["state"] == "ok"
    assert checks["rebuilds"]["value"] == "1 wait; 1 build: first"
    assert f"deployment {second['id']}" not in checks
    aborted = shell("abort", second["id"], "--reason", "not now")
    assert aborted.exit_code == 0, aborted.output
    ended = shell.json("status", second["id"])
    assert ended["status"] == "rolled_back"
    assert "it had not begun and nothing was made" in ended["message"]


def test_a_wait_at_the_command_line_shows_the_place_and_then_the_end(tmp_path):
    write(tmp_path / "docs.jsonl", records(40, "one"))
    quick = {**INDEX, "embedding": {"model": "hashing:256", "text": "{title}: {text}"}, **QUICK}
    content = {
        "concurrency": {"rebuilds": 1, "per_model": 1},
        "indexes": {"first": quick, "second": quick},
    }
    (tmp_path / "rollouts.yaml").write_text(json.dumps(content))
    shell = Shell(tmp_path)
    shell.json("deploy", "first")
    told = shell("deploy", "second", "--wait", "--timeout", "120")
    assert told.exit_code == 0, told.output
    assert f"pending: {TEXT}" in told.output
    assert "live: second is served by" in told.output
