"""The traits of a step, by the name in its row. All code that handles steps as rows uses this one
table.

Rule: only this table, ``STEPS`` and the strategies know steps by their names. Other code that must
distinguish steps asks for a trait. A step that is not in this table has no traits; so does a step
of a newer release.

The functions of steps are elsewhere (``core.deployments.steps``), so code that only reads rows does
not load them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement

from qdrant_rollouts.core.database.models import StepRow


@dataclass(frozen=True, slots=True)
class StepTraits:
    """All traits are false by default.

    ``builds``: from this step on, the deployment needs a place among the rebuilds. ``makes_green``:
    green exists after this step. ``fills_green``: the step records how many points green got, and
    how. ``judges``: it keeps a report of the gate. ``needs_blue``: it makes sense only if a
    collection serves already. ``catches_up``: green gets what was written while it was built.
    ``shares_searches``: from this step on, some searches go to green.
    ``moves_alias``: after this step the alias leads to green. ``guarded``: the engine takes turns
    of this step even while the deployment is paused. ``unpacks_source``: the records are read from
    the collection that is named in its arguments.
    """

    builds: bool = False
    makes_green: bool = False
    fills_green: bool = False
    judges: bool = False
    needs_blue: bool = False
    catches_up: bool = False
    shares_searches: bool = False
    moves_alias: bool = False
    guarded: bool = False
    unpacks_source: bool = False


TRAITS: Mapping[str, StepTraits] = {
    "create": StepTraits(builds=True, makes_green=True),
    "populate": StepTraits(fills_green=True),
    "validate": StepTraits(judges=True),
    "catch_up": StepTraits(fills_green=True, catches_up=True),
    "shift": StepTraits(needs_blue=True, shares_searches=True, guarded=True),
    "switch": StepTraits(moves_alias=True),
    "recover": StepTraits(makes_green=True, fills_green=True),
    "unpack": StepTraits(unpacks_source=True),
}
_NONE = StepTraits()
Trait = Callable[[StepTraits], bool]


def traits_of(name: str) -> StepTraits:
    return TRAITS.get(name, _NONE)


def has_step(names: Iterable[str], trait: Trait) -> bool:
    """Returns whether a plan, given by the names of its steps, has a step with ``trait``."""
    return any(trait(traits_of(name)) for name in names)


def names_with(trait: Trait) -> frozenset[str]:
    """Returns the names of all steps that have ``trait``."""
    return frozenset(name for name, traits in TRAITS.items() if trait(traits))


def has_trait(trait: Trait) -> ColumnElement[bool]:
    """Returns the same as a condition on rows of steps."""
    return StepRow.name.in_(names_with(trait))
