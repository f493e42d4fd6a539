"""The content of a source never appears in an error: for every kind of source, whatever is wrong
with it."""

import csv
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from qdrant_rollouts.adapters.qdrant_local import LocalStore
from qdrant_rollouts.adapters.sources import open_source
from qdrant_rollouts.core.collections.record_rules import RecordRules, VectorRule
from qdrant_rollouts.core.collections.records import BadRecord, parse_row
from qdrant_rollouts.core.errors import AppError
from qdrant_rollouts.core.gate.evidence import judged
from qdrant_rollouts.core.ports import Row
from qdrant_rollouts.core.sanitize.quoting import LONGEST_VALUE
from tests.world import World

SECRET = "sesame-" * 60
RULES = RecordRules(dense={"": VectorRule(3)}, templates={"": "{text}"})
NAMED = RecordRules(
    dense={"a": VectorRule(3), "b": VectorRule(3)},
    sparse=frozenset({"s"}),
    templates={"a": "{text}"},
)

#: What is wrong with a record, in which the secret stands.
RECORDS = {
    "id is no id": {"id": [SECRET], "text": "x"},
    "id is an object": {"id": {SECRET: SECRET}, "text": "x"},
    "id is too large": {"id": 10**300, "text": "x"},
    "number is too large": {"id": 1, "text": "x", "n": 10**300},
    "name of a field": {"id": 1, "text": "x", SECRET: float("nan")},
    "names within names": {"id": 1, "text": "x", "a": {SECRET: {SECRET: float("inf")}}},
    "vector is a text": {"id": 1, "vector": SECRET},
    "vector has a text": {"id": 1, "vector": [1, 2, SECRET]},
    "vector has a list": {"id": 1, "vector": [1, 2, [SECRET, SECRET]]},
    "vector of no name": {"id": 1, "vector": {SECRET: [1, 2, 3]}},
    "vector is infinite": {"id": 1, "vector": [10**300, 1, 1]},
    "sparse of a text": {"id": 1, "vector": {"s": SECRET}},
    "sparse indices": {"id": 1, "vector": {"s": {"indices": [SECRET], "values": [SECRET]}}},
    "text is missing": {"id": 1, "title": SECRET},
}


def check(said: str) -> None:
    """No value is longer than is allowed, and nothing of the secret is there twice over."""
    assert SECRET[:LONGEST_VALUE] not in said, said
    for run in re.findall(r"'([^']*)'", said):
        assert len(run) <= LONGEST_VALUE
    assert len(said) < 600, said


@pytest.mark.parametrize("rules", [RULES, NAMED], ids=["one vector", "several"])
@pytest.mark.parametrize("name", RECORDS)
def test_a_bad_record_is_told_without_its_values(name, rules):
    found = parse_row(Row("docs.jsonl:1", RECORDS[name], {}), rules)
    assert isinstance(found, BadRecord)
    check(str(found))


def test_a_number_that_python_cannot_write_is_a_bad_record():
    found = parse_row(
        Row("a.records:all, record 1", {"id": 1, "text": "x", "n": 10**5000}, {}), RULES
    )
    assert isinstance(found, BadRecord)
    assert "a number too long to be written" in str(found)
    assert isinstance(parse_row(Row("r", {"id": 10**5000, "text": "x"}, {}), RULES), BadRecord)


