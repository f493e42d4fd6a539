"""The memory that a populating process needs does not depend on how much it reads
(``benchmarks/memory.py``)."""

import pytest

from benchmarks.memory import MOST, MOST_OVER_TENTH, measure


@pytest.mark.proof
def test_populating_ten_times_as_many_records_takes_no_more_memory(
    qdrant_server, qdrant_url, effort
):
    records = effort(30_000, 1_000_000)
    tenth = measure(records // 10, qdrant_server)
    whole = measure(records, qdrant_server)
    assert whole.growth < MOST
    assert whole.growth - tenth.growth < MOST_OVER_TENTH
