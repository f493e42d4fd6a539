"""The steps a plan may name. A plan row stores the name; this table says what it does."""

from qdrant_rollouts.core.deployments.plan import Step
from qdrant_rollouts.core.deployments.steps import (
    backing,
    collections,
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
        Step("create", do=collections.create_green, undo=collections.drop_green, queue="bulk"),
        Step(
            "populate",
            do=population.populate_green,
            undo=population.clean_up_filling,
            queue="bulk",
            phase=population.filling_phase,
        ),
        Step("validate", do=gate.run_gate, queue="bulk"),
        Step(
            "shift",
            do=shift.shift_traffic,
            undo=shift.shift_back,
            soft=True,
            guard=shift.guard_shift,
            lasts=shift.estimate_stage,
        ),
        Step("switch", do=switch.switch_to_green, undo=switch.switch_to_blue),
        Step("soak", do=soak.watch_green, soft=True, lasts=soak.estimate_soak),
        Step("stop", do=stop.stop_trial),
        Step("snapshot", do=backing.take_snapshot, undo=backing.drop_snapshot, queue="bulk"),
        Step("fetch", do=backing.fetch_files, undo=backing.delete_files, queue="bulk", long=True),
        Step("seal", do=backing.seal_backup, undo=backing.unseal_backup, queue="bulk"),
        Step("thin", do=backing.prune_backups),
        Step("recover", do=recovering.recover_backup, undo=recovering.undo_recovery, queue="bulk", long=True),
        Step("compare", do=recovering.compare_with_manifest, queue="bulk"),
        Step("drop", do=recovering.finish_verification),
        Step("unpack", do=recovering.recover_backup, undo=recovering.undo_recovery, queue="bulk", long=True),
        Step("discard", do=recovering.discard),
    )
}
