"""Pages that are made from the code are fresh and whole."""

import re
from pathlib import Path

import pytest

from docs.make_reference import FOLDER
from docs.pages import PAGES, cli, runbook
from qdrant_rollouts.adapters.alerts import CHANNELS
from qdrant_rollouts.adapters.sources import SOURCES
from qdrant_rollouts.core.alerts.outbox import TRIGGERS
from qdrant_rollouts.core.deployments.strategies import STRATEGIES
from qdrant_rollouts.core.gate.checks import CHECKS
from qdrant_rollouts.interfaces.cli import main
from qdrant_rollouts.interfaces.cli.groups import walk_verbs


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_made_from_the_code_as_it_is(name: str):
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name](), (
        f"{name} is stale: python -m docs.make_reference"
    )


@pytest.mark.parametrize(("name", "entries"), [
    ("strategies", STRATEGIES), ("sources", SOURCES), ("checks", CHECKS), ("channels", CHANNELS)
])  # fmt: skip
def test_each_entry_of_a_table_has_its_part_with_an_index_file_that_uses_it(
    name: str, entries: dict[str, object]
):
    parts = dict(
        re.findall(
            r"^## (\S+)\n(.*?)(?=^## |\Z)", PAGES[f"howto/{name}.md"](), re.MULTILINE | re.DOTALL
        )
    )
    assert [entry for entry in entries if "```yaml" not in parts.get(entry, "")] == []


def test_the_runbook_says_of_every_alert_what_it_means_and_what_to_do():
    assert [name for name in TRIGGERS if not all(runbook.entry(name))] == []
    assert runbook.written() <= set(TRIGGERS)


def test_an_alert_that_nobody_wrote_about_is_found():
    with pytest.raises(KeyError, match="unheard_of"):
        runbook.entry("schedule.unheard_of")


def test_every_verb_is_in_the_reference():
    verbs = {path for path, _ in walk_verbs(main, "rollouts")}
    assert len(verbs) > 40
    assert set(re.findall(r"^## (.+)$", cli.page(), re.MULTILINE)) == verbs


def test_every_page_is_in_the_navigation():
    """`make docs` says so too, but takes longer."""
    written = re.findall(
        r"([\w/-]+\.md)$", (FOLDER.parent / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE
    )
    pages = {
        str(page.relative_to(FOLDER))
        for page in FOLDER.rglob("*.md")
        if Path("notes") not in page.relative_to(FOLDER).parents
    }
    assert sorted(written) == sorted(pages)
