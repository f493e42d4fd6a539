"""A value that must be one of a few known ones."""

from collections.abc import Iterable

from qdrant_rollouts.core.errors import Malformed
from qdrant_rollouts.core.sanitize.quoting import quote_value


def check_choice(name: str, given: str, known: Iterable[str]) -> None:
    """``name`` is what people call the value. Raises Malformed, with the known values; an empty one
    among them may be given, but is not named."""
    choices = list(known)
    if given not in choices:
        named = ", ".join(choice for choice in choices if choice)
        raise Malformed(f"{name} {quote_value(given)} is not known; known: {named}")
