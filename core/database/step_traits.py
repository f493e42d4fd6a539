"""What is particular about a step, by the name that its row has: the one table for all who meet it
as a row.

Rule: outside this table, ``STEPS`` and the strategies, nobody knows a step by its name. Whoever has
to tell steps apart asks for a trait. A step that is not named here has none of them, and so has one
of a newer release.

The functions of a step are elsewhere (``core.deployments.steps``), so that a look at rows loads
none of them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement

from qdrant_rollouts.core.database.models import StepRow


@dataclass(frozen=True, slots=True)
class StepTraits:
    """All false where nothing is particular.

    ``builds``: from here on the deployment needs a place among the rebuilds. ``makes_green``: green
    exists when it is done. ``fills_green``: it writes down how many points green got, and of what.
    ``judges``: it keeps a report of the gate. ``needs_blue``: it makes no sense where nothing
    serves. ``shares_searches``: some searches go to green from here on. ``moves_alias``: the alias
    leads to green when it is done. ``guarded``: it is looked after also while its deployment is
    paused. ``unpacks_source``: its collection, named in its arguments, is what records are read
    from.
    """

    builds: bool = False
    makes_green: bool = False
    fills_green: bool = False
    judges: bool = False
    needs_blue: bool = False
    shares_searches: bool = False
    moves_alias: bool = False
    guarded: bool = False
    unpacks_source: bool = False


TRAITS: Mapping[str, StepTraits] = {
    "create": StepTraits(builds=True, makes_green=True),
    "populate": StepTraits(fills_green=True),
    "validate": StepTraits(judges=True),
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
    """Whether any step of a plan, given by its names, has ``trait``."""
    return any(trait(traits_of(name)) for name in names)


def names_with(trait: Trait) -> frozenset[str]:
    """The names of all steps that have ``trait``."""
    return frozenset(name for name, traits in TRAITS.items() if trait(traits))


def has_trait(trait: Trait) -> ColumnElement[bool]:
    """The same as a condition on rows of steps."""
    return StepRow.name.in_(names_with(trait))
