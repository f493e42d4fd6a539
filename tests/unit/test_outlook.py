"""The plan of a deployment as the terminal shows it."""

import pytest
from rich.console import Console

from qdrant_rollouts.core.answers.plans import Compared
from qdrant_rollouts.interfaces.cli import outlook


def compared(planned: float | None, took: float, error: float | None) -> Compared:
    return {"planned": planned, "took": took, "error": error, "within": None}


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (compared(0.002, 0.4, -0.995), "less than 1, as planned"),
        (compared(0.5, 20.0, -0.975), "20 of less than 1 planned, -98 %"),
        (compared(30.0, 20.0, 0.5), "20 of 30 planned, +50 %"),
        (compared(None, 0.4, None), "less than 1, not planned"),
    ],
)
def test_the_last_plans_are_not_judged_by_parts_of_a_second(seconds: Compared, told: str) -> None:
    counted = compared(30, 30, 0.0)
    past = {"deployment_id": "d1", "way": "full", "records": counted, "texts": counted}
    console = Console(width=200)
    with console.capture() as captured:
        for one in outlook._render_errors({"plans": [{**past, "seconds": seconds}]}):  # type: ignore[arg-type, typeddict-item]
            console.print(one)
    row = " ".join(captured.get().split())
    assert row.endswith(f"d1 full 30, as planned 30, as planned {told}")