#: File and content of what no source can read, and the source.
FILES = {
    "header of an env file": ("a.csv", f"KEY={SECRET}\nOTHER=1\n", "csv:a.csv"),
    "header that is data": ("a.csv", f"{SECRET},1.5,{SECRET}\n", "csv:a.csv"),
    "header with a value twice": ("a.csv", f"id,{SECRET},{SECRET}\n", "csv:a.csv"),
    "header with an empty name": ("a.csv", f"id,,{SECRET}\n", "csv:a.csv"),
    "header that is not CSV": ("a.csv", f'id,"{SECRET}" {SECRET}\n', "csv:a.csv"),
    "cell that is not CSV": ("a.csv", f'id,text\n1,"{SECRET}"{SECRET}\n', "csv:a.csv"),
    "vector that is not JSON": ("a.csv", f"id,vector\n1,{SECRET}\n", "csv:a.csv"),
    "cells too many": ("a.csv", f"id,text\n1,{SECRET},{SECRET}\n", "csv:a.csv"),
    "line that is no JSON": ("a.jsonl", f"{SECRET}\n", "jsonl:a.jsonl"),
    "JSON cut off": ("a.jsonl", f'{{"id": "{SECRET}\n', "jsonl:a.jsonl"),
    "JSON with an escape": ("a.jsonl", f'{{"id": "\\q{SECRET}"}}\n', "jsonl:a.jsonl"),
    "JSON that is a text": ("a.jsonl", f'"{SECRET}"\n', "jsonl:a.jsonl"),
    "number of many digits": ("a.jsonl", f'{{"id": {"7" * 5000}}}\n', "jsonl:a.jsonl"),
    "front matter": ("d/a.md", f"---\n{SECRET}: [\n---\nx", "dir:d"),
    "front matter's lines": ("d/a.md", f"---\na: x\n {SECRET}: 'y\n---\nx", "dir:d"),
    "front matter's tag": ("d/a.md", f"---\na: !{SECRET}! x\n---\nx", "dir:d"),
    "malformed declaration": ("d/a.html", f"<![{SECRET}[x]]>", "dir:d"),
    "no Parquet": ("a.parquet", SECRET, "parquet:a.parquet"),
    "no page": (
        "records.py",
        f"def all():\n    raise ValueError({SECRET!r})\n",
        "python:records:all",
    ),
    "no key": ("records.py", f"def all():\n    return [{{}}[{SECRET!r}]]\n", "python:records:all"),
    "no module": ("records.py", f"import {SECRET.replace('-', '_')}\n", "python:records:all"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_read_is_told_without_its_content(tmp_path, monkeypatch, name):
    file, content, source = FILES[name]
    Path(file).parent.mkdir(exist_ok=True)
    Path(file).write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "records", raising=False)
    check(problem(open_source(source, (tmp_path,), LocalStore(":memory:"))))


def problem(source):
    """What is said of the source, or of its first record."""
    try:
        source.check()
        row = next(iter(source.read(None)))
    except AppError as error:
        return str(error)
    found = parse_row(row, RULES)
    assert isinstance(found, BadRecord), found
    return str(found)


def test_the_columns_of_tables_are_named_as_far_as_they_are_names(tmp_path, monkeypatch):
    table = pa.table({"title": ["x"], SECRET: ["x"]})
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    said = problem(open_source("parquet:a.parquet", (tmp_path,), LocalStore(":memory:")))
    assert "has the columns title, 1 more; one must be named id" in said
    with closing(sqlite3.connect("shop.db")) as connection, connection:
        connection.execute("CREATE TABLE items (title TEXT)")
        connection.execute("INSERT INTO items VALUES ('x')")
    monkeypatch.setenv("SHOP_URL", "sqlite:///shop.db")
    for query in ("SELECT title, '%s' FROM items", 'SELECT title AS id FROM "%s"'):
        check(problem(open_source("sql:SHOP_URL:" + query % SECRET, (), LocalStore(":memory:"))))


def test_a_query_s_error_is_told_without_the_rows_it_met(postgres_url, monkeypatch):
    monkeypatch.setenv("SHOP_URL", postgres_url)
    for query in (
        "SELECT 1 AS id, CAST(t AS integer) AS n FROM (VALUES ('%s'), ('7')) AS q(t)",
        """SELECT 1 AS id, CAST(t AS json) AS n FROM (VALUES ('{"a": %s')) AS q(t)""",
    ):
        source = open_source("sql:SHOP_URL:" + query % SECRET, (), LocalStore(":memory:"))
        said = problem(source)
        assert "invalid input syntax" in said
        check(said)


def test_the_place_of_a_row_is_cut_too(tmp_path, monkeypatch):
    with closing(sqlite3.connect("shop.db")) as connection, connection:
        connection.execute("CREATE TABLE items (id TEXT, title TEXT)")
        connection.execute("INSERT INTO items VALUES (?, 'x')", (SECRET,))
    monkeypatch.setenv("SHOP_URL", "sqlite:///shop.db")
    check(
        problem(open_source("sql:SHOP_URL:SELECT id, title FROM items", (), LocalStore(":memory:")))
    )


@pytest.mark.parametrize(
    "line",
    [
        {"query": [SECRET], "relevant": [1]},
        {"query": "q", "relevant": SECRET},
        {"query": "q", "relevant": [[SECRET]]},
        {"query": "q", "relevant": {SECRET: SECRET}},
    ],
)
def test_a_judged_query_is_told_without_its_values(tmp_path, line):
    Path("judged.jsonl").write_text(json.dumps(line))
    with pytest.raises(AppError) as error:
        judged.read_judged(open_source("jsonl:judged.jsonl", (tmp_path,), LocalStore(":memory:")))
    check(str(error.value))


def test_a_deployment_s_message_and_events_repeat_no_long_value(tmp_path, ready_sqlite_url):
    """Also where two records have one id, of which the step says which it is."""
    world = World(tmp_path, ready_sqlite_url)
    rows = [{"id": SECRET, "text": "one"}, {"id": SECRET, "text": "two"}]
    world.declare("docs", source=world.write("docs.jsonl", rows))
    started = world.deploy("docs")
    world.run()
    seen = world.status(started)
    world.close()
    assert seen["status"] == "rolled_back"
    assert "is not unique" in seen["message"]
    for said in (seen["message"], *(event["detail"] for event in seen["events"])):
        check(said)


def test_a_csv_with_a_header_still_names_its_columns(tmp_path):
    with Path("a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["ID", "title", "text"], ["1", "x", "y"]])
    said = problem(open_source("csv:a.csv", (tmp_path,), LocalStore(":memory:")))
    assert said.startswith(
        "a.csv:1: the header has no id: ID, title, text; expected different names, id among them"
    )
