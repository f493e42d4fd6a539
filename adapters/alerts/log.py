"""Alerts as log lines."""

import logging

from qdrant_rollouts.core.config.alert_spec import LogSpec
from qdrant_rollouts.core.ports import Notice

_LEVELS = {"info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
_log = logging.getLogger("rollouts.alerts")


def log_alert(spec: LogSpec, notice: Notice) -> None:
    said = "; ".join(text if name == "text" else f"{name}: {text}" for name, text in notice.lines)
    _log.log(_LEVELS[notice.severity], "%s: %s [%s]", notice.subject, said, notice.id)
