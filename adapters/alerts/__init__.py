"""Where alerts go: one file per channel, one row in ``CHANNELS``."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from qdrant_rollouts.adapters.alerts import alertmanager, apprise, email, log, webhook
from qdrant_rollouts.core.config.alert_spec import AlertsSpec
from qdrant_rollouts.core.ports import AlertChannel, Notice

#: kind -> the function that opens a channel from its section of the index file.
CHANNELS: Mapping[str, Callable[[Any, Notice], None]] = {
    "log": log.log_alert,
    "webhook": webhook.post_webhook,
    "alertmanager": alertmanager.post_to_alertmanager,
    "email": email.send_email,
    "apprise": apprise.notify_by_apprise,
}


def open_channels(spec: AlertsSpec) -> dict[str, AlertChannel]:
    """Returns every declared channel by name. Nothing is opened: servers and secrets are used when
    something is sent."""
    return {
        name: AlertChannel(
            channel.kind, channel.min_severity, partial(CHANNELS[channel.kind], channel)
        )
        for name, channel in spec.channels.items()
    }
