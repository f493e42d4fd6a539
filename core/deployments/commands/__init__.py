"""What people and programs may ask for. Every refusal comes before anything is changed.

Each command is one function here; the command line, Celery tasks and pages are skins over it.
"""

from qdrant_rollouts.core.defaults import GRACE_MINUTES
from qdrant_rollouts.core.deployments.commands.aliases import (
    create_alias,
    delete_alias,
    safe_delete_collection,
    switch_alias,
)
from qdrant_rollouts.core.deployments.commands.beginning import Along, alone, begin
from qdrant_rollouts.core.deployments.commands.deployments import deploy, rollback, wish
from qdrant_rollouts.core.deployments.commands.specs import spec_of
from qdrant_rollouts.core.deployments.lookup import find

__all__ = [
    "GRACE_MINUTES",
    "Along",
    "alone",
    "begin",
    "create_alias",
    "delete_alias",
    "deploy",
    "find",
    "rollback",
    "safe_delete_collection",
    "spec_of",
    "switch_alias",
    "wish",
]
