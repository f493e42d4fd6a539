"""The comparison: the steps as a plain Celery chain with the product's own Celery settings.

``CHAIN_BROKER`` is the broker, ``CHAIN_REJECT`` sets ``task_reject_on_worker_lost``. Each step
writes its name to the file ``chain`` in the folder ``ROLLOUTS_TEST_TRAPS``.
"""

import os
from pathlib import Path

from celery import Celery, chain

from qdrant_rollouts.adapters.celery import SETTINGS
from tests.acceptance.traps import Traps

STEPS = ("create", "populate", "validate", "catch_up", "switch", "soak")

app = Celery("chain", broker=os.environ.get("CHAIN_BROKER", "memory://"), set_as_current=False)
app.conf.update(SETTINGS, task_reject_on_worker_lost=bool(os.environ.get("CHAIN_REJECT")))


@app.task(name="step", shared=False)
def step(name: str) -> None:
    folder = Path(os.environ["ROLLOUTS_TEST_TRAPS"])
    with (folder / "chain").open("a") as journal:
        journal.write(f"{name}\n")
    Traps(folder).step_on("chain", name)


def start(broker: str) -> None:
    with Celery("starter", broker=broker, set_as_current=False) as starter:
        chain(
            *(
                starter.signature("step", args=(name,), immutable=True, queue="control")
                for name in STEPS
            )
        ).delay()
