"""Runs a check of ``doctor``. A check that cannot be made is a finding too, never a pass."""

from collections.abc import Callable, Iterator

from qdrant_rollouts.core.errors import Misconfigured, OtherRelease, Refused, Unavailable
from qdrant_rollouts.interfaces.cli.running import REFUSED, UNREACHABLE
from qdrant_rollouts.interfaces.health_checks import (
    Check,
)

Findings = Iterator[Check]


def run_check(name: str, look: Callable[[], Findings]) -> list[Check]:
    try:
        return list(look())
    except Refused as error:
        return [Check(name, "fail", str(error), code=REFUSED)]
    except OtherRelease as error:
        return [Check(name, "fail", str(error), "see docs/upgrading.md", REFUSED)]
    except Misconfigured as error:
        return [
            Check(
                name, "fail", str(error), "correct the setting, or what the server allows", REFUSED
            )
        ]
    except Unavailable as error:
        return [Check(name, "fail", str(error), "start it, or correct its address", UNREACHABLE)]
