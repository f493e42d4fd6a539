"""``alert test``."""

from qdrant_rollouts.core.alerts import deliveries
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.running import DONE, UNREACHABLE, actor, opened


def test(channel: str | None, reason: str, as_json: bool) -> int:
    with opened(needs="place") as house:
        faults = deliveries.try_channels(house.services, channel, actor=actor(), reason=reason)
    if as_json:
        screen.emit({"channels": {name: {"sent": not fault, "error": fault} for name, fault in faults.items()}})
    else:
        rows = screen.table("CHANNEL", "TEST", "WHAT WENT WRONG")
        for name, fault in faults.items():
            screen.row(rows, (name, screen.word("fail" if fault else "ok"), fault))
        screen.console().print(rows)
    return UNREACHABLE if any(faults.values()) else DONE
