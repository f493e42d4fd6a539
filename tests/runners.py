"""Deployments of the command line that are over soon: a runner in this process, which takes shorter
looks at an index than ``rollouts up`` does."""

from contextlib import contextmanager
from dataclasses import replace

from qdrant_rollouts.core.config.settings import load_settings
from qdrant_rollouts.interfaces.embedded import TIMES, Embedded
from tests.qdrants import wait_until

#: A gate that asks a few questions, and a soak of two looks.
_BRIEF = (
    "soak={seconds: 0.2, interval_seconds: 0.1}",
    "validation.samples={records: 20, queries: 20}",
    "validation.live_searches_per_second=1000000",
)


@contextmanager
def running():
    """A runner of this folder and environment."""
    with Embedded(load_settings(), replace(TIMES, ready_look=0.1)) as runner:
        yield
    runner.services.close()


def deploy(shell, alias, *arguments):
    """Starts a deployment, and returns its status when it has ended."""
    brief = [word for option in _BRIEF for word in ("--option", option)]
    started = shell.json("deploy", alias, *brief, *arguments)

    def find_end():
        seen = shell.json("status", started["id"])
        return seen if seen["finished_at"] else None

    return wait_until(find_end, 120)
