"""Cuts what a router reports into requests that a rollouts server takes.

Each part is small enough for one request. A sketch is a sum, so one with many cells becomes several
entries.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qdrant_rollouts.core.routing.batch import Batch
from qdrant_rollouts.core.routing.exposures import Person, ServedList, UserSearches
from qdrant_rollouts.core.routing.traffic import TrafficKey
from qdrant_rollouts.core.statistics.traffic_sketch import TrafficSketch

#: Bytes of the entries of a request; the server takes a megabyte.
_MOST_BYTES = 500_000
_MOST_ENTRIES = 1000
#: Cells of one sketch, of which each takes some ten bytes; the server takes 50,000.
_MOST_CELLS = 20_000


@dataclass(frozen=True, slots=True)
class Part:
    """The entries of one request, each as JSON. ``name`` is that of their list."""

    path: str
    name: str
    entries: Sequence[str]

    def write(self, router: str, number: int) -> bytes:
        head = json.dumps({"router": router, "batch": number})[:-1]
        return f'{head}, "{self.name}": [{", ".join(self.entries)}]}}'.encode()

    def halve(self) -> list["Part"]:
        """Returns nothing for a part that cannot be cut."""
        middle = len(self.entries) // 2
        if not middle:
            return []
        halves = self.entries[:middle], self.entries[middle:]
        return [replace(self, entries=half) for half in halves]


def split_batch(batch: Batch) -> list[Part]:
    """Returns users before their lists, because a list is stored only for a user who is known."""
    observations = (
        entry for key, tally in batch.tallies.items() for entry in _describe_tally(key, tally)
    )
    users = (_describe_user(person, seen) for person, seen in batch.people.items())
    lists = (_describe_list(*key, served) for key, served in batch.lists.items())
    return [
        *_pack_entries("/observations", "observations", observations),
        *_pack_entries("/exposures", "users", users),
        *_pack_entries("/exposures", "lists", lists),
    ]


def _pack_entries(path: str, name: str, entries: Iterator[dict[str, Any]]) -> Iterator[Part]:
    texts: list[str] = []
    size = 0
    for entry in entries:
        text = json.dumps(entry)
        if texts and (size + len(text) > _MOST_BYTES or len(texts) == _MOST_ENTRIES):
            yield Part(path, name, texts)
            texts = []
            size = 0
        texts.append(text)
        size += len(text)
    if texts:
        yield Part(path, name, texts)


def _describe_tally(key: TrafficKey, tally: TrafficSketch) -> Iterator[dict[str, Any]]:
    named = {
        "alias": key.alias,
        "stage": key.stage,
        "variant": key.variant,
        "kind": key.kind,
        "collection": key.collection,
    }
    for sketch in _split_sketch(tally):
        yield {**named, "sketch": sketch}


def _split_sketch(tally: TrafficSketch) -> Iterator[dict[str, Any]]:
    """The first piece has the sums, also if there are no cells: pairs of a shadow may be written
    without the call that they belong to. A group's calls stay together with those that failed."""
    columns = ("cells", "failed", "nothing")
    sums = {name: value for name, value in tally.to_json().items() if name not in columns}
    cells = sorted(tally.cells.items())
    start = 0
    while start < len(cells) or any(sums.values()):
        end = _find_end_of_group(cells, start + _MOST_CELLS)
        piece = cells[start:end]
        groups = {group for (group, _), _ in piece}
        yield {
            "cells": {
                "groups": [group for (group, _), _ in piece],
                "buckets": [bucket for (_, bucket), _ in piece],
                "calls": [calls for _, calls in piece],
            },
            "failed": _pick_groups(tally.failed, groups),
            "nothing": _pick_groups(tally.nothing, groups),
            **sums,
        }
        sums = {}
        start = end


def _find_end_of_group(cells: Sequence[tuple[tuple[int, int], int]], end: int) -> int:
    while end < len(cells) and cells[end][0][0] == cells[end - 1][0][0]:
        end += 1
    return min(end, len(cells))


def _pick_groups(counts: Mapping[int, int], groups: set[int]) -> dict[str, list[int]]:
    found = {group: calls for group, calls in counts.items() if group in groups and calls}
    return {"groups": list(found), "calls": list(found.values())}


def _describe_user(person: Person, seen: UserSearches) -> dict[str, Any]:
    return {
        "experiment": person.experiment_id,
        "unit": person.unit,
        "variant": seen.variant,
        "stage": seen.stage,
        "collection": seen.collection,
        "bucket": seen.bucket,
        "group": seen.group,
        "searches": seen.searches,
        "errors": seen.errors,
        "zero_results": seen.zero_results,
        "log_ms": seen.log_ms,
        "latencies": {
            "buckets": list(seen.latencies),
            "calls": list(seen.latencies.values()),
        },
        "crossed": seen.crossed,
    }


def _describe_list(person: Person, query_id: str, served: ServedList) -> dict[str, Any]:
    return {
        "experiment": person.experiment_id,
        "unit": person.unit,
        "query_id": query_id,
        "served": [{"document": document, "credit": credit} for document, credit in served],
    }
