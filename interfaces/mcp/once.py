"""Calls that begin something and may be repeated: with one key they begin it once, as requests with
an Idempotency-Key do over HTTP."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Protocol

from pydantic import Field

from qdrant_rollouts.core.deployments.commands import InTransaction, do_nothing
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.access.idempotency import answer_once, build_key
from qdrant_rollouts.interfaces.access.tokens import Caller
from qdrant_rollouts.interfaces.mcp.answers import Started

CallKey = Annotated[
    str,
    Field(
        description="Any new text, as an Idempotency-Key. If no answer comes, call again with the "
        "same one: that begins nothing more"
    ),
]


class Begin(Protocol):
    """Begins something and returns its id."""

    def __call__(self, *, along: InTransaction) -> str: ...


def start_once(
    services: Services,
    caller: Caller,
    key: str,
    request: tuple[str, ...],
    begin: Begin,
    describe: Callable[[str], Started],
) -> Started:
    """Returns the answer of the first call with this key. ``request`` is what makes two calls the
    same: not the reason, which a model words anew."""
    if not key:
        return describe(begin(along=do_nothing))

    def show(started: str) -> Mapping[str, Any]:
        return describe(started).model_dump(mode="json")

    answer, _ = answer_once(
        services,
        build_key(caller.name, key, *request),
        lambda along: show(begin(along=along)),
        show,
    )
    return Started.model_validate(answer)
