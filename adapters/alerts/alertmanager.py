"""Alerts for Prometheus Alertmanager, API v2 (its ``api/v2/openapi.yaml``: ``postableAlerts``). It groups and repeats
by labels; what ends is the same labels with an ``endsAt`` that has passed.
"""

import json
from datetime import datetime, timedelta
from typing import Any

from qdrant_rollouts.adapters.alerts import posting, secret
from qdrant_rollouts.core.alerts.outbox import REPEAT
from qdrant_rollouts.core.config.alert_spec import AlertmanagerSpec
from qdrant_rollouts.core.ports import Notice
from qdrant_rollouts.core.times import iso

#: What lasts is said again before it would end there by itself; a moment is over soon.
_LASTING = REPEAT + timedelta(hours=1)
_MOMENT = timedelta(minutes=15)


def send(spec: AlertmanagerSpec, notice: Notice) -> None:
    headers = {"content-type": "application/json"}
    if spec.secret is not None:
        headers["authorization"] = f"Bearer {secret.read(spec.secret, ascii_only=True)}"
    posting.post(f"{spec.url.rstrip('/')}/api/v2/alerts", json.dumps([alert(notice)]).encode(), headers)


def alert(notice: Notice) -> dict[str, Any]:
    return {
        "labels": _labels(notice),
        "annotations": {"summary": notice.subject, "id": notice.id, **dict(notice.lines)},
        "startsAt": iso(notice.since),
        "endsAt": iso(_ends(notice)),
    }


def _labels(notice: Notice) -> dict[str, str]:
    """Two moments of one kind are two alerts: a moment has its id among its labels."""
    named = {"alertname": notice.what, "index": notice.index, "severity": str(notice.severity)}
    own = {"moment": notice.id} if notice.state == "moment" else {}
    return {**named, **own, "service": "qdrant-rollouts"}


def _ends(notice: Notice) -> datetime:
    if notice.state == "resolved":
        return notice.at
    return notice.at + (_MOMENT if notice.state == "moment" else _LASTING)
