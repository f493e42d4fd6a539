"""The commands that people and programs can give. A command refuses before it changes anything.

Each command is one function here; the command line, Celery tasks and pages call it.
"""

from qdrant_rollouts.core.defaults import GRACE_MINUTES
from qdrant_rollouts.core.deployments.commands.aliases import (
    create_alias,
    delete_alias,
    describe_deletion_request,
    safe_delete_collection,
    switch_alias,
)
from qdrant_rollouts.core.deployments.commands.beginning import (
    InTransaction,
    begin_deployment,
    do_nothing,
)
from qdrant_rollouts.core.deployments.commands.deployments import (
    request_action,
    start_deployment,
)
from qdrant_rollouts.core.deployments.commands.rollback_writes import WritesOnTheWay, foresee_writes
from qdrant_rollouts.core.deployments.commands.rollbacks import describe_rollback, start_rollback
from qdrant_rollouts.core.deployments.commands.specs import resolve_spec
from qdrant_rollouts.core.deployments.lookup import find_deployment

__all__ = [
    "GRACE_MINUTES",
    "InTransaction",
    "WritesOnTheWay",
    "begin_deployment",
    "create_alias",
    "delete_alias",
    "describe_deletion_request",
    "describe_rollback",
    "do_nothing",
    "find_deployment",
    "foresee_writes",
    "request_action",
    "resolve_spec",
    "safe_delete_collection",
    "start_deployment",
    "start_rollback",
    "switch_alias",
]
