"""YAML and JSON from others never expand beyond the bounds, wherever they are read."""

import json
import subprocess
import sys
import time

import pytest
import yaml

from qdrant_rollouts.adapters.sources import markdown
from qdrant_rollouts.core.collections.manifests import Manifest
from qdrant_rollouts.core.config.index_file import IndexSpec, load_index_file
from qdrant_rollouts.core.errors import Malformed, Refused
from qdrant_rollouts.core.sanitize.bounded import (
    DEEPEST,
    MOST_VALUES,
    BoundedLoader,
    BoundedTexts,
    read_yaml,
)
from qdrant_rollouts.interfaces.cli.experiment_options import parse_metric_options
from qdrant_rollouts.interfaces.cli.options import parse_options
from tests.shell import ROOT, Shell, records, write


def bomb(levels=10, width=10, form="[{}]"):
    first = "a0: &a0 " + form.format(", ".join(["lol"] * width))
    rest = [
        f"a{n}: &a{n} " + form.format(", ".join([f"*a{n - 1}"] * width)) for n in range(1, levels)
    ]
    return "\n".join([first, *rest])


MERGES = "\n".join(
    [
        "a0: &a0 {x: 1, y: 2}",
        *(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 10)),
    ]
)
LONG_TEXT = f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 2_000)}]"
TOO_MUCH = {
    "aliases": bomb(),
    "a wide one": bomb(levels=3, width=200),
    "merge keys": MERGES,
    "a long text": LONG_TEXT,
    "mappings": bomb(form="{{{}}}").replace("lol, ", "").replace("lol", "k: v"),
    "itself": "a: &a [*a]",
    "lists in lists": "a: " + "[" * 100_000,
    "mappings in mappings": "a: " + "{b: " * 5_000,
    "indented": "\n".join(" " * n + "a:" for n in range(500)),
    "sequences in a line": "- " * 5_000 + "a",
    "a number of many digits": "a: " + "1" * 10_000,
    "a number to the base of 60": "a: 1" + ":59" * 20_000,
    "a date that is none": "a: 2026-99-99",
}


@pytest.fixture(params=TOO_MUCH)
def text(request):
    return TOO_MUCH[request.param]


def test_the_index_file_is_refused_at_once(tmp_path, text):
    file = tmp_path / "rollouts.yaml"
    file.write_text(f"indexes: {{}}\n{text}\n")
    begun = time.process_time()
    with pytest.raises(Refused) as refused:
        load_index_file(file)
    assert time.process_time() - begun < 2
    assert str(refused.value).startswith(f"{file}: ")
    assert len(str(refused.value)) < 3_000


def test_a_file_that_is_too_long_is_not_read_to_its_end(tmp_path):
    file = tmp_path / "rollouts.yaml"
    file.write_text("# " + "x" * 1_000_000)
    with pytest.raises(Refused, match="has more than 1,000,000 bytes"):
        load_index_file(file)


@pytest.mark.parametrize("name", [name for name in TOO_MUCH if name != "a date that is none"])
def test_front_matter_is_a_bad_record(name):
    with pytest.raises(ValueError, match="front matter"):
        markdown.read_markdown(
            f"---\n{TOO_MUCH[name]}\n---\ntext" if "number" not in name else f"---\n{bomb()}\n---\n"
        )


def test_long_front_matter_is_a_bad_record():
    with pytest.raises(ValueError, match="at most 100,000 are read"):
        markdown.read_markdown(f"---\na: {'x' * 200_000}\n---\ntext")


@pytest.mark.parametrize("value", ["[" * 2_000, "1" * 10_000, "2026-99-99", "{a: &a [*a]}"])
def test_options_are_refused_in_words(value):
    with pytest.raises(Refused, match="--option"):
        parse_options([f"soak={value}"])
    with pytest.raises(Refused, match="--metric"):
        parse_metric_options([f"dwell,kind={value}"])


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("!!bool maybe", "bool"),
        ("!!timestamp x", "timestamp"),
        ("!!float ''", "float"),
        ("!!int abc", "int"),
        ("!!int ''", "int"),
        ("2026-02-31T25:00:00Z", "timestamp"),
    ],
)
def test_a_value_that_is_not_what_its_tag_says_is_refused_with_its_place(tmp_path, value, kind):
    file = tmp_path / "rollouts.yaml"
    file.write_text(f"indexes: {{}}\na: [1, {value}]\n")
    with pytest.raises(Refused, match=f"cannot be read: this is no {kind} at line 2, column 8"):
        load_index_file(file)
    with pytest.raises(Refused, match="--option"):
        parse_options([f"soak={value}"])
    if value.startswith("!!"):
        with pytest.raises(ValueError, match=f"this is no {kind}"):
            read_yaml(f"a: {{b: [{value}]}}")
    assert markdown.read_markdown(f"---\na: {value}\n---\ntext")


