"""The methods of qdrant-client that change points: what a call selects, and how it is sent to a
collection by ids."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from qdrant_client import models

from qdrant_rollouts.adapters.write_requests import (
    NOTHING,
    Select,
    Selection,
    ids_of_operations,
    ids_of_points,
    refuse_whole,
    select_ids,
    selected_by,
)
from qdrant_rollouts.core.journal.writing import Send


class WriteMethod:
    """A method of qdrant-client's that changes points. ``selector`` is the argument that selects
    them, if it may be a filter; otherwise ``select`` finds the ids."""

    def __init__(self, original: Callable[..., Any], select: Select, selector: str = "") -> None:
        self.original = original
        self.select = select
        self._selector = selector
        self._signature = inspect.signature(original)

    def collection_of(self, given: Sequence[Any], named: Mapping[str, Any]) -> str:
        name: str = given[0] if given else named["collection_name"]
        return name

    def bind_arguments(
        self, client: Any, given: Sequence[Any], named: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Returns the arguments by name."""
        bound = self._signature.bind(client, *given, **named)
        arguments = dict(bound.arguments)
        del arguments["self"]
        return {**arguments, **arguments.pop("kwargs", {})}

    def redirect_call(self, arguments: Mapping[str, Any], send: Send) -> dict[str, Any]:
        """Returns the arguments with which the call goes to the collection that leads, selects
        exactly these points, and returns when that is applied."""
        strong = models.WriteOrdering.STRONG
        changed = {
            **arguments,
            "collection_name": send.collection,
            "wait": True,
            "ordering": arguments.get("ordering") or strong,
        }
        if self._selector and self.select(arguments).filter is not None:
            changed[self._selector] = list(send.ids or ()) or NOTHING
        return changed


class BatchMethod(WriteMethod):
    """``batch_update_points``: a filter stands in its one operation."""

    def redirect_call(self, arguments: Mapping[str, Any], send: Send) -> dict[str, Any]:
        changed = super().redirect_call(arguments, send)
        if self.select(arguments).filter is not None:
            (operation,) = arguments["update_operations"]
            changed["update_operations"] = [select_ids(operation, list(send.ids or ()))]
        return changed


def _selected_by(name: str) -> Callable[[Callable[..., Any]], WriteMethod]:
    return partial(WriteMethod, select=selected_by(name), selector=name)


_METHODS: dict[str, Callable[[Callable[..., Any]], WriteMethod]] = {
    "upsert": partial(WriteMethod, select=ids_of_points),
    "update_vectors": partial(WriteMethod, select=ids_of_points),
    "delete": _selected_by("points_selector"),
    "delete_vectors": _selected_by("points"),
    "set_payload": _selected_by("points"),
    "overwrite_payload": _selected_by("points"),
    "delete_payload": _selected_by("points"),
    "clear_payload": _selected_by("points_selector"),
    "batch_update_points": partial(BatchMethod, select=ids_of_operations),
    "upload_points": partial(WriteMethod, select=refuse_whole),
    "upload_collection": partial(WriteMethod, select=refuse_whole),
}


def find_method(original: Callable[..., Any]) -> WriteMethod:
    """Returns what is known of a method of either client."""
    return _METHODS[original.__name__](original)


@dataclass(frozen=True, slots=True)
class MethodCall:
    """One call of a method that changes points, as the application gave it."""

    method: WriteMethod
    client: Any
    given: tuple[Any, ...]
    named: Mapping[str, Any]

    @property
    def alias(self) -> str:
        """The collection's name, which is an alias if the call is journaled."""
        return self.method.collection_of(self.given, self.named)

    def bind_arguments(self) -> dict[str, Any]:
        return self.method.bind_arguments(self.client, self.given, self.named)

    def select(self) -> Selection:
        """Returns the points that the call selects."""
        return self.method.select(self.bind_arguments())

    def redirect(self, send: Send) -> dict[str, Any]:
        """Returns the arguments with which the call goes to the collection that leads."""
        return self.method.redirect_call(self.bind_arguments(), send)
