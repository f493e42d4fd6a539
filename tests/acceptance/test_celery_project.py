"""The Celery project in ``examples/celery`` beside the product's workers: both have a package
called ``tasks``, and both do their work."""

import shutil
from collections.abc import Iterator

import pytest
import yaml
from celery import Celery

from qdrant_rollouts.core.lifecycle import Status
from tests.acceptance.conftest import Houses
from tests.acceptance.installation import PATIENCE, ROOT, Installation, Program

EXAMPLE = ROOT / "examples" / "celery"
FILES = ("products.jsonl", "delivery.jsonl")


@pytest.fixture
def house(houses: Houses) -> Iterator[Installation]:
    """The installation works on the project's files and on its index file."""
    house = houses["sqlite"]
    house.until(house.is_migrated, 60, "the tables of the database")
    for name in FILES:
        shutil.copy(EXAMPLE / name, house.folder)
    indexes = yaml.safe_load((EXAMPLE / "rollouts.yaml").read_text("utf-8"))["indexes"]
    indexes["products"]["soak"] = {"seconds": 0.4, "interval_seconds": 0.2}
    house.declare(indexes)
    yield house
    house.declare({})


@pytest.fixture
def shop(house: Installation) -> Iterator[Celery]:
    """The project's worker, and a client that sends it tasks."""
    shutil.copytree(EXAMPLE / "tasks", house.folder / "tasks")
    broker = house.redis.url.removesuffix("/0") + "/1"
    path = {"PYTHONPATH": str(ROOT / "src"), "SHOP_BROKER_URL": broker}
    worker = Program(
        "worker",
        house.folder,
        house.environment | path,
        "tasks",
        1,
        called="shop",
        more=["--queues=shop", "--pool=solo"],
    )
    client = Celery("client", broker=broker, backend=broker, set_as_current=False)
    try:
        house.run(worker)
        yield client
    finally:
        worker.kill()
        client.close()
        shutil.rmtree(house.folder / "tasks")


def test_the_project_s_own_tasks_rebuild_and_search_an_index(house: Installation, shop: Celery):
    def call(task: str, *arguments: str):
        return shop.send_task(task, args=arguments, queue="shop").get(timeout=PATIENCE.cut(60))

    assert call("tasks.products.import_products", "delivery.jsonl") == 11
    row = house.ended("products")
    assert row.status == Status.LIVE, row.message
    found = call("tasks.search.find_products", "snow and stones in boots")
    assert "Gaiters" in [one["name"] for one in found]
