"""``rollouts`` in a separate folder, as people call it, and the contents of such a folder."""

import json
import os
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest
from click.testing import CliRunner

from qdrant_rollouts.interfaces.cli import main

ROOT = Path(__file__).parents[1]


def records(count, about):
    return [
        {"id": number, "title": f"title {number}", "text": f"python asyncio {about}"}
        for number in range(count)
    ]


def write(path, rows):
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def declare(folder, **indexes):
    (folder / "rollouts.yaml").write_text(json.dumps({"indexes": indexes}), encoding="utf-8")


def call(*arguments):
    """The exit code of ``rollouts ARGUMENTS`` in this process and folder."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments), prog_name="rollouts")
    return ended.value.code


class Shell:
    """``rollouts`` called in one folder, in this process; ``start`` calls it in a new process."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, *arguments, **environment):
        with chdir(self.folder):
            return CliRunner().invoke(
                main, arguments, env=environment, catch_exceptions=False, prog_name="rollouts"
            )

    def json(self, *arguments, code=0):
        result = self(*arguments, "--json")
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    def start(self, *arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "qdrant_rollouts.interfaces.cli", *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def facts(self):
        """Everything that a refusal must leave unchanged."""
        return (
            self.json("list", "--limit", "1000"),
            self.json("alias", "list"),
            self.json("experiment", "list"),
        )
