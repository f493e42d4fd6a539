"""Endpoints that change something, each with the same function of the core as the command line."""

from collections.abc import Callable

from qdrant_rollouts.core.alerts import deliveries
from qdrant_rollouts.core.answers import backups as backup_answers
from qdrant_rollouts.core.answers import experiments as experiment_answers
from qdrant_rollouts.core.answers import schedules as schedule_answers
from qdrant_rollouts.core.answers.collecting import Collected
from qdrant_rollouts.core.answers.deployments import Rebuilt, Started
from qdrant_rollouts.core.answers.indexes import Marked
from qdrant_rollouts.core.collections import marks
from qdrant_rollouts.core.collections.deletion import garbage_collection, retention_policy
from qdrant_rollouts.core.deployments import backups, commands
from qdrant_rollouts.core.deployments.commands import adoption, rebuilding
from qdrant_rollouts.core.experiments import commands as experiment_commands
from qdrant_rollouts.core.experiments import queries as experiment_queries
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.operations.schedules import commands as schedule_commands
from qdrant_rollouts.core.operations.schedules import queries as schedule_queries
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.interfaces.http.api.endpoint import Answer, Call
from qdrant_rollouts.interfaces.http.api.requests.backups import BackupRequest
from qdrant_rollouts.interfaces.http.api.requests.collections import (
    AliasCreationRequest,
    AliasSwitchRequest,
    CollectionDeletionRequest,
    GarbageCollectionRequest,
)
from qdrant_rollouts.interfaces.http.api.requests.deployments import (
    AbortRequest,
    DeploymentRequest,
    PromotionRequest,
    RollbackRequest,
)
from qdrant_rollouts.interfaces.http.api.requests.events import AlertTestRequest
from qdrant_rollouts.interfaces.http.api.requests.experiments import (
    CoverageRequest,
    ExperimentRequest,
)
from qdrant_rollouts.interfaces.http.api.requests.fields import ReasonRequest
from qdrant_rollouts.interfaces.http.api.requests.indexes import AdoptionRequest, MarkRequest
from qdrant_rollouts.interfaces.http.api.requests.schedules import ScheduleChangeRequest


def show_run(call: Call, deployment: str) -> Started:
    return queries.describe_started(call.services, deployment)


def start_deployment(call: Call, given: DeploymentRequest) -> Started:
    begun = commands.start_deployment(
        call.services,
        given.alias,
        actor=call.actor,
        reason=given.reason,
        along=call.along,
        **given.asked,
    )
    return show_run(call, begun)


def rebuild_index(call: Call, given: ReasonRequest) -> Started | Rebuilt:
    alias = call.path["alias"]
    found = rebuilding.rebuild_index(
        call.services, alias, actor=call.actor, reason=given.reason, along=call.along
    )
    if isinstance(found, str):
        return show_run(call, found)
    return {
        "deployment_id": None,
        "status": "unchanged",
        "alias": alias,
        "old_collection": found.collection,
        "new_collection": found.collection,
        "reason": found.reason,
    }


def start_rollback(call: Call, given: RollbackRequest) -> Started:
    back = commands.start_rollback(
        call.services,
        call.path["alias"],
        actor=call.actor,
        reason=given.reason,
        now=given.now,
        to=given.to,
        force=given.force,
        along=call.along,
    )
    return show_run(call, back)


def change_mark(call: Call, given: MarkRequest) -> Marked:
    return marks.mark_version(
        call.services,
        call.path["alias"],
        given.version,
        bad=given.bad,
        actor=call.actor,
        reason=given.reason,
    )


def request_sender(event: Event) -> Callable[[Call, ReasonRequest], Started]:
    def request_event(call: Call, given: ReasonRequest) -> Started:
        deployment = call.path["deployment"]
        return show_run(
            call,
            commands.request_action(
                call.services, deployment, event, actor=call.actor, reason=given.reason
            ),
        )

    return request_event


def abort_run(call: Call, given: AbortRequest) -> Started:
    return request_sender(Event.ABORT_KEEP if given.keep else Event.ABORT)(call, given)


def promote_run(call: Call, given: PromotionRequest) -> Started:
    return request_sender(Event.PROMOTE_FULL if given.full else Event.PROMOTE)(call, given)


def create_alias(call: Call, given: AliasCreationRequest) -> Answer:
    return commands.create_alias(
        call.services,
        given.alias,
        given.collection,
        force=given.force,
        actor=call.actor,
        reason=given.reason,
    )


def switch_alias(call: Call, given: AliasSwitchRequest) -> Answer:
    return commands.switch_alias(
        call.services,
        call.path["alias"],
        given.collection,
        delete_old=given.delete_old,
        actor=call.actor,
        reason=given.reason,
    )


def delete_alias(call: Call, given: ReasonRequest) -> Answer:
    return commands.delete_alias(
        call.services, call.path["alias"], actor=call.actor, reason=given.reason
    )


def delete_collection(call: Call, given: CollectionDeletionRequest) -> Answer:
    return commands.safe_delete_collection(
        call.services,
        call.path["collection"],
        grace_period_minutes=given.grace_period_minutes,
        actor=call.actor,
        reason=given.reason or "asked for",
    )


