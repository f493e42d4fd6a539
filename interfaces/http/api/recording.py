"""Records that applications write, change and delete."""

from qdrant_rollouts.core.answers.records import Written
from qdrant_rollouts.core.records import commands
from qdrant_rollouts.interfaces.http.api.endpoint import Call
from qdrant_rollouts.interfaces.http.api.requests.records import RecordIdsRequest, RecordsRequest


def upsert_records(call: Call, given: RecordsRequest) -> Written:
    with call.context.record_writes.admit() as desk:
        return commands.upsert_records(call.services, desk, call.path["alias"], given.records)


def patch_records(call: Call, given: RecordsRequest) -> Written:
    with call.context.record_writes.admit() as desk:
        return commands.patch_records(call.services, desk, call.path["alias"], given.records)


def delete_records(call: Call, given: RecordIdsRequest) -> Written:
    with call.context.record_writes.admit() as desk:
        return commands.delete_records(call.services, desk, call.path["alias"], given.ids)
