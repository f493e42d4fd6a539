"""Products come in files. After an import the index is built again."""

import json
import os
from pathlib import Path

from celery import Celery

from tasks import app

PRODUCTS = Path("products.jsonl")

#: The workers of qdrant-rollouts take tasks by name; no code of theirs is needed to send one.
rollouts = Celery(
    "rollouts",
    broker=os.environ.get("ROLLOUTS_BROKER_URL", "redis://localhost:6379/0"),
    set_as_current=False,
)


@app.task
def import_products(file: str) -> int:
    """Adds the products of the file to those that are there, and returns how many there are now.
    Doing it twice changes nothing."""
    known = {}
    for path in (PRODUCTS, Path(file)):
        for line in path.read_text(encoding="utf-8").splitlines():
            product = json.loads(line)
            known[product["id"]] = product
    _replace_file(PRODUCTS, "".join(f"{json.dumps(product)}\n" for product in known.values()))
    rollouts.send_task(
        "deployments.deploy_new_version",
        kwargs={"alias_name": "products", "reason": f"{file} was imported", "actor": "shop"},
        ignore_result=True,
    )
    return len(known)


def _replace_file(path: Path, text: str) -> None:
    """A deployment that reads the file meanwhile sees the old one or the new one."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
