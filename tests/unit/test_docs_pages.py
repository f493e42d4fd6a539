"""A task is one short page with its command first, and no page is lost from the navigation."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.pages import PAGES as GENERATED

DOCS = Path(__file__).parents[2] / "docs"
TASKS = sorted(
    page for page in (DOCS / "howto").glob("*.md") if f"howto/{page.name}" not in GENERATED
)
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def count_words(markdown: str) -> int:
    """What a person reads: words of text and tables, without fenced blocks, addresses of links and
    signs that are no word."""
    shown = re.sub(r"\]\([^)]*\)", "]", FENCED.sub("", markdown))
    return sum(1 for word in shown.split() if re.search(r"\w", word))


def list_navigation() -> set[str]:
    """Every page that ``mkdocs.yml`` has in its navigation."""
    text = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    return set(_pages(yaml.safe_load(text.partition("\nnav:\n")[2])))


def _pages(entry: Any) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    within = entry.values() if isinstance(entry, dict) else entry
    return [page for one in within for page in _pages(one)]


def test_words_are_those_that_a_person_reads() -> None:
    page = "# A [link](far/away.md#there) ·\n\n```sh\nnot this\n```\n\n| `one` | two |\n|---|---|\n"
    assert count_words(page) == 4


@pytest.mark.parametrize("page", TASKS, ids=lambda page: page.stem)
def test_a_task_is_a_short_page_that_begins_with_what_to_type(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert 200 <= count_words(text) <= 400
    before, fence, _ = text.partition("\n```")
    assert fence, "no command and no file is shown"
    assert count_words(before) <= 80


def test_every_page_is_in_the_navigation() -> None:
    pages = {
        str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if page.parent != DOCS / "notes"
    }
    assert pages == list_navigation()


def test_the_front_page_has_a_picture_and_the_way_to_ones_own_data() -> None:
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert "images/page-home.png" in shown
    assert all((DOCS / image).is_file() for image in shown)
    typed = "\n".join(FENCED.findall(text))
    steps = ["make install", "rollouts init", "rollouts doctor", "rollouts deploy",
             "rollouts search", "rollouts rollback", "rollouts up"]  # fmt: skip
    places = [typed.find(step) for step in steps]
    assert -1 not in places
    assert places == sorted(places)
