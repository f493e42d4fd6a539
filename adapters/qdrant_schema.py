"""A collection's settings as raw JSON: read from a server, and used to create a new collection.

Raw, because typed models drop or refuse what they do not know yet (qdrant-facts 3.1; the numbers
below refer to it too).
"""

from collections.abc import Mapping
from typing import Any

from qdrant_rollouts.adapters.qdrant_http import Rest
from qdrant_rollouts.core.collections.schema import is_strict_mode_off
from qdrant_rollouts.core.ports import Schema

#: Returned in ``params``, ignored by create, set only by PATCH (3.3).
_BY_PATCH = ("read_fan_out_factor", "read_fan_out_delay_ms")
#: Belongs to a single collection and is not one of its settings.
_NOT_SETTINGS = ("metadata", "uuid")


def read_schema(rest: Rest, collection: str) -> Schema:
    """Returns the settings; ``quantization_config`` and ``strict_mode_config`` are None if not
    set."""
    info = rest.call("GET", "collections", collection)
    config = {key: value for key, value in info["config"].items() if key not in _NOT_SETTINGS}
    return {
        "quantization_config": None,
        "strict_mode_config": None,
        **config,
        "payload_schema": {
            field: _without_count(index) for field, index in info["payload_schema"].items()
        },
        "shard_keys": _shard_keys(rest, collection)
        if config["params"].get("sharding_method") == "custom"
        else [],
    }


def read_index_counts(rest: Rest, collection: str) -> dict[str, int]:
    """Returns the points of each payload index: those whose value has the index's type."""
    found = rest.call("GET", "collections", collection)["payload_schema"]
    return {
        field: int(index["points"])
        for field, index in found.items()
        if index.get("points") is not None
    }


def create_collection(
    rest: Rest, collection: str, schema: Schema, metadata: Mapping[str, Any]
) -> None:
    """Creates the collection, then sets what create ignores, then creates its payload indexes:
    before any point (8.1)."""
    rest.call("PUT", "collections", collection, body=_creation_body(schema, metadata))
    patch = _corrective_patch(schema, read_schema(rest, collection))
    if patch:
        rest.call("PATCH", "collections", collection, body=patch)
    for key in schema.get("shard_keys") or []:
        rest.call("PUT", "collections", collection, "shards", body=key)
    for field, index in (schema.get("payload_schema") or {}).items():
        body = {"field_name": field, "field_schema": index.get("params") or index["data_type"]}
        rest.call("PUT", "collections", collection, "index", body=body, params={"wait": "true"})


def _creation_body(schema: Schema, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Optimizers have another name when written than when read (3.4)."""
    sections = {"params", "optimizer_config", "payload_schema", "shard_keys"}
    body = {key: value for key, value in schema.items() if key not in sections}
    body |= {key: value for key, value in schema["params"].items() if key not in _BY_PATCH}
    body |= {
        "optimizers_config": schema.get("optimizer_config"),
        "metadata": dict(metadata) or None,
    }
    return {key: value for key, value in body.items() if value is not None}


def _corrective_patch(wanted: Schema, found: Schema) -> dict[str, Any]:
    """Sets what create ignores, and what the server's defaults switched on although the cloned
    collection has it off (3.6)."""
    patch: dict[str, Any] = {}
    fan_out = {
        key: wanted["params"][key] for key in _BY_PATCH if wanted["params"].get(key) is not None
    }
    if fan_out:
        patch["params"] = fan_out
    if (
        "quantization_config" in wanted
        and not wanted["quantization_config"]
        and found["quantization_config"]
    ):
        patch["quantization_config"] = "Disabled"
    if is_strict_mode_off(wanted) and not is_strict_mode_off(found):
        patch["strict_mode_config"] = {"enabled": False}
    return patch


def _without_count(index: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in index.items() if key != "points"}


def _shard_keys(rest: Rest, collection: str) -> list[dict[str, Any]]:
    """Returns the keys of custom sharding with their placement, in the form of ``PUT …/shards``
    (3.5)."""
    cluster = rest.call("GET", "collections", collection, "cluster")
    here = [{**shard, "peer_id": cluster["peer_id"]} for shard in cluster["local_shards"]]
    keys: dict[int | str, dict[int, set[int]]] = {}
    for shard in here + cluster["remote_shards"]:
        if shard.get("shard_key") is not None:
            keys.setdefault(shard["shard_key"], {}).setdefault(shard["shard_id"], set()).add(
                shard["peer_id"]
            )
    return [
        {
            "shard_key": key,
            "shards_number": len(shards),
            "replication_factor": max(map(len, shards.values())),
            "placement": sorted(set().union(*shards.values())),
        }
        for key, shards in sorted(keys.items(), key=lambda item: str(item[0]))
    ]
