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
    switch,
)

STEPS: dict[str, Step] = {
    step.name: step
    for step in (
        Step("create", do=collections.create, undo=collections.drop, queue="bulk"),
        Step("populate", do=population.populate, undo=population.tidy, queue="bulk", phase=population.phase),
        Step("validate", do=gate.run, queue="bulk"),
        Step("shift", do=shift.shift, undo=shift.back, soft=True, guard=shift.guard),
        Step("switch", do=switch.switch, undo=switch.restore),
        Step("soak", do=soak.watch, soft=True),
        Step("snapshot", do=backing.snapshot, undo=backing.drop_snapshot, queue="bulk"),
        Step("fetch", do=backing.fetch, undo=backing.throw_away, queue="bulk", long=True),
        Step("seal", do=backing.seal, undo=backing.unseal, queue="bulk"),
        Step("thin", do=backing.thin),
        Step("recover", do=recovering.recover, undo=recovering.remove, queue="bulk", long=True),
        Step("compare", do=recovering.compare, queue="bulk"),
        Step("drop", do=recovering.drop),
        Step("unpack", do=recovering.recover, undo=recovering.remove, queue="bulk", long=True),
        Step("discard", do=recovering.discard),
    )
}
