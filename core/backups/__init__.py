"""Backups as people ask for them and look at them. The shelf holds what there is, the rows what is being done.

A backup's id is that of the run which made it: `rollouts status` tells its story while the rows last, and the manifest
says enough to restore it where no row is left.
"""

from core.backups.commands import create, restore, verify
from core.backups.queries import listed, record, restored_from, verification

__all__ = ["create", "listed", "record", "restore", "restored_from", "verification", "verify"]
