"""The declaration about a database: how a row shows that it has changed."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from qdrant_rollouts.core.config.index_file.values import Strict

#: The parameter in the expression. ``::since`` would be a type.
SINCE = re.compile(r"(?<!:):since\b")


class ChangedSpec(Strict):
    """Lets a pass over an SQL source read only the rows that changed; see
    ``core.collections.changes``."""

    #: A condition on the columns of the query, true for a row that changed after ``:since``.
    where: Annotated[str, Field(min_length=1)]
    #: For how long before the last pass rows are read once more. It must be longer than the
    #: longest transaction that writes, and than the clocks that write are behind.
    margin_seconds: Annotated[float, Field(ge=1, le=604_800, strict=True)] = 600

    @field_validator("where")
    @classmethod
    def _check_since(cls, where: str) -> str:
        if not SINCE.search(where):
            raise ValueError(
                "expected a condition with :since in it, such as updated_at > :since; :since is "
                "the time of the last pass"
            )
        return where


def _expand_condition(given: Any) -> Any:
    return {"where": given} if isinstance(given, str) else given


#: A section, or only the text for its ``where``.
Changed = Annotated[ChangedSpec | None, BeforeValidator(_expand_condition)]
