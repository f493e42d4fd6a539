"""Applies blue's strict mode to green. This is done last, before anybody searches green, because
these limits are meant for applications and not for filling and judging."""

from qdrant_rollouts.core.collections.aliases import ACT_SECONDS
from qdrant_rollouts.core.collections.readiness import estimate_points
from qdrant_rollouts.core.collections.schema import (
    is_strict_mode_off,
    list_differences,
    vector_bytes,
)
from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.deployments.steps.data import MadeGreen
from qdrant_rollouts.core.ports import Limits, Schema


def apply_strict_mode(context: StepContext) -> str:
    """Applies the strict mode. Returns why this is not possible, or nothing. A collection that this
    run has not made keeps its settings. Safe to run twice: a strict mode that is on stays on."""
    store = context.services.store
    green = context.deployment.green
    made = context.outputs.find(MadeGreen)
    wanted = made.schema if made else None
    if wanted is None or is_strict_mode_off(wanted) or not is_strict_mode_off(store.schema(green)):
        return ""
    barred = why_no_room(wanted, estimate_points(store, green), describe_blue(context))
    if barred:
        return barred
    context.turn.check(ACT_SECONDS)
    store.set_strict_mode(green, wanted["strict_mode_config"])
    wrong = [
        one
        for one in list_differences(wanted, store.schema(green))
        if one.startswith("strict_mode_config")
    ]
    if not wrong:
        return ""
    return f"the strict mode of {green} was not set as wanted: {'; '.join(wrong)}"


def lift_strict_mode(context: StepContext, collection: str) -> None:
    """Switches the strict mode off, so that a recovered collection is read and judged without
    limits. Safe to run twice."""
    if not is_strict_mode_off(context.services.store.schema(collection)):
        context.turn.check(ACT_SECONDS)
        context.services.store.set_strict_mode(collection, {"enabled": False})


def why_no_room(wanted: Schema, points: int, standard: tuple[str, Schema, int] | None) -> str:
    """Returns which limit of the strict mode green would exceed with so many points, or nothing.
    ``standard`` is blue's name, settings and points: if blue exceeds a limit already, its owner has
    accepted that."""
    limits = Limits.of(wanted.get("strict_mode_config"))
    _, schema, there = standard or ("", wanted, 0)
    sizes = (
        ("max_points_count", limits.max_points_count, points, there, "points"),
        (
            "max_collection_vector_size_bytes",
            limits.max_collection_vector_size_bytes,
            vector_bytes(wanted, points),
            vector_bytes(schema, there),
            "bytes of vectors",
        ),
    )
    for name, most, needed, had, unit in sizes:
        if most is not None and needed > most >= had:
            whose = ""
            if standard:
                whose = f" of {standard[0]}"
            return (
                f"strict mode{whose} allows {most:,} {unit} ({name}), {needed:,} are needed: raise "
                f"{name} there"
            )
    return ""


def describe_blue(context: StepContext) -> tuple[str, Schema, int] | None:
    """Returns blue's name, settings and points; None if there is no blue."""
    store = context.services.store
    blue = context.deployment.blue
    if blue is None or blue not in store.collections():
        return None
    return blue, store.schema(blue), estimate_points(store, blue)
