"""Photographs Flower next to a real worker: ``python -m docs.make_flower`` writes
``docs/images/flower.png``.

Needs what the tests need: the servers of ``make tools`` and Debian's chromium. It shows a
deployment that went live, one that its gate rejected, and a command that was refused.
"""

import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.acceptance.installation import OPTIONS, WATCHER, Installation

PICTURE = Path(__file__).parent / "images" / "flower.png"
_SIZE = {"width": 1850, "height": 900}


def main(picture: Path) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        Installation(Path(folder) / "house", "sqlite", app="tasks") as house,
    ):
        house.run(house.worker, house.bulk, house.beat, house.flower)
        house.make_live("documentation", "products")
        house.send(
            "deployments.deploy_new_version", alias_name="nowhere", data_source="jsonl:docs.jsonl"
        )
        house.deploy("documentation")
        house.ended("documentation")
        house.deploy("products", validation={**OPTIONS["validation"], "min_top_score": 1.0})
        house.ended("products")
        photograph(f"{house.flower.url}/tasks", picture)


def photograph(address: str, picture: Path) -> None:
    with sync_playwright() as machine:
        browser = machine.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        user, password = WATCHER
        page = browser.new_page(
            viewport=_SIZE, http_credentials={"username": user, "password": password}
        )
        page.goto(address)
        page.get_by_text("deployments.soak").first.wait_for()
        page.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    main(PICTURE)
