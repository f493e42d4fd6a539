"""Sends an operator's request to a deployment: promote, retry, pause, resume or abort."""

import threading
from contextlib import closing

from qdrant_rollouts.core.database import leases
from qdrant_rollouts.core.deployments import commands, engine
from qdrant_rollouts.core.lifecycle import MOVING, Event, Status
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.operations.views.overview.deployment_situation import (
    get_deployment_with_situation,
)
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.cli import picture, screen
from qdrant_rollouts.interfaces.cli.following import Seen
from qdrant_rollouts.interfaces.cli.running import DONE, actor, open_services
from qdrant_rollouts.interfaces.embedded import running_elsewhere, take_lock

_POLL_SECONDS = 0.2


def send_request(asked: Event, deployment_id: str, reason: str, as_json: bool) -> int:
    """Stores the request in the deployment's row; the process that runs the deployment applies it.
    With the embedded default and no such process, this process takes the turns that apply the
    request. For an abort it takes all turns of the rollback. It starts nothing else."""
    with open_services(starts=True, needs="rows") as context:
        if asked is Event.ABORT and (
            warning := queries.get_deployment(context.services, deployment_id)["abort_warning"]
        ):
            screen.print_note(warning)
        found = commands.request_action(
            context.services, deployment_id, asked, actor=actor(), reason=reason
        )
        if context.runner is not None and running_elsewhere() is None:
            with closing(take_lock()):
                _carry_out(context.services, found, asked)
            _note_who_continues(context.services, found)
        seen = get_deployment_with_situation(context.services, found)
    if as_json:
        screen.print_json(seen)
    else:
        screen.make_console().print(picture.render_tree(seen))
    return DONE


def _carry_out(services: Services, deployment_id: str, asked: Event) -> None:
    pause = threading.Event()
    told = False
    while not _is_carried_out(seen := queries.get_deployment(services, deployment_id), asked):
        if seen["lease_owner"] and not told:
            told = True
            screen.print_note(
                f"waiting for the turn that {seen['lease_owner']} has begun; if that is gone, up "
                "to 30 s"
            )
        engine.advance(services, deployment_id, seen["turn"], leases.name_owner())
        pause.wait(_POLL_SECONDS)


def _is_carried_out(seen: Seen, asked: Event) -> bool:
    rolling_back = asked is Event.ABORT and seen["status"] == Status.ROLLING_BACK
    return not seen["requested"] and not rolling_back


def _note_who_continues(services: Services, deployment_id: str) -> None:
    if queries.get_deployment(services, deployment_id)["status"] in MOVING:
        screen.print_note("nothing runs it until `rollouts up` is started")
