"""``rollouts alert``."""

from qdrant_rollouts.interfaces.cli.groups import Verbs

alert = Verbs(
    package=__name__,
    help="Lists alerts and their deliveries, and tests channels.",
    verbs={
        "list": "Lists alerts, newest first, with the result of each delivery.",
        "test": "Sends a test to CHANNEL, or to every channel of the index file.",
    },
)
