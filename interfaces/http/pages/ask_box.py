"""The search box of *Ask both*, on the pages of an index and of a deployment."""

from collections.abc import Container, Mapping, Sequence
from typing import Any

from qdrant_rollouts.core.answers.indexes import Version
from qdrant_rollouts.core.defaults import RESULTS
from qdrant_rollouts.core.operations.asking.bounds import CHOICES, LONGEST_QUERY
from qdrant_rollouts.core.operations.asking.sides import AskedVersion, build_versions
from qdrant_rollouts.interfaces.http.pages.rendering import Shown


def build_box(alias: str, versions: Sequence[AskedVersion] = (), **given: Any) -> Shown:
    """Returns the data of the search box. Without ``versions`` it asks those that are ``given`` as
    ``left`` and ``right``, and nothing else can be chosen."""
    return {
        "alias": alias,
        "query": "",
        "left": "",
        "right": "",
        "limit": RESULTS,
        "choices": [_describe_choice(version) for version in versions if version.there],
        "limits": CHOICES,
        "longest": LONGEST_QUERY,
        **given,
    }


def box_of_index(
    alias: str, listed: Sequence[Version], there: Container[str] | None
) -> Shown | None:
    """Returns None for an index that has no version yet. ``there`` are the existing collections;
    None if they are not known."""
    return build_box(alias, build_versions(listed, there)) if listed else None


def box_of_deployment(seen: Mapping[str, Any]) -> Shown | None:
    """Returns the box that asks blue and green; None if green is not there to be asked."""
    sides = {one["colour"]: one for one in seen["collections"]}
    green = sides.get("green")
    if seen["kind"] != "rollout" or green is None or green["gone"] or green["number"] is None:
        return None
    blue = sides.get("blue")
    known = blue is not None and (blue["live"] or blue["number"] is not None)
    return build_box(
        seen["alias"], left=blue["name"] if blue and known else "", right=green["name"]
    )


def _describe_choice(version: AskedVersion) -> Shown:
    name = version.collection if version.number is None else f"v{version.number}"
    return {"value": version.value, "label": f"{name}, {version.state}"}
