"""``rollouts alias``."""

from qdrant_rollouts.interfaces.cli.groups import Verbs

alias = Verbs(
    package=__name__,
    help="Lists, makes, moves and removes aliases.",
    verbs={
        "list": "Every alias and the collection behind it.",
        "create": "Points a new ALIAS to COLLECTION.",
        "switch": "Points an existing ALIAS to another COLLECTION, in one act.",
        "delete": "Removes ALIAS; the collection behind it stays.",
    },
)
