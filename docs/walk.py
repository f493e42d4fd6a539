"""The walk of ``docs/howto/find-your-way.md``: three questions, and the clicks from the home page
to their answers. ``python -m docs.walk`` photographs them; a test makes the same clicks.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, sync_playwright

from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.interfaces.http import serving
from qdrant_rollouts.interfaces.http.app import make_app
from tests.week import INDEX, Week

IMAGES = Path(__file__).parent / "images"
#: What a person sees without scrolling.
SCREEN = (1240, 860)
PHONE = (390, 844)


@dataclass(frozen=True, slots=True)
class Click:
    """A link, or what opens a form: its name, and the part of the page in which it stands."""

    name: str
    role: str = "link"
    within: str = "main"
    row: str = ""

    def find(self, page: Page) -> Locator:
        place = page.locator(self.within)
        if self.row:
            place = place.locator("tr", has_text=self.row)
        if self.role == "summary":
            return place.locator("summary", has_text=self.name).first
        return place.get_by_role("link", name=re.compile(re.escape(self.name))).first


@dataclass(frozen=True, slots=True)
class Walk:
    """``answer``: words that the last stop shows without scrolling."""

    name: str
    question: str
    clicks: tuple[Click, ...]
    answer: tuple[str, ...]


WALKS = (
    Walk(
        "why",
        "Why did last night's rebuild not go live?",
        (Click("see the deployment", within="[aria-labelledby=attention-h]"),),
        ("It did not go live", "queries have no answer that scores", "What to do:"),
    ),
    Walk(
        "serves",
        "Which version serves, and since when?",
        (Click(INDEX),),
        ("Version 4 serves since Thu 26 Nov 02:00",),
    ),
    Walk(
        "tuesday",
        "How do I go back to Tuesday's version?",
        (Click(INDEX), Click("Roll back to it", "summary", row="Tue 24 Nov")),
        ("Moves documentation to version 2",),
    ),
)


@contextmanager
def open_week(folder: Path) -> Iterator[tuple[Browser, str]]:
    """Yields a browser, and the address of the pages of a week of nights."""
    with ExitStack() as stack:
        week = Week(folder)
        stack.callback(week.close)
        settings = Settings(_env_file=None)
        door = stack.enter_context(serving.bind_socket(week.services, settings, "127.0.0.1", 0))
        stack.enter_context(serving.serve_beside(make_app(week.services, settings), door))
        chromium = stack.enter_context(sync_playwright()).chromium
        browser = chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        stack.callback(browser.close)
        yield browser, serving.socket_url(door)


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="rollouts-") as folder,
        open_week(Path(folder)) as (browser, address),
    ):
        width, height = SCREEN
        page = browser.new_page(viewport={"width": width, "height": height})
        page.goto(address)
        page.screenshot(path=IMAGES / "walk-home.png")
        for walk in WALKS:
            page.goto(address)
            follow_clicks(page, walk)
            page.screenshot(path=IMAGES / f"walk-{walk.name}.png")


def follow_clicks(page: Page, walk: Walk) -> None:
    """Goes from the home page to the last stop."""
    for click in walk.clicks:
        click.find(page).click()
        page.wait_for_load_state("load")


if __name__ == "__main__":
    main()
