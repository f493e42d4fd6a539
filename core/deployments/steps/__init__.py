"""The steps that a plan can name. The row of a step stores the name; this table says what the step
does."""

from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.deployments.plan import Step
from qdrant_rollouts.core.deployments.steps import (
    backup_data,
    backup_files,
    backup_snapshot,
    catch_up,
    collections,
    data,
    gate,
    population,
    recovering,
    shift,
    soak,
    stop,
    switch,
)

STEPS: dict[str, Step] = {
    step.name: step
    for step in (
        Step(
            "create",
            do=collections.create_green,
            undo=collections.drop_green,
            queue="bulk",
            output=data.CreatedGreen,
        ),
        Step(
            "populate",
            do=population.populate_green,
            undo=population.clean_up_filling,
            queue="bulk",
            state=data.FillState,
            output=Filling,
        ),
        Step("validate", do=gate.run_gate, queue="bulk", state=data.GateState, output=data.Judged),
        Step(
            "catch_up",
            do=catch_up.catch_up,
            undo=catch_up.forget_catching_up,
            queue="bulk",
            state=data.CatchUpState,
            output=data.CaughtUp,
        ),
        Step(
            "shift",
            do=shift.shift_traffic,
            undo=shift.shift_back,
            soft=True,
            guard=shift.guard_shift,
            lasts=shift.estimate_stage,
            state=data.StageState,
            output=data.StageSeen,
        ),
        Step(
            "switch",
            do=switch.switch_to_green,
            undo=switch.switch_to_blue,
            state=data.SwitchState,
            output=data.Switched,
        ),
        Step(
            "soak",
            do=soak.watch_green,
            soft=True,
            lasts=soak.estimate_soak,
            state=data.SoakState,
            output=data.Soaked,
        ),
        Step("stop", do=stop.stop_trial),
        Step(
            "snapshot",
            do=backup_snapshot.take_snapshot,
            undo=backup_snapshot.drop_snapshot,
            queue="bulk",
            long=True,
            state=backup_data.SnapshotState,
            output=backup_data.TakenSnapshot,
        ),
        Step(
            "fetch",
            do=backup_files.fetch_files,
            undo=backup_files.delete_files,
            queue="bulk",
            long=True,
            state=backup_data.FetchState,
            output=backup_data.FetchedFiles,
        ),
        Step(
            "seal",
            do=backup_files.seal_backup,
            undo=backup_files.unseal_backup,
            queue="bulk",
            output=backup_data.SealedBackup,
        ),
        Step("thin", do=backup_files.prune_backups, output=backup_data.PrunedBackups),
        Step(
            "recover",
            do=recovering.recover_backup,
            undo=recovering.undo_recovery,
            queue="bulk",
            long=True,
            state=backup_data.RecoverState,
            output=backup_data.RecoveredGreen,
        ),
        Step(
            "compare",
            do=recovering.compare_with_manifest,
            queue="bulk",
            output=backup_data.ComparedBackup,
        ),
        Step("drop", do=recovering.finish_verification),
        Step(
            "unpack",
            do=recovering.recover_backup,
            undo=recovering.undo_recovery,
            queue="bulk",
            long=True,
            state=backup_data.RecoverState,
            output=backup_data.UnpackedSource,
        ),
        Step("discard", do=recovering.discard),
    )
}
