"""``rollouts backup``."""

from qdrant_rollouts.interfaces.cli.groups import Verbs

backup = Verbs(
    package=__name__,
    help="""Makes, verifies and restores backups of an index.

    ROLLOUTS_BACKUP_DIR says where they are: in a directory, or on S3 or a similar store.

    A backup is a snapshot of the collection behind an alias, with its checksum and what it must
    contain. It needs a Qdrant server; the embedded one has no snapshots.
    """,
    verbs={
        "create": "Backs up the collection behind ALIAS.",
        "list": "Lists backups, newest first, with results of verifications.",
        "verify": "Restores a backup under a temporary name, compares it, drops it.",
        "restore": "Makes a collection from a backup; it serves if it passes the gate.",
    },
)
