"""``rollouts backup``."""

from qdrant_rollouts.interfaces.cli.groups import Verbs

backup = Verbs(
    package=__name__,
    help="""Backups of an index, in a directory or on S3 and the like.

    Where they stand is for ROLLOUTS_BACKUP_DIR to say.

    A backup is a snapshot of the collection behind an alias, with its checksum and what it must
    contain. It needs a Qdrant server; the embedded one has no snapshots.
    """,
    verbs={
        "create": "Backs up the collection behind ALIAS.",
        "list": "Backups, newest first, and what verifications said of them.",
        "verify": "Restores a backup under a temporary name, compares, and drops it.",
        "restore": "Makes a new collection of a backup, which serves if it passes the gate.",
    },
)
