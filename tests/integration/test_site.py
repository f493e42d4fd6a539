"""The documentation as a site."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.check_links import broken_links

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make docs` does: a broken link, a missing anchor, a page without a place end it."""
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        str(folder),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_draws_its_diagrams_and_asks_no_other_server(site: Path):
    pages = [*site.rglob("*.html")]
    assert len(pages) > 30
    loads = re.compile(
        r"""<(?:script|img|iframe|link)[^>]*?(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)"""
    )
    assert {
        page.name: found
        for page in pages
        if (found := loads.findall(page.read_text(encoding="utf-8")))
    } == {}
    assert "initialize" in (site / "assets" / "mermaid.min.js").read_text(encoding="utf-8")
    assert 'class="mermaid"' in (site / "howto" / "strategies.html").read_text(encoding="utf-8")


def test_no_link_of_the_site_leads_nowhere(site: Path):
    assert broken_links(site) == []


@pytest.mark.parametrize(
    "link", ["notes/page.html", "there.html#nowhere", "#nowhere", "images/none.png"]
)
def test_a_link_that_leads_nowhere_is_named(tmp_path: Path, link: str):
    (tmp_path / "there.html").write_text('<h1 id="here">There</h1>', encoding="utf-8")
    tag = f'<img src="{link}">' if link.endswith(".png") else f'<a href="{link}">x</a>'
    good = '<a href="there.html#here">x</a> <a href="https://example.org/">y</a>'
    (tmp_path / "index.html").write_text(good + tag, encoding="utf-8")
    assert broken_links(tmp_path) == [f"index.html: {link}"]
