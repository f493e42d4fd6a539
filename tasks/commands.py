"""The tasks that applications send by name (contract section 3): JSON in, JSON out, ``Refused`` for
invalid requests."""

from collections.abc import Callable, Mapping, Sequence
from inspect import Signature, signature
from typing import Any

from celery import Celery
from pydantic import BaseModel, ConfigDict, create_model
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from qdrant_rollouts.adapters.celery import give_back
from qdrant_rollouts.core.collections import marks
from qdrant_rollouts.core.config.index_file.values import validate_as
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.faults import explain_error, find_meaning
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.deployments.commands import InTransaction, rebuilding
from qdrant_rollouts.core.errors import (
    AppError,
    Malformed,
    Misconfigured,
    OtherRelease,
    Refused,
    Unavailable,
    Unknown,
)
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.tasks import backups, experiments, records
from qdrant_rollouts.tasks.once import begin_once

Answer = Mapping[str, Any]
ACTOR = "celery"
#: What SQLAlchemy raises for a database that is away, busy or set wrongly.
DATABASE_ERRORS = (DBAPIError, PoolTimeout)


def register_commands(app: Celery, services: Callable[[], Services]) -> None:
    for name, command in COMMANDS.items():
        run = _build_command_task(command, services)
        if name == records.WRITE:
            records.register_writes(app, run)
        else:
            app.task(run, name=name, ignore_result=False, shared=False)


def _build_command_task(
    command: Callable[..., Answer], services: Callable[[], Services]
) -> Callable[..., Answer]:
    takes = signature(command)
    model = _build_arguments_model(takes)

    def run(**arguments: Any) -> Answer:
        try:
            takes.bind(None, **arguments)
        except TypeError as error:
            known = ", ".join(list(takes.parameters)[1:])
            raise _nonsense(services, f"{error}; arguments are {known}") from None
        try:
            validate_as(model, arguments, "arguments")
            with events.use_source("celery"):
                return command(_open_services(services), **arguments)
        except Malformed as refused:
            raise _nonsense(services, str(refused)) from None
        except Unknown as refused:
            # an answer names its error by class, and the contract fixes that name
            raise Refused(str(refused)) from None
        except DATABASE_ERRORS as error:
            raise _answer_for_database(error) from None

    return run


def _open_services(services: Callable[[], Services]) -> Services:
    try:
        return services()
    except (Misconfigured, OtherRelease):
        raise
    except Unavailable as away:  # nothing but the database is met when a process begins
        raise give_back(str(away), counted=True) from None


def _answer_for_database(error: Exception) -> Exception:
    """A request is not thrown away because the database was away or busy for a moment: nobody
    repeats it, and the answer could not be written down either."""
    meaning = find_meaning(error)
    if meaning is None:
        return error
    told = explain_error(error)
    if isinstance(told, Misconfigured):
        return told
    return give_back(str(told), counted=True)


def _nonsense(services: Callable[[], Services], why: str) -> Exception:
    """This program says that the request is never valid; if a newer program is in use, that one is
    asked first."""
    try:
        behind = services().standing().behind
    except OtherRelease:
        behind = True
    except AppError:  # the database does not answer: nothing better is known now
        behind = False
    if behind:
        return give_back(why, counted=True)
    return Refused(why)


def _build_arguments_model(takes: Signature) -> type[BaseModel]:
    """Strict: in Python's lenient mode a text such as "no" would be true, and would force what
    should not be forced."""
    fields: dict[str, Any] = {
        name: (one.annotation, ... if one.default is one.empty else one.default)
        for name, one in list(takes.parameters.items())[1:]
    }
    return create_model("Arguments", __config__=ConfigDict(strict=True), **fields)


@begin_once(queries.describe_started)
def deploy_new_version(
    services: Services,
    along: InTransaction,
    alias_name: str,
    data_source: str | None = None,
    validation_queries: Sequence[str] | None = None,
    rollback_on_failure: bool | None = None,
    options: Mapping[str, Any] | None = None,
    reason: str = "",
    actor: str = ACTOR,
) -> str:
    return commands.start_deployment(
        services,
        alias_name,
        reason=reason,
        source=data_source,
        queries=validation_queries,
        rollback_on_failure=rollback_on_failure,
        options=options,
        actor=actor,
        along=along,
    )


@begin_once(queries.describe_started)
def start_canary(
    services: Services,
    along: InTransaction,
    alias_name: str,
    new_collection: str | None = None,
    data_source: str | None = None,
    stages: Sequence[Mapping[str, Any]] | None = None,
    auto_rollback: bool | None = None,
    options: Mapping[str, Any] | None = None,
    reason: str = "",
    actor: str = ACTOR,
) -> str:
    wanted = dict(options or {})
    if stages is not None:
        wanted["canary"] = {**wanted.get("canary", {}), "stages": list(stages)}
    return commands.start_deployment(
        services,
        alias_name,
        source=data_source,
        strategy="canary",
        collection=new_collection,
        rollback_on_failure=auto_rollback,
        options=wanted,
        reason=reason,
        actor=actor,
        along=along,
    )


