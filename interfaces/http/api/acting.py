"""What changes something, each by the function of the core that the command line calls too."""

from collections.abc import Callable

from qdrant_rollouts.core.alerts import deliveries
from qdrant_rollouts.core.answers import backups as stored
from qdrant_rollouts.core.answers import experiments as compared
from qdrant_rollouts.core.answers import schedules as timed
from qdrant_rollouts.core.answers.collecting import Collected
from qdrant_rollouts.core.answers.deployments import Rebuilt, Started
from qdrant_rollouts.core.collections.deletion import garbage_collection as collecting
from qdrant_rollouts.core.collections.deletion import retention_policy as keeping
from qdrant_rollouts.core.deployments import backups, commands
from qdrant_rollouts.core.deployments.commands import adoption, rebuilding
from qdrant_rollouts.core.experiments import commands as trials
from qdrant_rollouts.core.experiments import queries as tried
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.operations.schedules import commands as schedules
from qdrant_rollouts.core.operations.schedules import queries as scheduled
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.interfaces.http.api import requests
from qdrant_rollouts.interfaces.http.api.endpoint import Answer, Call

# --- deployments ------------------------------------------------------------------------------------------------


def started(call: Call, deployment: str) -> Started:
    return queries.started(call.services, deployment)


def deploy(call: Call, given: requests.Deploy) -> Started:
    begun = commands.deploy(
        call.services,
        given.alias,
        actor=call.actor,
        source=given.source,
        strategy=given.strategy,
        queries=given.validation_queries,
        rollback_on_failure=given.rollback_on_failure,
        collection=given.collection,
        options=given.options,
        reason=given.reason,
        along=call.along,
    )
    return started(call, begun)


def rebuild(call: Call, given: requests.Reasoned) -> Started | Rebuilt:
    alias = call.path["alias"]
    found = rebuilding.rebuild(call.services, alias, actor=call.actor, reason=given.reason, along=call.along)
    if isinstance(found, str):
        return started(call, found)
    return {
        "deployment_id": None,
        "status": "unchanged",
        "alias": alias,
        "old_collection": found.collection,
        "new_collection": found.collection,
        "reason": found.reason,
    }


def rollback(call: Call, given: requests.Reasoned) -> Started:
    back = commands.rollback(call.services, call.path["alias"], actor=call.actor, reason=given.reason, along=call.along)
    return started(call, back)


def wish(event: Event) -> Callable[[Call, requests.Reasoned], Started]:
    def wished(call: Call, given: requests.Reasoned) -> Started:
        deployment = call.path["deployment"]
        return started(call, commands.wish(call.services, deployment, event, actor=call.actor, reason=given.reason))

    return wished


def abort(call: Call, given: requests.Abort) -> Started:
    return wish(Event.ABORT_KEEP if given.keep else Event.ABORT)(call, given)


def promote(call: Call, given: requests.Promote) -> Started:
    return wish(Event.PROMOTE_FULL if given.full else Event.PROMOTE)(call, given)


# --- aliases and collections ------------------------------------------------------------------------------------


def create_alias(call: Call, given: requests.NewAlias) -> Answer:
    return commands.create_alias(
        call.services, given.alias, given.collection, force=given.force, actor=call.actor, reason=given.reason
    )


def switch_alias(call: Call, given: requests.Switch) -> Answer:
    return commands.switch_alias(
        call.services,
        call.path["alias"],
        given.collection,
        delete_old=given.delete_old,
        actor=call.actor,
        reason=given.reason,
    )


def delete_alias(call: Call, given: requests.Reasoned) -> Answer:
    return commands.delete_alias(call.services, call.path["alias"], actor=call.actor, reason=given.reason)


def delete_collection(call: Call, given: requests.Delete) -> Answer:
    return commands.safe_delete_collection(
        call.services,
        call.path["collection"],
        grace_period_minutes=given.grace_period_minutes,
        actor=call.actor,
        reason=given.reason or "asked for",
    )


def collect(call: Call, given: requests.Collect) -> Collected:
    return collecting.collect(call.services, actor=call.actor, reason=given.reason, orphans=given.orphans)


