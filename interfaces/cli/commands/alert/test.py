"""``rollouts alert test``."""

import click

from qdrant_rollouts.core.alerts import deliveries
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.options import json_option, reason_option
from qdrant_rollouts.interfaces.cli.running import DONE, UNREACHABLE, actor, open_services, verb


@click.command()
@click.argument("channel", required=False)
@reason_option
@json_option
@verb
def try_alert_channels(channel: str | None, reason: str, as_json: bool) -> int:
    """Sends a test to CHANNEL, or to every channel of the index file.

    The exit code is 0 if every channel accepts it, and 3 if not.
    """
    with open_services(needs="place") as context:
        faults = deliveries.try_channels(context.services, channel, actor=actor(), reason=reason)
    if as_json:
        screen.print_json(
            {
                "channels": {
                    name: {"sent": not fault, "error": fault} for name, fault in faults.items()
                }
            }
        )
    else:
        rows = screen.make_table("CHANNEL", "TEST", "WHAT WENT WRONG")
        for name, fault in faults.items():
            screen.add_row(rows, (name, screen.status_text("fail" if fault else "ok"), fault))
        screen.make_console().print(rows)
    if any(faults.values()):
        return UNREACHABLE
    return DONE