@begin_once(queries.describe_started)
def rebuild_index(
    services: Services,
    along: InTransaction,
    alias_name: str,
    reason: str = "",
    actor: str = ACTOR,
) -> str | Answer:
    found = rebuilding.rebuild_index(services, alias_name, actor=actor, reason=reason, along=along)
    if isinstance(found, str):
        return found
    same = {"old_collection": found.collection, "new_collection": found.collection}
    return {"deployment_id": None, "status": "unchanged", "alias": alias_name, **same}


@begin_once(queries.describe_started)
def roll_back_alias(
    services: Services,
    along: InTransaction,
    alias_name: str,
    reason: str = "",
    actor: str = ACTOR,
    now: bool = False,
    to: str | None = None,
    force: bool = False,
) -> str:
    return commands.start_rollback(
        services,
        alias_name,
        reason=reason,
        actor=actor,
        now=now,
        to=to,
        force=force,
        along=along,
    )


def mark_version(
    services: Services,
    alias_name: str,
    version: str,
    bad: bool = True,
    reason: str = "",
    actor: str = ACTOR,
) -> Answer:
    return marks.mark_version(services, alias_name, version, bad=bad, reason=reason, actor=actor)


def create_alias(
    services: Services,
    alias_name: str,
    collection_name: str,
    force: bool = False,
    reason: str = "",
    actor: str = ACTOR,
) -> Answer:
    return commands.create_alias(
        services, alias_name, collection_name, force=force, reason=reason, actor=actor
    )


def switch_alias(
    services: Services,
    alias_name: str,
    new_collection: str,
    delete_old: bool = False,
    reason: str = "",
    actor: str = ACTOR,
) -> Answer:
    return commands.switch_alias(
        services, alias_name, new_collection, delete_old=delete_old, reason=reason, actor=actor
    )


def delete_alias(
    services: Services, alias_name: str, reason: str = "", actor: str = ACTOR
) -> Answer:
    return commands.delete_alias(services, alias_name, reason=reason, actor=actor)


@begin_once(commands.describe_deletion_request)
def safe_delete_collection(
    services: Services,
    along: InTransaction,
    collection_name: str,
    grace_period_minutes: float | None = None,
    reason: str = "asked for",
    actor: str = ACTOR,
) -> Answer:
    return commands.safe_delete_collection(
        services,
        collection_name,
        grace_period_minutes=grace_period_minutes,
        reason=reason,
        actor=actor,
        along=along,
    )


def _describe_requested(services: Services, deployment_id: str) -> Answer:
    answer = queries.describe_started(services, deployment_id)
    return {"deployment_id": answer["deployment_id"], "status": answer["status"]}


def _build_request_command(event: Event) -> Callable[..., Answer]:
    @begin_once(_describe_requested)
    def request(
        services: Services,
        along: InTransaction,
        deployment_id: str,
        reason: str = "",
        actor: str = ACTOR,
    ) -> str:
        return commands.request_action(
            services, deployment_id, event, actor=actor, reason=reason, along=along
        )

    return request


def promote_deployment(
    services: Services, deployment_id: str, reason: str = "", actor: str = ACTOR, full: bool = False
) -> Answer:
    return _build_request_command(Event.PROMOTE_FULL if full else Event.PROMOTE)(
        services, deployment_id, reason, actor
    )


def abort_deployment(
    services: Services, deployment_id: str, reason: str = "", actor: str = ACTOR, keep: bool = False
) -> Answer:
    return _build_request_command(Event.ABORT_KEEP if keep else Event.ABORT)(
        services, deployment_id, reason, actor
    )


COMMANDS: dict[str, Callable[..., Answer]] = {
    "deployments.deploy_new_version": deploy_new_version,
    "deployments.start_canary": start_canary,
    "deployments.promote": promote_deployment,
    "deployments.retry": _build_request_command(Event.RETRY),
    "deployments.pause": _build_request_command(Event.PAUSE),
    "deployments.resume": _build_request_command(Event.RESUME),
    "deployments.abort": abort_deployment,
    "deployments.rollback": roll_back_alias,
    "indexes.rebuild": rebuild_index,
    "versions.mark": mark_version,
    **records.COMMANDS,
    "aliases.create_alias": create_alias,
    "aliases.switch_alias": switch_alias,
    "aliases.delete_alias": delete_alias,
    "collections.safe_delete_collection": safe_delete_collection,
    **experiments.COMMANDS,
    **backups.COMMANDS,
}
