"""The commands and queries for backups. The shelf holds the finished backups; the rows say what is
being done.

A backup's id is that of the run which made it. `rollouts status` shows the run while its rows
exist, and the manifest contains enough to restore the backup without any row.

Names are imported from their modules at first use, so listing backups does not load the code that
makes them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from qdrant_rollouts.core.sanitize.quoting import quote_value

if TYPE_CHECKING:
    from qdrant_rollouts.core.deployments.backups.commands import (
        create_backup,
        restore_backup,
        verify_backup,
    )
    from qdrant_rollouts.core.deployments.backups.queries import (
        get_backup,
        get_restored_backup,
        get_verification,
        list_backups,
    )

_NAMES = {
    "commands": ("create_backup", "restore_backup", "verify_backup"),
    "queries": ("list_backups", "get_backup", "get_restored_backup", "get_verification"),
}
_HOME = {name: f"{__name__}.{module}" for module, names in _NAMES.items() for name in names}

__all__ = [
    "create_backup",
    "get_backup",
    "get_restored_backup",
    "get_verification",
    "list_backups",
    "restore_backup",
    "verify_backup",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__} has no attribute {quote_value(name)}")
    return getattr(import_module(_HOME[name]), name)