def collect_garbage(call: Call, given: GarbageCollectionRequest) -> Collected:
    return garbage_collection.collect_garbage(
        call.services, actor=call.actor, reason=given.reason, orphans=given.orphans
    )


def keep_collection(call: Call, given: ReasonRequest) -> Answer:
    return dict(
        retention_policy.keep_collection(
            call.services, call.path["collection"], actor=call.actor, reason=given.reason
        )
    )


def adopt_alias(call: Call, given: AdoptionRequest) -> Answer:
    return adoption.adopt_collection(
        call.services,
        call.path["alias"],
        actor=call.actor,
        reason=given.reason,
        collection=given.collection,
        trust=given.trust,
    )


def show_experiment(call: Call, experiment: str) -> experiment_answers.Experiment:
    return experiment_queries.get_experiment(call.services, experiment)


def create_experiment(call: Call, given: ExperimentRequest) -> experiment_answers.Experiment:
    created = experiment_commands.create_experiment(
        call.services,
        given.name,
        given.control,
        given.treatments,
        actor=call.actor,
        alias=given.alias,
        split=given.split,
        metrics=given.metrics,
        options=given.options,
        start=given.start,
        reason=given.reason,
        along=call.along,
    )
    return show_experiment(call, created)


def start_experiment(call: Call, given: ReasonRequest) -> experiment_answers.Experiment:
    return show_experiment(
        call,
        experiment_commands.start_experiment(
            call.services, call.path["experiment"], actor=call.actor, reason=given.reason
        ),
    )


def stop_experiment(call: Call, given: ReasonRequest) -> experiment_answers.Experiment:
    return show_experiment(
        call,
        experiment_commands.stop_experiment(
            call.services, call.path["experiment"], actor=call.actor, reason=given.reason
        ),
    )


def widen_experiment(call: Call, given: CoverageRequest) -> experiment_answers.Experiment:
    name = call.path["experiment"]
    coverage = given.coverage
    return show_experiment(
        call,
        experiment_commands.widen_experiment(
            call.services, name, coverage, actor=call.actor, reason=given.reason
        ),
    )


def show_backup(call: Call, backup: str) -> backup_answers.Backup:
    return backups.get_backup(call.services, backup)


def show_verification(call: Call, run: str) -> backup_answers.Verification:
    return backups.get_verification(call.services, run)


def create_backup(call: Call, given: BackupRequest) -> backup_answers.Backup:
    made = backups.create_backup(
        call.services,
        given.alias,
        actor=call.actor,
        reason=given.reason,
        keep=given.keep,
        along=call.along,
    )
    return show_backup(call, made)


def verify_backup(call: Call, given: ReasonRequest) -> backup_answers.Verification:
    named = call.path["backup"]
    why = given.reason
    return show_verification(
        call,
        backups.verify_backup(
            call.services, backup=named, actor=call.actor, reason=why, along=call.along
        ),
    )


def restore_backup(call: Call, given: ReasonRequest) -> Started:
    named = call.path["backup"]
    why = given.reason
    return show_run(
        call,
        backups.restore_backup(
            call.services, backup=named, actor=call.actor, reason=why, along=call.along
        ),
    )


def show_schedule_run(call: Call, run: str) -> schedule_answers.Run:
    return schedule_queries.get_schedule_run(call.services, int(run))


def run_schedule(call: Call, given: ReasonRequest) -> schedule_answers.Run:
    alias = call.path["alias"]
    action = call.path["action"]
    asked = schedule_commands.run_schedule(
        call.services, alias, action, actor=call.actor, reason=given.reason, along=call.along
    )
    return show_schedule_run(call, str(asked))


def pause_schedule(call: Call, given: ReasonRequest) -> schedule_answers.Schedule:
    alias = call.path["alias"]
    action = call.path["action"]
    schedule_commands.pause_schedule(
        call.services, alias, action, actor=call.actor, reason=given.reason
    )
    return _show_schedule(call)


def resume_schedule(call: Call, given: ReasonRequest) -> schedule_answers.Schedule:
    alias = call.path["alias"]
    action = call.path["action"]
    schedule_commands.resume_schedule(
        call.services, alias, action, actor=call.actor, reason=given.reason
    )
    return _show_schedule(call)


def change_schedule(call: Call, given: ScheduleChangeRequest) -> schedule_answers.Schedule:
    wanted = given.model_dump(exclude={"reason"}, exclude_none=True)
    alias = call.path["alias"]
    action = call.path["action"]
    schedule_commands.change_schedule(
        call.services, alias, action, wanted, actor=call.actor, reason=given.reason
    )
    return _show_schedule(call)


def _show_schedule(call: Call) -> schedule_answers.Schedule:
    found = schedule_queries.list_schedules(call.services, call.path["alias"])
    return next(one for one in found if one["action"] == call.path["action"])


def test_alerts(call: Call, given: AlertTestRequest) -> Answer:
    faults = deliveries.try_channels(
        call.services, given.channel, actor=call.actor, reason=given.reason
    )
    return {
        "channels": {name: {"sent": not fault, "error": fault} for name, fault in faults.items()}
    }