def test_what_is_within_the_bounds_is_read_as_yaml_reads_it():
    text = "a: &a {x: 1, y: [1.5, true, null, 2026-01-02, '07']}\nb: {<<: *a, x: 2}\nc: *a\n"
    assert read_yaml(text) == yaml.safe_load(text)
    assert read_yaml(text, BoundedTexts)["a"] == {
        "x": "1",
        "y": ["1.5", "true", "null", "2026-01-02", "07"],
    }
    deep = "[" * (DEEPEST - 1) + "]" * (DEEPEST - 1)
    assert read_yaml(f"{deep}") == yaml.safe_load(deep)


def test_aliases_count_with_what_they_repeat():
    just = f"a: &a [{', '.join('1' * 999)}]\nb: [{', '.join(['*a'] * (MOST_VALUES // 1_000 - 2))}]"
    assert len(read_yaml(just)["b"]) == MOST_VALUES // 1_000 - 2
    with pytest.raises(ValueError, match=r"aliases \(\*NAME\) repeat"):
        read_yaml(just.replace("b: [", "b: [*a, *a, *a, "))


def test_the_command_line_says_so_and_does_nothing(tmp_path):
    (tmp_path / "rollouts.yaml").write_text(
        "indexes:\n  docs: {source: 'jsonl:a.jsonl'}\n" + bomb()
    )
    done = Shell(tmp_path)("deploy", "docs")
    assert done.exit_code == 2
    assert "too much" in done.stderr
    assert len(done.stderr) < 2_000


def test_it_takes_no_memory(tmp_path):
    """In a process of its own that may have a gigabyte, of which imports take most."""
    (tmp_path / "rollouts.yaml").write_text(bomb(levels=30))
    code = (
        "import resource; from pathlib import Path\n"
        "from qdrant_rollouts.core.config.index_file import load_index_file\n"
        "from qdrant_rollouts.core.errors import Refused\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "try: load_index_file(Path('rollouts.yaml'))\nexcept Refused as error: "
        "print(str(error)[:60])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.startswith("rollouts.yaml: cannot be read"), done.stderr


# --- JSON -----------------------------------------------------------------------------------------


def nested(levels):
    return json.loads("[" * levels + "]" * levels)


def test_settings_that_are_nested_too_deep_are_refused():
    with pytest.raises(Malformed):
        IndexSpec().with_options({"collection": {"a": nested(900)}})


def test_a_manifest_that_is_nested_too_deep_is_damaged():
    with pytest.raises(Refused, match="damaged"):
        Manifest.of("[" * 100_000, "b1")


@pytest.mark.parametrize("levels", [120, 900, 50_000])
@pytest.mark.parametrize("field", ["text", "vector", "other"])
def test_lines_of_many_levels_are_bad_records(tmp_path, levels, field):
    """A deployment of them ends, and says which line it was."""
    write(tmp_path / "docs" / "a.jsonl", records(12, "one"))
    line = '{"id": 99, "title": "t", "text": "x"}'[:-1]
    with (tmp_path / "docs" / "a.jsonl").open("a", encoding="utf-8") as file:
        file.write(f'{line}, "{field}": {"[" * levels}{"]" * levels}}}\n')
    index = {
        "source": "jsonl:docs/*.jsonl",
        "embedding": {"model": "hashing:64", "text": "{title}: {text}"},
        "validation": {"samples": {"records": 12, "queries": 12}},
        "soak": {"seconds": 0.2, "interval_seconds": 0.1},
    }
    (tmp_path / "rollouts.yaml").write_text(json.dumps({"indexes": {"docs": index}}))
    ended = Shell(tmp_path).json("deploy", "docs", "--wait", code=1)
    assert ended["status"] == "rolled_back"
    assert "a.jsonl:13" in json.dumps(ended)
    assert len(ended["message"]) < 2_000


@pytest.mark.parametrize("loader", [BoundedLoader, BoundedTexts])
def test_letters_that_json_writes_as_two_escapes_are_read_as_one(loader):
    told = {"emoji 💥": ["🦀 and ü", "plain"]}
    assert read_yaml(json.dumps(told), loader) == told
    assert read_yaml(r'"half \ud83d alone"', loader) == "half \ud83d alone"
