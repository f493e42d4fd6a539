"""The strategies people may ask for; each is a function that returns one tuple of steps."""

from collections.abc import Callable

from core.index_file import IndexSpec
from core.plan import Plan
from core.strategies import blue_green

STRATEGIES: dict[str, Callable[[IndexSpec], Plan]] = {
    "blue_green": blue_green.plan,
}
