"""Alerts as log lines."""

import logging

from core.ports import Alert

_LEVELS = {"info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}


class LogChannel:
    def __init__(self) -> None:
        self._log = logging.getLogger("rollouts.alerts")

    def send(self, alert: Alert) -> None:
        self._log.log(_LEVELS[alert.severity], "%s: %s", alert.subject, alert.text)
