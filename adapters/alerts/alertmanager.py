"""Alerts for Prometheus Alertmanager, API v2 (its ``api/v2/openapi.yaml``: ``postableAlerts``). It
groups and repeats by labels; an alert ends when the same labels are sent with an ``endsAt`` in the
past."""

import json
from datetime import datetime, timedelta
from typing import Any

from qdrant_rollouts.adapters.alerts import posting, secret
from qdrant_rollouts.core.alerts.outbox import REPEAT
from qdrant_rollouts.core.config.alert_spec import AlertmanagerSpec
from qdrant_rollouts.core.ports import Notice
from qdrant_rollouts.core.times import as_iso

#: A lasting alert is repeated before it would end there by itself; a momentary one ends soon.
_ALERT_LIFETIME = REPEAT + timedelta(hours=1)
_MOMENT_LIFETIME = timedelta(minutes=15)


def post_to_alertmanager(spec: AlertmanagerSpec, notice: Notice) -> None:
    headers = {"content-type": "application/json"}
    if spec.secret is not None:
        headers["authorization"] = (
            f"Bearer {secret.read_channel_secret(spec.secret, ascii_only=True)}"
        )
    posting.post_bytes(
        f"{spec.url.rstrip('/')}/api/v2/alerts", json.dumps([build_alert(notice)]).encode(), headers
    )


def build_alert(notice: Notice) -> dict[str, Any]:
    return {
        "labels": _alert_labels(notice),
        "annotations": {"summary": notice.subject, "id": notice.id, **dict(notice.lines)},
        "startsAt": as_iso(notice.since),
        "endsAt": as_iso(_end_time(notice)),
    }


def _alert_labels(notice: Notice) -> dict[str, str]:
    """Two momentary alerts of one kind are different alerts, so such an alert has its id among its
    labels."""
    named = {"alertname": notice.what, "index": notice.index, "severity": str(notice.severity)}
    own = {"moment": notice.id} if notice.state == "moment" else {}
    return {**named, **own, "service": "qdrant-rollouts"}


def _end_time(notice: Notice) -> datetime:
    if notice.state == "resolved":
        return notice.at
    return notice.at + (_MOMENT_LIFETIME if notice.state == "moment" else _ALERT_LIFETIME)
