"""What applications ask for: write records, change them, delete them.

All three may be repeated: a repeated request does what the first one did.
"""

from collections.abc import Callable, Sequence

from qdrant_rollouts.core.answers.records import Written
from qdrant_rollouts.core.journal.desk import WriterDesk
from qdrant_rollouts.core.records.acts import (
    Act,
    prepare_deletion,
    prepare_patch,
    prepare_upsert,
)
from qdrant_rollouts.core.records.leaders import Leader, find_index, open_leader
from qdrant_rollouts.core.records.requests import (
    MOST_RECORDS,
    Given,
    RecordId,
    check_number,
    parse_ids,
)
from qdrant_rollouts.core.records.writing import write_act
from qdrant_rollouts.core.services import Services


def upsert_records(services: Services, desk: WriterDesk, alias: str, records: Given) -> Written:
    """Writes whole records, new ones and others. Raises as ``write_act`` does, and Malformed for
    records that do not fit the index."""
    check_number("records", len(records), MOST_RECORDS)
    return _write(services, desk, alias, lambda leader: prepare_upsert(alias, leader, records))


def patch_records(services: Services, desk: WriterDesk, alias: str, records: Given) -> Written:
    """Changes fields of records that are there, and makes the vectors of changed texts again. None
    removes a field. Raises as ``upsert_records``."""
    check_number("records", len(records), MOST_RECORDS)
    return _write(services, desk, alias, lambda leader: prepare_patch(alias, leader, records))


def delete_records(
    services: Services, desk: WriterDesk, alias: str, ids: Sequence[RecordId]
) -> Written:
    """Deletes records by the ids that their source gives them. Raises as ``upsert_records``."""
    parsed = parse_ids(ids)
    return _write(services, desk, alias, lambda leader: prepare_deletion(alias, leader, parsed))


def _write(
    services: Services, desk: WriterDesk, alias: str, prepare: Callable[[Leader], Act]
) -> Written:
    index = find_index(services, alias)

    def prepare_act(collection: str) -> Act:
        return prepare(open_leader(services, index, collection))

    return write_act(services.store, desk, index, prepare_act)
