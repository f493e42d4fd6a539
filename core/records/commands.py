"""What applications ask for: write records, change them, delete them.

All three may be repeated: a repeated request does what the first one did.
"""

from collections.abc import Callable, Sequence

from qdrant_rollouts.core.answers.records import Written
from qdrant_rollouts.core.journal.desk import WriterDesk
from qdrant_rollouts.core.records.leaders import Leader, find_index, open_leader
from qdrant_rollouts.core.records.parsing import (
    MOST_RECORDS,
    Given,
    RecordId,
    check_number,
    parse_ids,
)
from qdrant_rollouts.core.records.prepared_writes import (
    PreparedWrite,
    prepare_deletion,
    prepare_patch,
    prepare_upsert,
)
from qdrant_rollouts.core.records.writing import make_write
from qdrant_rollouts.core.services import Services


def upsert_records(services: Services, desk: WriterDesk, alias: str, records: Given) -> Written:
    """Writes whole records, new ones and others. Raises as ``make_write`` does, and Malformed for
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
    services: Services, desk: WriterDesk, alias: str, prepare: Callable[[Leader], PreparedWrite]
) -> Written:
    index = find_index(services, alias)

    def prepare_write(collection: str) -> PreparedWrite:
        return prepare(open_leader(services, index, collection))

    return make_write(services.store, desk, index, prepare_write)
