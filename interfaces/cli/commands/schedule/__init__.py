"""``rollouts schedule``."""

from qdrant_rollouts.interfaces.cli.groups import Verbs

schedule = Verbs(
    package=__name__,
    help="""What is done by itself, when, and what became of it.

    Schedules stand in the index file; what is said here holds until the file says something new.
    """,
    verbs={
        "list": "Schedules, their next times, their last runs with results.",
        "run": "Has ACTION (rebuild, verify, backup) done on ALIAS now, whatever the time.",
        "pause": "Lets times pass without a run: of ACTION, or of all on ALIAS.",
        "resume": "Goes on with the next time; what passed is not made up for.",
        "set": "Gives ALIAS another schedule of ACTION, or its first.",
    },
)
