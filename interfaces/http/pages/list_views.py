"""The views of long lists, narrowed by what the page's address asks for: indexes, alerts, audit
events."""

from collections.abc import Sequence

from qdrant_rollouts.core.alerts import sent_alerts
from qdrant_rollouts.core.alerts.outbox import TRIGGERS
from qdrant_rollouts.core.alerts.sent_alerts import AlertFilter
from qdrant_rollouts.core.operations.choices import check_choice
from qdrant_rollouts.core.operations.views import audit_events
from qdrant_rollouts.core.operations.views.overview import home_choice, home_page
from qdrant_rollouts.core.operations.views.overview.deployment_list import PAGE_SIZE
from qdrant_rollouts.core.operations.views.overview.home_choice import HomeChoice
from qdrant_rollouts.core.ports.messages import Severity
from qdrant_rollouts.interfaces.http.pages.parameters import (
    PageLink,
    count_parameter,
    page_parameter,
    time_parameter,
)
from qdrant_rollouts.interfaces.http.pages.rendering import Shown
from qdrant_rollouts.interfaces.http.pages.visits import Visit

_SEVERITIES = tuple(str(one) for one in Severity)
#: Which alerts are shown besides those that last.
_ONLY_OPEN = "open"


def indexes_page(visit: Visit) -> Shown:
    asked = HomeChoice(
        text=visit.query_value("q").strip(),
        state=visit.query_value("state"),
        sort=visit.query_value("sort") or "attention",
        group=visit.query_value("group"),
        page=page_parameter(visit),
    )
    found = home_page.describe_home_page(visit.services, visit.seen, asked)
    values = {"q": asked.text, "state": asked.state, "sort": asked.sort, "group": asked.group}
    if asked.sort == "attention":
        values["sort"] = ""
    return {
        "title": "Indexes",
        "here": "/",
        "asked": asked,
        "link": PageLink("/", values),
        "states": home_choice.STATES,
        "sorts": home_choice.SORTS,
        "by_prefix": home_choice.BY_PREFIX,
        **found,
        "urgent": found["calling"],
        "calling": found["attention"],
    }


def alerts_page(visit: Visit) -> Shown:
    given = _read_given(visit, ("index", "severity", "alert", "since", "show"))
    check_choice("severity", given["severity"], ("", *_SEVERITIES))
    check_choice("show", given["show"], ("", _ONLY_OPEN))
    wanted = AlertFilter(
        alias=given["index"] or None,
        severity=Severity(given["severity"]) if given["severity"] else None,
        what=given["alert"] or None,
        since=time_parameter(visit, "since"),
    )
    before = count_parameter(visit, "before", 0)
    shown: Shown = {"alerts": [], "next": None}
    if given["show"] != _ONLY_OPEN:
        shown = dict(sent_alerts.list_alert_page(visit.services, wanted, PAGE_SIZE, before or None))
    return {
        "title": "Alerts",
        "here": "/alerts",
        "given": given,
        "link": PageLink("/alerts", given),
        "before": before,
        "open": sent_alerts.list_lasting(visit.services, wanted),
        "sent": shown,
        "channels": sent_alerts.count_deliveries(visit.services),
        "severities": _SEVERITIES,
        "names": list(TRIGGERS),
    }


def events_page(visit: Visit) -> Shown:
    given = _read_given(visit, ("alias", "event", "actor", "deployment", "text", "since", "until"))
    wanted = audit_events.read_event_filter(visit.services, given)
    before = count_parameter(visit, "before", 0)
    listed = audit_events.list_audit_events(visit.services, wanted, PAGE_SIZE, before or None)
    return {
        "title": "Audit events",
        "here": "/events",
        "given": given,
        "link": PageLink("/events", given),
        "before": before,
        "listed": listed,
        "scanned": audit_events.SCANNED,
        "page_size": PAGE_SIZE,
    }


def _read_given(visit: Visit, names: Sequence[str]) -> dict[str, str]:
    return {name: visit.query_value(name).strip() for name in names}
