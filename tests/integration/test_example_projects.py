"""The projects in ``examples/`` work as their READMEs say, on a real Qdrant server. The Celery
project is in ``tests/acceptance/test_celery_project.py``."""

import importlib.util
import re
import shutil

import pytest
from fastapi.testclient import TestClient

from tests.qdrants import wait_until
from tests.runners import deploy, running
from tests.shell import ROOT, Shell

EXAMPLES = ROOT / "examples"


@pytest.fixture
def copy(tmp_path, qdrant_url, monkeypatch):
    """Returns a function that makes a copy of an example, and goes there."""
    monkeypatch.setenv("ROLLOUTS_QDRANT_URL", qdrant_url)

    def make(name):
        folder = shutil.copytree(EXAMPLES / name, tmp_path / name)
        if (folder / ".env.example").exists():
            shutil.copy(folder / ".env.example", folder / ".env")
        monkeypatch.chdir(folder)
        return Shell(folder)

    return make


def load(file):
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_listed_and_has_a_readme():
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    listed = re.findall(r"\]\((\w+)/README\.md\)", (EXAMPLES / "README.md").read_text("utf-8"))
    assert set(listed) == folders
    assert [name for name in folders if not (EXAMPLES / name / "README.md").exists()] == []


def test_the_search_service_answers_and_its_clicks_count_once_in_an_experiment(copy, monkeypatch):
    shell = copy("fastapi")
    with running():
        assert deploy(shell, "articles")["status"] == "live"
        other = ("--strategy", "build_only", "--option", "embedding.model=hashing:512")
        built = deploy(shell, "articles", *other)
    assert built["status"] == "completed", built["message"]
    service = load(shell.folder / "service.py")
    with TestClient(service.app) as web:
        found = web.get("/search", params={"q": "grow tomatoes"}).json()
        assert found["results"][0]["id"] == 1
        click = {"search": found["search"], "article": 1}
        assert web.post("/clicks", json=click).json() == {"recorded": False}
        assert web.get("/search", params={"q": "tomatoes", "limit": -1}).status_code == 422
    live = shell.json("alias", "list")["aliases"]["articles"]
    arms = ("--control", live, "--treatment", built["green"], "--metric", "clicks")
    made = shell.json("experiment", "create", "words", *arms)
    monkeypatch.setenv("EXPERIMENT", made["id"])
    with TestClient(service.app) as web:
        visitors = []
        for _ in range(20):
            web.cookies.clear()
            found = web.get("/search", params={"q": "repair a bicycle"}).json()
            visitors.append((web.cookies["visitor"], found["search"]))
        visitor, search = visitors[0]
        web.cookies.set("visitor", visitor)
        click = {"search": search, "article": 2}
        clicked = [web.post("/clicks", json=click).json()["recorded"] for _ in range(2)]
        assert clicked == [True, False]
    units = shell.json("experiment", "report", "words")["units"]
    assert sum(units.values()) == 20
    assert min(units.values()) > 0


def test_the_service_says_what_is_missing_before_the_first_deployment(copy):
    service = load(copy("fastapi").folder / "service.py")
    with TestClient(service.app) as web:
        answer = web.get("/search", params={"q": "grow tomatoes"})
    assert answer.status_code == 503
    assert "rollouts migrate" in answer.json()["detail"]


def test_the_nightly_example_is_built_again_when_a_note_was_added(copy):
    shell = copy("nightly")
    (shell.folder / "notes" / "meetings.md").write_text("We meet on Fridays.", encoding="utf-8")

    def last_run():
        runs = shell.json("schedule", "list", "--alias", "notes")["schedules"]
        (rebuild,) = [one for one in runs if one["action"] == "rebuild"]
        assert rebuild["next_at"]
        return next(iter(rebuild["runs"]), None)

    with running():
        first = deploy(shell, "notes")
        assert first["status"] == "live", first["message"]
        assert (shell.folder / ".rollouts" / "nightly.db").exists()
        shell.json("schedule", "run", "notes", "rebuild")
        unchanged = wait_until(lambda: (run := last_run()) and run["finished_at"] and run, 120)
        assert unchanged["status"] == "unchanged"
        (shell.folder / "notes" / "parking.md").write_text("Bicycles go to the yard.\n")
        shell.json("schedule", "run", "notes", "rebuild")
        wait_until(
            lambda: (run := last_run()) and run["finished_at"] and run["status"] == "done", 120
        )
    found = shell.json("search", "notes", "bicycles yard")["results"]
    assert found[0]["payload"]["path"] == "parking.md"
