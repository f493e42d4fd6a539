"""Records that applications write and delete."""

from typing import Annotated, Any

from pydantic import Field

from qdrant_rollouts.core.records.parsing import MOST_IDS, MOST_RECORDS
from qdrant_rollouts.interfaces.http.api.endpoint import Body


class RecordsRequest(Body):
    records: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MOST_RECORDS)] = Field(
        description="As in a jsonl source of the index: `id`, the fields of its text template, and "
        "others. A patch has only `id` and what changes."
    )


class RecordIdsRequest(Body):
    ids: Annotated[list[int | str], Field(min_length=1, max_length=MOST_IDS)] = Field(
        description="Those of the records, as their source gives them."
    )
