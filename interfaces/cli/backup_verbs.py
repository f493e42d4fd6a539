"""``rollouts backup``: its verbs with their arguments; what they do stands in ``backing``."""

from typing import Any

import click

from qdrant_rollouts.interfaces.cli.calling import Command, InOrder, as_json, reason, verb


def _wait_options(command: Command) -> Command:
    wait = click.option("--wait/--no-wait", default=True, show_default=True, help="Show progress until it has ended.")
    timeout = click.option(
        "--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="How long to wait; it goes on after that."
    )
    return wait(timeout(command))


def _backup_arguments(command: Command) -> Command:
    alias = click.option("--alias", help="The latest backup of this index, instead of BACKUP_ID.")
    return click.argument("backup_id", required=False)(alias(command))


@click.group(cls=InOrder)
def backup() -> None:
    """Backups of an index, in a directory or on S3 and the like.

    Where they stand is for ROLLOUTS_BACKUP_DIR to say.

    A backup is a snapshot of the collection behind an alias, with its checksum and what it must contain. It needs a
    Qdrant server; the embedded one has no snapshots.
    """


@backup.command()
@click.argument("alias")
@click.option("--keep", type=click.IntRange(min=1), metavar="N", help="Keep the N latest of ALIAS, remove older ones.")
@_wait_options
@reason
@as_json
def create(**given: Any) -> None:
    """Backs up the collection behind ALIAS."""
    verb("backing.run_backup", **given)


@backup.command("list")
@click.option("--alias", help="Only those of this index.")
@as_json
def list_backups(**given: Any) -> None:
    """Backups, newest first, and what verifications said of them."""
    verb("lists.backups.show_backups", **given)


@backup.command()
@_backup_arguments
@_wait_options
@reason
@as_json
def verify(**given: Any) -> None:
    """Restores a backup under a temporary name, compares, and drops it.

    Exit code 0 only if everything was as the manifest says.
    """
    verb("backing.run_verification", **given)


@backup.command()
@_backup_arguments
@_wait_options
@reason
@as_json
def restore(**given: Any) -> None:
    """Makes a new collection of a backup, which serves if it passes the gate.

    An alias that is gone is made again; what serves now is kept for its grace period.
    """
    verb("backing.run_restore", **given)