def keep(call: Call, given: requests.Reasoned) -> Answer:
    return dict(keeping.keep(call.services, call.path["collection"], actor=call.actor, reason=given.reason))


def adopt(call: Call, given: requests.Adopt) -> Answer:
    return adoption.adopt(
        call.services,
        call.path["alias"],
        actor=call.actor,
        reason=given.reason,
        collection=given.collection,
        trust=given.trust,
    )


# --- experiments ------------------------------------------------------------------------------------------------


def experiment(call: Call, experiment: str) -> compared.Experiment:
    return tried.experiment(call.services, experiment)


def create_experiment(call: Call, given: requests.NewExperiment) -> compared.Experiment:
    created = trials.create(
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
    return experiment(call, created)


def start_experiment(call: Call, given: requests.Reasoned) -> compared.Experiment:
    return experiment(call, trials.start(call.services, call.path["experiment"], actor=call.actor, reason=given.reason))


def stop_experiment(call: Call, given: requests.Reasoned) -> compared.Experiment:
    return experiment(call, trials.stop(call.services, call.path["experiment"], actor=call.actor, reason=given.reason))


def widen_experiment(call: Call, given: requests.Widen) -> compared.Experiment:
    name, coverage = call.path["experiment"], given.coverage
    return experiment(call, trials.widen(call.services, name, coverage, actor=call.actor, reason=given.reason))


# --- backups ----------------------------------------------------------------------------------------------------


def backup(call: Call, backup: str) -> stored.Backup:
    return backups.record(call.services, backup)


def verification(call: Call, run: str) -> stored.Verification:
    return backups.verification(call.services, run)


def create_backup(call: Call, given: requests.NewBackup) -> stored.Backup:
    made = backups.create(
        call.services, given.alias, actor=call.actor, reason=given.reason, keep=given.keep, along=call.along
    )
    return backup(call, made)


def verify_backup(call: Call, given: requests.Reasoned) -> stored.Verification:
    named, why = call.path["backup"], given.reason
    return verification(
        call, backups.verify(call.services, backup=named, actor=call.actor, reason=why, along=call.along)
    )


def restore_backup(call: Call, given: requests.Reasoned) -> Started:
    named, why = call.path["backup"], given.reason
    return started(call, backups.restore(call.services, backup=named, actor=call.actor, reason=why, along=call.along))


# --- schedules and alerts -----------------------------------------------------------------------------------------


def schedule_run(call: Call, run: str) -> timed.Run:
    return scheduled.run(call.services, int(run))


def run_schedule(call: Call, given: requests.Reasoned) -> timed.Run:
    alias, action = call.path["alias"], call.path["action"]
    asked = schedules.run(call.services, alias, action, actor=call.actor, reason=given.reason, along=call.along)
    return schedule_run(call, str(asked))


def pause_schedule(call: Call, given: requests.Reasoned) -> timed.Schedule:
    alias, action = call.path["alias"], call.path["action"]
    schedules.pause(call.services, alias, action, actor=call.actor, reason=given.reason)
    return _schedule(call)


def resume_schedule(call: Call, given: requests.Reasoned) -> timed.Schedule:
    alias, action = call.path["alias"], call.path["action"]
    schedules.resume(call.services, alias, action, actor=call.actor, reason=given.reason)
    return _schedule(call)


def change_schedule(call: Call, given: requests.Times) -> timed.Schedule:
    wanted = given.model_dump(exclude={"reason"}, exclude_none=True)
    alias, action = call.path["alias"], call.path["action"]
    schedules.change(call.services, alias, action, wanted, actor=call.actor, reason=given.reason)
    return _schedule(call)


def _schedule(call: Call) -> timed.Schedule:
    found = scheduled.schedules(call.services, call.path["alias"])
    return next(one for one in found if one["action"] == call.path["action"])


def test_alerts(call: Call, given: requests.TestAlert) -> Answer:
    faults = deliveries.try_channels(call.services, given.channel, actor=call.actor, reason=given.reason)
    return {"channels": {name: {"sent": not fault, "error": fault} for name, fault in faults.items()}}
