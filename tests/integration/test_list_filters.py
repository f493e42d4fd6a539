"""Audit events and alerts, narrowed by each of their filters: in the core on both databases, over
HTTP, on the pages and at the command line."""

from datetime import UTC, datetime, timedelta

import pytest
from starlette.testclient import TestClient

from qdrant_rollouts.core.alerts import sent_alerts
from qdrant_rollouts.core.alerts.outbox import Alert, record_alert
from qdrant_rollouts.core.alerts.sent_alerts import AlertFilter
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.database.events import record_event
from qdrant_rollouts.core.database.models import EventRow
from qdrant_rollouts.core.operations.views import audit_events
from qdrant_rollouts.core.operations.views.audit_events import SCANNED, EventFilter
from qdrant_rollouts.core.ports.messages import Severity
from qdrant_rollouts.interfaces.http.app import make_app
from tests.shell import Shell
from tests.world import World

BEGAN = datetime(2026, 11, 2, tzinfo=UTC)
EVENTS = (
    ("deployment.live", "it serves", "schedule", "", "shop"),
    ("deployments.counted", "not of that kind", "schedule", "", "shop"),
    ("rollback.requested", "to 100_% of before", "anna@cli", "Wrong Answers", "docs"),
    ("mark.bad", "version 3", "Anna@web", "", "docs"),
    ("deployment.rolled_back", "it serves no more", "system", "", "docs"),
)
ALERTS = (
    ("shop", "deployment.completed", Severity.INFO),
    ("docs", "deployment.inconclusive", Severity.WARN),
    ("docs", "schedule.failed", Severity.ERROR),
    ("shop", "schedule.rebuild_late", Severity.ERROR),
)


def at(hours):
    return BEGAN + timedelta(hours=hours)


@pytest.fixture
def world(tmp_path, ready_url):
    """One event and one alert each hour; the alerts of the second and the fourth hour last."""
    made = World(tmp_path, ready_url)
    with made.services.sessions.begin() as session:
        for hour, (kind, detail, actor, reason, alias) in enumerate(EVENTS):
            record_event(session, at(hour), kind, detail, actor=actor, reason=reason, alias=alias)
            session.flush()
        for hour, (alias, what, severity) in enumerate(ALERTS):
            record_alert(session, at(hour), Alert(alias, what, f"{severity} {what}"))
            session.flush()
    yield made
    made.close()


@pytest.fixture
def web(world):
    app = make_app(world.services, Settings(_env_file=None))
    return TestClient(app, base_url="http://localhost:8600", client=("127.0.0.1", 50000))


def kinds(page):
    return [row["event"] for row in page["events"]]


def names(found):
    return [one["what"] for one in found]


def test_audit_events_are_narrowed_by_each_filter(world):
    def find(**wanted):
        return kinds(audit_events.list_audit_events(world.services, EventFilter(**wanted)))

    every = [kind for kind, *_ in reversed(EVENTS)]
    assert find() == every
    assert find(alias="shop") == ["deployments.counted", "deployment.live"]
    assert find(event="deployment") == ["deployment.rolled_back", "deployment.live"]
    assert find(event="mark.bad") == ["mark.bad"]
    assert find(actor="anna") == ["mark.bad", "rollback.requested"]
    assert find(text="wrong answers") == ["rollback.requested"], "in the reason"
    assert find(text="SERVES") == ["deployment.rolled_back", "deployment.live"]
    assert find(text="0_%") == ["rollback.requested"], "signs of a pattern are characters"
    assert find(text="1%f") == []
    assert find(since=at(3)) == ["deployment.rolled_back", "mark.bad"]
    assert find(until=at(1)) == ["deployments.counted", "deployment.live"]
    assert find(alias="docs", since=at(2), until=at(3), actor="ann") == every[1:3]
    assert find(deployment_id="nosuch") == []


def test_a_page_of_events_reads_a_bounded_number_and_says_where_to_go_on(world):
    """Between the first events and the last there are more ids than a page looks through."""
    with world.services.sessions.begin() as session:
        session.add(EventRow(id=SCANNED + 9, at=at(9), actor="bert", event="mark.good"))
    wanted = EventFilter(actor="anna")
    first = audit_events.list_audit_events(world.services, wanted, 1)
    assert (first["events"], first["next"]) == ([], 10)
    second = audit_events.list_audit_events(world.services, wanted, 1, first["next"])
    assert kinds(second) == ["mark.bad"]
    third = audit_events.list_audit_events(world.services, wanted, 1, second["next"])
    assert (kinds(third), third["next"]) == (["rollback.requested"], None)
    recent = EventFilter(actor="anna", since=at(8))
    assert audit_events.list_audit_events(world.services, recent)["next"] is None
    narrow = EventFilter(alias="docs", actor="anna")
    found = audit_events.list_audit_events(world.services, narrow, 1)
    assert kinds(found) == ["mark.bad"], "an index leads there"


