"""Times have one form wherever they leave the program: UTC, to the millisecond, with Z."""

import ast
import asyncio
import json
import re
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from mcp import Client
from starlette.testclient import TestClient

from qdrant_rollouts.adapters.alerts import alertmanager, apprise, email, webhook
from qdrant_rollouts.core.alerts import deliveries
from qdrant_rollouts.core.config.alert_spec import EmailSpec
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.errors import Unavailable
from qdrant_rollouts.core.experiments import commands as experiment_commands
from qdrant_rollouts.core.experiments import queries as experiment_queries
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.operations.schedules import sweep
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.ports import AlertChannel, Notice
from qdrant_rollouts.core.ports.messages import Severity
from qdrant_rollouts.core.routing import Routers
from qdrant_rollouts.core.times import as_iso, as_text
from qdrant_rollouts.interfaces.access.tokens import ALL_SCOPES, Caller
from qdrant_rollouts.interfaces.http.api import ENDPOINTS, PREFIX
from qdrant_rollouts.interfaces.http.app import make_app
from qdrant_rollouts.interfaces.mcp.guard import Guard
from qdrant_rollouts.interfaces.mcp.server import make_server
from tests.world import World, texts

ROOT = Path(__file__).parents[2]
ONE_FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
#: Whatever looks like a time of ISO 8601 or of Python, in whatever form. Sentences have another:
#: 2026-11-02 03:00 UTC.
ANY = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d[\w.:+-]*| \d\d:\d\d:\d\d[.+-][\d.:+-]*)")
PAGES = (
    "/",
    "/indexes/docs",
    "/deployments",
    "/deployments/{deployment}",
    "/schedules",
    "/alerts",
    "/events",
)
#: Where the times of a source are written: they have its form.
NOT_OURS = {
    f"adapters/sources/{name}.py" for name in ("values", "arrow", "markdown", "sql_changes")
}


def fail(notice):
    raise Unavailable("away")


@pytest.fixture
def world(tmp_path, ready_sqlite_url):
    """Something of everything that has times: deployments, versions, deletions, a schedule, an
    experiment, deliveries that were sent and that wait."""
    made = World(tmp_path, ready_sqlite_url)
    made.declare("docs", source=made.write("docs.jsonl", texts(12)), rebuild="0 2 * * *")
    made.channels["log"] = AlertChannel("log", Severity.INFO, lambda notice: None)
    made.channels["dead"] = AlertChannel("dead", Severity.INFO, fail)
    for _ in range(2):
        made.deploy("docs")
        made.run()
        made.clock.move(30.123456)
    newest, older = (row["green"] for row in queries.list_deployments(made.services, "docs"))
    experiment_commands.create_experiment(
        made.services, "compare", newest, [older], actor="anna", alias="docs", start=False
    )
    sweep.sweep_schedules(made.services)
    paused = made.deploy("docs")
    made.run(until=made.at(paused, "validate"))
    commands.request_action(made.services, paused, Event.PAUSE, actor="anna")
    made.run()
    deliveries.deliver_due(made.services)
    yield made
    made.close()


def forms(told):
    return [found for found in ANY.findall(told) if not ONE_FORM.fullmatch(found)]


def test_a_moment_is_written_in_utc_whatever_zone_it_has():
    east = timezone(timedelta(hours=5, minutes=30))
    assert as_iso(datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC)) == "2026-01-02T03:04:05.678Z"
    assert as_iso(datetime(2026, 1, 2, 3, 4, 5, tzinfo=east)) == "2026-01-01T21:34:05.000Z"
    assert as_iso(None) is None
    assert (
        json.dumps({"at": datetime(2026, 1, 2, tzinfo=UTC)}, default=as_text)
        == '{"at": "2026-01-02T00:00:00.000Z"}'
    )


def names(world):
    versions = queries.list_deployments(world.services, "docs")
    found = experiment_queries.list_experiments(world.services, None, 10)
    return {
        "alias": "docs",
        "deployment": versions[0]["id"],
        "experiment": found[0]["id"],
        "action": "rebuild",
    }


def test_every_look_of_the_api_and_every_page_shows_times_in_one_form(world):
    given = names(world)
    found = {}
    times = 0
    app = make_app(world.services, Settings())
    with TestClient(app, base_url="http://localhost", client=("127.0.0.1", 5)) as client:
        looks = [
            one.path for one in ENDPOINTS if one.method == "GET" and "{backup}" not in one.path
        ]
        for path in [*(PREFIX + look for look in looks), "/openapi.json", *PAGES]:
            answer = client.get(path.format(**given))
            times += len(ANY.findall(answer.text))
            if bad := forms(_machine_readable(answer)):
                found[path] = bad
        sent = client.get(f"{PREFIX}/alerts").json()["alerts"]
    assert found == {}
    assert times > 100
    statuses = {one["status"] for alert in sent for one in alert["deliveries"]}
    assert statuses == {"sent", "waiting"}


def _machine_readable(answer):
    """All of JSON; of a page what its elements say to machines, since to people it speaks in
    words."""
    if "html" not in answer.headers["content-type"]:
        return answer.text
    return " ".join(re.findall(r'datetime="([^"]*)"', answer.text))


def test_agents_are_told_times_in_one_form(world):
    given = names(world)

    async def asked():
        with closing(Routers(world.services, lent=False)) as routers:
            operator = Caller("token:agent", ALL_SCOPES)
            async with Client(
                make_server(world.services, routers, Guard(lambda _: operator), deploys=True)
            ) as client:
                seen = await client.call_tool(
                    "get_deployment", {"deployment_id": given["deployment"]}
                )
                listed = await client.call_tool("list_indexes", {})
                read = await client.read_resource("rollouts://indexes/docs/deployments")
                return json.dumps(
                    [seen.structured_content, listed.structured_content, read.contents[0].text]
                )

    told = asyncio.run(asked())
    assert len(ANY.findall(told)) > 10
    assert forms(told) == []


NOTICE = Notice(
    id="n1",
    what="deployment.paused",
    index="docs",
    severity=Severity.WARN,
    text="it waits",
    value="",
    bound="",
    actor="anna",
    reason="",
    next="",
    deployment_id=None,
    state="begun",
    at=datetime(2026, 11, 25, 6, 0, 12, 345_678, tzinfo=UTC),
    since=datetime(2026, 11, 25, 6, 0, 12, tzinfo=UTC),
)


def test_every_channel_sends_times_in_one_form():
    mail = email.build_message(
        EmailSpec(kind="email", host="mail.test", sender="a@x.test", to=("b@x.test",)), NOTICE
    )
    sent = {
        "webhook": webhook.encode_notice(NOTICE).decode(),
        "alertmanager": json.dumps(alertmanager.build_alert(NOTICE)),
        "apprise": apprise._format_body(NOTICE),
        "email": mail.get_content(),
    }
    for name, told in sent.items():
        assert ANY.findall(told), name
        assert forms(told) == [], name


def test_one_place_writes_times():
    """What else calls ``isoformat`` would write them in another form one day."""
    found = set()
    for folder in ("core", "adapters", "interfaces", "tasks"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute) and node.attr == "isoformat":
                    found.add(str(path.relative_to(ROOT)))
    assert found == {"core/times.py", *NOT_OURS}
