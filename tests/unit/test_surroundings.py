"""What tests may rely on in their environment."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]


def test_a_unit_test_that_reaches_for_a_server_fails_and_says_where_to():
    with socket.socket() as client, pytest.raises(AssertionError, match=r"127\.0\.0\.1.*6333"):
        client.connect(("127.0.0.1", 6333))


def test_a_developers_own_settings_reach_no_test(tmp_path):
    (tmp_path / "test_inner.py").write_text(
        "import os\n"
        "def test_inner():\n"
        "    assert [name for name in os.environ if name.startswith('ROLLOUTS_')] == "
        "['ROLLOUTS_TEST_KEPT']\n"
    )
    environment = os.environ | {
        "ROLLOUTS_DATABASE_URL": "postgresql://live",
        "ROLLOUTS_TEST_KEPT": "1",
    }
    for name in ("REDIS_URL", "QDRANT_URL", "QDRANT_GRPC_PORT", "DATABASE_URL", "PROOF"):
        environment.pop(f"ROLLOUTS_TEST_{name}", None)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "tests.conftest",
            "--rootdir",
            ROOT,
            "-c",
            ROOT / "pyproject.toml",
            tmp_path,
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_test_runs_in_an_empty_folder_of_its_own():
    assert Path.cwd() != ROOT
    assert list(Path.cwd().iterdir()) == []


@given(st.integers())
def test_a_law_may_be_stated_beside_the_fixtures_of_every_test(number):
    assert number - number == 0
