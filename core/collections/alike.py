"""Which collections may be kept like the live one.

Rule: only a version of the same alias that a deployment of ours has built from what the alias
showed, or that has served, and to which no other alias leads. All others belong to somebody else,
or have other records on purpose, and nothing is ever written to them.
"""

import json

from sqlalchemy.orm import Session

from qdrant_rollouts.core.collections.schema import vector_names
from qdrant_rollouts.core.collections.stamps import Stamp, read_stamp
from qdrant_rollouts.core.database.models import Deployment, Version
from qdrant_rollouts.core.services import Services


def why_not_alike(services: Services, alias: str, leader: str, collection: str) -> str:
    """Returns why ``collection`` may not be kept like ``leader``, which serves ``alias``; empty if
    it may."""
    store = services.store
    if collection == leader:
        return "it is the live collection itself"
    if collection not in store.collections():
        return "it does not exist"
    others = sorted(
        name for name, target in store.aliases().items() if target == collection and name != alias
    )
    if others:
        return f"alias {', '.join(others)} leads to it"
    stamp = read_stamp(store, collection)
    with services.sessions() as session:
        version = session.get(Version, collection)
        if version is None or version.alias != alias or not _has_built(version, stamp):
            return f"no deployment of {alias} has built it"
        if not version.facts.get("served") and not _is_built_from(session, version, alias):
            return f"it was not built from what {alias} shows, and has never served"
    assert stamp is not None
    return _why_not_made_alike(services, leader, collection, stamp)


def _has_built(version: Version, stamp: Stamp | None) -> bool:
    """Returns whether the deployment that the version belongs to has also filled it. It may have
    been made by somebody else, and was only deployed here."""
    return (
        stamp is not None
        and version.deployment_id is not None
        and stamp.deployment == version.deployment_id
    )


def _is_built_from(session: Session, version: Version, alias: str) -> bool:
    """Returns whether the records came from a version of ``alias``. Records from elsewhere may be
    others than those of the live collection."""
    built = session.get(Deployment, version.deployment_id)
    kind, _, name = (built.source or "").partition(":") if built is not None else ("", "", "")
    origin = session.get(Version, name) if kind == "collection" else None
    return origin is not None and origin.alias == alias


def _why_not_made_alike(services: Services, leader: str, collection: str, stamp: Stamp) -> str:
    """Returns why its points cannot be made from those of the leader."""
    store = services.store
    schema = store.schema(collection)
    if "custom" in (_sharding_of(schema), _sharding_of(store.schema(leader))):
        return "custom sharding has equal ids under different keys"
    if _chunks_of(stamp) != _chunks_of(read_stamp(store, leader)):
        return "its documents are cut into other pieces"
    brought = sorted(set(vector_names(schema)) - stamp.made.keys())
    if brought:
        named = ", ".join(name or "without a name" for name in brought)
        return f"its vector {named} is not made from a text"
    return ""


def _sharding_of(schema: dict[str, object]) -> object:
    params = schema["params"]
    assert isinstance(params, dict)
    return params.get("sharding_method")


def _chunks_of(stamp: Stamp | None) -> set[str]:
    """Returns how documents are cut for the models; the ids of two collections fit only if that is
    the same."""
    made = stamp.made.values() if stamp is not None else ()
    return {
        json.dumps(by.embedding.chunk.model_dump(mode="json"), sort_keys=True)
        for by in made
        if by.embedding is not None and by.embedding.chunk is not None
    }
