"""The package as an application has it: a wheel, in a separate environment, next to the
application's packages."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib.metadata import distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.shell import ROOT, declare

INDEX = {
    "source": "python:core.records:everything",
    "embedding": {"model": "hashing:64"},
    "soak": {"seconds": 0.2, "interval_seconds": 0.1},
    "validation": {"queries": ["gardens"], "min_top_score": 0.1},
}
LOCAL_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
#: Who searches by alias, and has packages of the names that our folders have.
APPLICATION = {
    "core/__init__.py": "",
    "core/records.py": """
def everything():
    return [{"id": number, "text": f"a page about gardens, number {number}"} for number in range(5)]
""",
    "tasks/__init__.py": """
from celery import Celery

app = Celery("shop", broker="memory://")


@app.task(name="shop.restock")
def restock():
    return "restocked"
""",
    "shop.py": """
import core.records
import tasks
import qdrant_rollouts
from qdrant_rollouts import Refused, open_router

assert len(core.records.everything()) == 5
assert "shop.restock" in tasks.app.tasks
with open_router() as router:
    answer = router.search("docs", "a page about gardens", limit=3)
    try:
        router.search("no such alias", "gardens")
    except Refused as refused:
        print(refused)
print(len(answer.results), qdrant_rollouts.__version__, core.__file__)
""",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def fresh(wheel, tmp_path_factory):
    """An environment that has the wheel, and of the tests' environment only the libraries that a
    plain install brings: those of no extra."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    packages = Path(
        sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
    )
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--no-index",
            "--target",
            str(packages),
            str(wheel),
        ],
        check=True,
    )
    (installed,) = distributions(path=[str(packages)])
    link_libraries(packages, list_needed(installed.requires))
    return folder / "bin" / "python"


def list_needed(requirements):
    """Returns the distributions that these requirements need, and that those need, by name."""
    found = {}
    waiting = [(Requirement(line), ("",)) for line in requirements]
    asked = set()
    while waiting:
        one, extras = waiting.pop()
        wanted = one.marker is None or any(
            one.marker.evaluate({"extra": extra}) for extra in extras
        )
        if not wanted or str(one) in asked:
            continue
        asked.add(str(one))
        found[canonicalize_name(one.name)] = made = distribution(one.name)
        brings = ("", *one.extras)
        waiting += [(Requirement(line), brings) for line in made.requires or ()]
    return found


def link_libraries(packages, needed):
    for one in needed.values():
        for top in {path.parts[0] for path in one.files} - {"..", "__pycache__"}:
            (packages / top).symlink_to(one.locate_file(top))


@pytest.fixture
def application(tmp_path):
    for name, content in APPLICATION.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(content, encoding="utf-8")
    declare(tmp_path, docs=INDEX, local={**INDEX, "embedding": {"model": LOCAL_MODEL}})
    return tmp_path


def call(python, folder, *arguments, code=0):
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ROLLOUTS_", "PYTHON"))
    }
    done = subprocess.run(
        [str(python), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr * (code != 0)


def test_the_wheel_takes_one_name(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {
        "qdrant_rollouts"
    }
    inside = {name.split("/")[1] for name in names if name.startswith("qdrant_rollouts/")}
    assert inside >= {
        "core",
        "adapters",
        "tasks",
        "interfaces",
        "migrations",
        "wiring.py",
        "beat_schedule.py",
    }
    assert any(name.endswith(".html") for name in names)
    assert not any("tests" in name.split("/") for name in names)


def test_an_application_that_has_a_core_and_tasks_keeps_them(fresh, application):
    command = ["-m", "qdrant_rollouts.interfaces.cli", "deploy", "docs", "--wait", "--json"]
    told = json.loads(call(fresh, application, *command))
    assert told["status"] == "live"
    said = call(fresh, application, "shop.py").splitlines()
    assert "no such alias" in said[0]
    hits, _, where = said[-1].split()
    assert hits == "3"
    assert Path(where) == application / "core" / "__init__.py"


@pytest.mark.parametrize(
    "arguments", [["deploy", "local"], ["plan", "local"], ["doctor"]], ids=" ".join
)
def test_a_plain_install_says_what_a_model_on_this_machine_needs(fresh, application, arguments):
    code = int(arguments != ["doctor"]) * 2
    told = call(fresh, application, "-m", "qdrant_rollouts.interfaces.cli", *arguments, code=code)
    told = " ".join(told.split())
    assert "install qdrant-rollouts[local]" in told
    assert "unexpected" not in told


def test_the_celery_app_is_found_from_anywhere(fresh, application):
    said = call(fresh, application, "-m", "celery", "-A", "qdrant_rollouts.tasks", "report")
    assert "rollouts" in said or "software" in said
    listed = call(
        fresh,
        application,
        "-c",
        "from qdrant_rollouts.tasks import app; print('deployments.populate' in app.tasks)",
    )
    assert listed.strip() == "True"


NAMES = (
    "core core.errors core.experiments core.routing adapters tasks interfaces migrations wiring "
    "beat_schedule"
)


def test_no_module_is_imported_under_two_names():
    """From the root of the repository the short names work too, and mean the same modules."""
    program = f"""
import importlib, os, sys
for name in {NAMES.split()!r}:
    importlib.import_module(name)
import qdrant_rollouts
for name in {NAMES.split()!r}:
    assert sys.modules[name] is importlib.import_module("qdrant_rollouts." + name), name
from core.errors import Refused
assert Refused is qdrant_rollouts.Refused
from core.experiments import compare
from wiring import open_router
assert open_router is qdrant_rollouts.open_router
files = {{}}
for module in {{id(module): module for module in sys.modules.values()}}.values():
    if getattr(module, "__file__", None):
        files.setdefault(os.path.realpath(module.__file__), []).append(module.__name__)
here = os.getcwd() + os.sep
print([names for file, names in files.items() if len(names) > 1 and file.startswith(here)])
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["interfaces.cli", "interfaces.cli.__main__"])
def test_a_short_name_can_be_run_as_a_program(name):
    done = subprocess.run(
        [sys.executable, "-m", name, "--help"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout
    assert done.stderr == ""