def test_alerts_are_narrowed_by_each_filter(world):
    def find(**wanted):
        page = sent_alerts.list_alert_page(world.services, AlertFilter(**wanted), 10)
        return names(page["alerts"])

    assert find() == [what for _, what, _ in reversed(ALERTS)]
    assert find(alias="shop") == ["schedule.rebuild_late", "deployment.completed"]
    assert find(severity=Severity.WARN) == ["deployment.inconclusive"]
    assert find(what="schedule") == ["schedule.rebuild_late", "schedule.failed"]
    assert find(what="schedule.failed", alias="docs") == ["schedule.failed"]
    assert find(since=at(2)) == ["schedule.rebuild_late", "schedule.failed"]

    def lasting(**wanted):
        return names(sent_alerts.list_lasting(world.services, AlertFilter(**wanted)))

    assert lasting() == ["deployment.inconclusive", "schedule.rebuild_late"]
    assert lasting(severity=Severity.ERROR) == ["schedule.rebuild_late"]
    assert lasting(what="deployment") == ["deployment.inconclusive"]
    assert lasting(since=at(2), alias="docs") == []


def test_alerts_are_told_a_page_at_a_time(world):
    first = sent_alerts.list_alert_page(world.services, AlertFilter(alias="docs"), 1)
    assert names(first["alerts"]) == ["schedule.failed"]
    rest = sent_alerts.list_alert_page(world.services, AlertFilter(alias="docs"), 1, first["next"])
    assert (names(rest["alerts"]), rest["next"]) == (["deployment.inconclusive"], None)


def test_http_narrows_as_the_pages_do(web):
    def get(path, **wanted):
        answer = web.get(f"/api/v1{path}", params=wanted)
        assert answer.status_code == 200, answer.text
        return answer.json()

    wanted = {"actor": "anna", "text": "3", "since": "2026-11-02T03:00", "until": "2026-11-02"}
    assert get("/events", **wanted)["events"] == []
    del wanted["until"]
    assert kinds(get("/events", **wanted)) == ["mark.bad"]
    assert kinds(get("/events", event="deployment", alias="shop")) == ["deployment.live"]
    page = get("/alerts", severity="error", limit=1)
    assert names(page["alerts"]) == ["schedule.rebuild_late"]
    rest = get("/alerts", severity="error", limit=1, before=page["next"])
    assert (names(rest["alerts"]), rest["next"]) == (["schedule.failed"], None)
    shown = get("/alerts", alert="schedule.failed", since="2026-11-02T03:30:00+02:00")
    assert names(shown["alerts"]) == ["schedule.failed"]
    assert web.get("/api/v1/alerts?severity=loud").status_code == 422
    for odd in ("yesterday", "0001-01-01", "9999-12-31T23:59:59-14:00"):
        assert web.get(f"/api/v1/events?since={odd}").status_code == 422
        assert web.get(f"/api/v1/alerts?since={odd}").status_code == 422


def test_the_pages_are_narrowed_by_their_address_and_keep_it(web):
    shown = web.get("/events?event=deployment&until=2026-11-02T01:00").text
    assert "deployment.live" in shown
    assert "it serves no more" not in shown
    assert 'name="event" value="deployment"' in shown
    assert "No event matches the filter" in web.get("/events?actor=nobody").text
    alerts = web.get("/alerts?severity=error&show=open").text
    assert "error schedule.rebuild_late" in alerts
    assert "error schedule.failed" not in alerts, "it does not last"
    assert "No open alert matches the filter" in web.get("/alerts?index=nosuch").text


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/events?since=yesterday", 422, "since is &#39;yesterday&#39;; expected a time such as"),
        ("/events?deployment=nosuch", 404, "nosuch"),
        ("/events?before=x", 422, "before is &#39;x&#39;; expected a whole number"),
        ("/alerts?severity=loud", 422, "severity &#39;loud&#39; is not known; known: info, warn"),
        ("/events?since=0001-01-01", 422, "in UTC, from 1900 to 8999"),
        ("/events?until=9999-12-31T23:59:59", 422, "in UTC, from 1900 to 8999"),
        ("/events?actor=a%00b", 422, "the address holds a NUL"),
        ("/indexes/a%00b", 422, "the address holds a NUL"),
        ("/alerts?show=none", 422, "show &#39;none&#39; is not known; known: open"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused_in_words(web, path, status, said):
    answer = web.get(path)
    assert answer.status_code == status
    assert said in answer.text


def test_the_command_line_narrows_in_the_same_way(world, tmp_path, ready_url):
    shell = Shell(tmp_path)

    def run(*words):
        return shell(*words, "--json", ROLLOUTS_DATABASE_URL=ready_url)

    found = run("events", "--actor", "anna", "--event", "mark").stdout
    assert '"mark.bad"' in found
    assert "rollback.requested" not in found
    late = run("events", "--since", "2026-11-02T03:30").stdout
    assert '"deployment.rolled_back"' in late
    assert "mark.bad" not in late
    alerts = run("alert", "list", "--severity", "warn", "--alert", "deployment").stdout
    assert "deployment.inconclusive" in alerts
    assert "schedule" not in alerts
    refused = run("events", "--since", "yesterday")
    assert refused.exit_code == 2
    assert "expected a time such as 2026-11-02" in refused.output
