"""``rollouts alert``."""

from qdrant_rollouts.interfaces.cli.groups import Verbs

alert = Verbs(
    package=__name__,
    help="What somebody was told of, and whether it got there.",
    verbs={
        "list": "Alerts, newest first, with each channel they go to and what went wrong.",
        "test": "Sends a test to CHANNEL, or to every channel of the index file.",
    },
)
