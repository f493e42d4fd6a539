"""``rollouts schedule``."""

from qdrant_rollouts.interfaces.cli.groups import Verbs

schedule = Verbs(
    package=__name__,
    help="""Shows and changes what runs automatically, and its results.

    Schedules are declared in the index file. A change made here is valid until the file's
    schedule changes.
    """,
    verbs={
        "list": "Lists schedules with their next times and last runs.",
        "run": "Runs ACTION (rebuild, verify, backup) on ALIAS now.",
        "pause": "Pauses ACTION on ALIAS, or all schedules of ALIAS.",
        "resume": "Continues at the next time; missed times are not run later.",
        "set": "Changes or creates the schedule of ACTION on ALIAS.",
    },
)
