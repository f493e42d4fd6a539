"""How much of the time between two moments a process had."""

from pathlib import Path

import pytest

from tests.own_time import OwnTimes


@pytest.mark.parametrize(
    ("began", "ended", "had"),
    [
        (0.0, 5.0, 5.0),
        (0.0, 20.0, 17.0),
        (9.0, 11.0, 1.0),
        (10.5, 11.5, 0.0),
        (11.0, 40.0, 24.0),
        (35.0, 36.0, 1.0),
    ],
)
def test_what_a_process_waited_for_its_turn_is_not_its_own_time(
    tmp_path: Path, began: float, ended: float, had: float
) -> None:
    (tmp_path / "7.stalls").write_text("[10.0, 13.0]\n[30.0, 33.0]\n[50.0, 5")
    assert OwnTimes(tmp_path).measure(7, began, ended) == had
