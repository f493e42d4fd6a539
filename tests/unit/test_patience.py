"""How long a call to Qdrant may take in total."""

import pytest

from qdrant_rollouts.adapters.qdrant_http import call_timeout


@pytest.mark.parametrize("seconds", [0.1, 1.25, 2.0, 5.0, 20.0])
def test_a_call_ends_in_time_and_every_part_of_it_has_some(seconds):
    """The last of many small batches once had less than a connection may take, and no time to be
    sent in."""
    allowed = call_timeout(seconds)
    assert allowed.connect + allowed.read == pytest.approx(seconds)
    assert min(allowed.connect, allowed.read, allowed.write, allowed.pool) > 0
