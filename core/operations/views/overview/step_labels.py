"""What people are told a step is called."""

from collections.abc import Mapping


def label_step(name: str, arguments: Mapping[str, object]) -> str:
    """Returns a step's name, with its share of the searches if several steps have that name."""
    share = arguments.get("percentage")
    if share is None:
        return name
    if arguments.get("shadow"):
        return f"{name} shadow"
    return f"{name} {share:g} %"
