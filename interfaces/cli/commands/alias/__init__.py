"""``rollouts alias``."""

from qdrant_rollouts.interfaces.cli.groups import Verbs

alias = Verbs(
    package=__name__,
    help="Lists, creates, moves and deletes aliases.",
    verbs={
        "list": "Lists every alias and the collection behind it.",
        "create": "Points a new ALIAS to COLLECTION.",
        "switch": "Points an existing ALIAS to another COLLECTION, in one request.",
        "delete": "Deletes ALIAS; the collection behind it stays.",
    },
)
