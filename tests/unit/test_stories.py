"""What an acceptance test waits for is told before its time is over, also where it waits in a
fixture."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOOKS = "from tests.acceptance.conftest import pytest_runtest_makereport, pytest_runtest_protocol"
#: Its time is half a minute, which is left for the story, and a second.
WAITS = """
import pytest
from tests.acceptance.installation import Installation, everywhere, until

pytestmark = pytest.mark.timeout(31)

class Told(Installation):
    def _start(self):
        pass

    def story(self):
        return f"this is the story of {self.database}"

@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    folder = tmp_path_factory.mktemp("houses")
    with Told(folder / "red", "red") as red, Told(folder / "white", "white") as white:
        yield {"red": red, "white": white}

@pytest.fixture(scope="module")
def survived(houses):
    return everywhere(
 houses, lambda house: until(lambda: False, 60, f"what never comes to {house.database}")
)

def test_in_a_fixture(survived):
    pass

def test_in_itself(houses):
    until(lambda: False, 60, "what comes no more")
"""


def test_a_wait_ends_before_the_test_does_and_the_installations_tell_their_story(tmp_path: Path):
    (tmp_path / "conftest.py").write_text(HOOKS)
    (tmp_path / "test_it.py").write_text(WAITS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "--tb=short",
        "-q",
        "test_it.py",
    ]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    said = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    ).stdout
    in_fixture, _, in_itself = said.partition("test_in_itself")
    assert "1 failed, 1 error" in said, said
    assert "pytest-timeout" not in said
    assert "not within 1 s: what never comes to red" in in_fixture
    for part in (in_fixture, in_itself):
        assert "this is the story of red" in part
        assert "this is the story of white" in part
    assert "not within 1 s: what comes no more" in in_itself
