"""How to use each channel that alerts go to."""

import inspect
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from docs.pages.markdown import fenced, joined, table, told, value
from qdrant_rollouts.adapters.alerts import CHANNELS
from qdrant_rollouts.core.config.alert_spec import ChannelSpec

_HEAD = """# Channels, one by one

`python -m docs.make_reference` makes this page from `CHANNELS`. The [index
file](../index-file.md#alerts) page explains the section and its keys,
[alerts](../reference/alerts.md) says when each is sent, and the [runbook](../runbook.md) says what
to do about each. Without the section, alerts are log lines. With it, they go only to the channels
that it names. `rollouts alert test NAME` tests a channel. `rollouts alert list` shows the sent
alerts and the failures.
"""
#: What an example says for a key that has no default.
_EXAMPLES = {
    "url": "http://localhost:9093",
    "secret": "CHANNEL_SECRET",
    "host": "mail.example.org",
    "sender": "rollouts@example.org",
    "to": ["oncall@example.org"],
}


def page() -> str:
    return joined(_HEAD, *(_channel(kind) for kind in CHANNELS))


def specs() -> dict[str, type[BaseModel]]:
    """By kind, what the index file may say of a channel."""
    kinds = get_args(get_args(ChannelSpec)[0])
    return {get_args(spec.model_fields["kind"].annotation)[0]: spec for spec in kinds}


def _channel(kind: str) -> str:
    spec = specs()[kind]
    module = inspect.getmodule(CHANNELS[kind])
    fields = table(
        ["key", "default"],
        [[f"`{name}`", _default(field)] for name, field in spec.model_fields.items()],
    )
    return joined(
        f"## {kind}", told(module), told(spec), fenced("yaml", _declared(kind, spec)), fields
    )


def _declared(kind: str, spec: type[BaseModel]) -> str:
    needed = {
        name: _EXAMPLES[name]
        for name, field in spec.model_fields.items()
        if field.is_required() and name != "kind"
    }
    whole: dict[str, Any] = {
        "indexes": {"documentation": {"source": "jsonl:docs/*.jsonl"}},
        "alerts": {"channels": {f"my_{kind}": {"kind": kind, **needed, "min_severity": "warn"}}},
    }
    return yaml.safe_dump(whole, sort_keys=False)


def _default(field: FieldInfo) -> str:
    return "required" if field.is_required() else value(field.default)
