"""What every source must keep, shown on each kind in ``SOURCES`` with the same records."""

import csv
import gzip
import io
import itertools
import json
import os
import sqlite3
import tracemalloc
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qdrant_rollouts.adapters.qdrant_local import LocalStore
from qdrant_rollouts.adapters.shelf import FolderShelf
from qdrant_rollouts.adapters.sources import SOURCES, open_source
from qdrant_rollouts.core.collections.parts import find_cuts, open_part
from qdrant_rollouts.core.collections.record_rules import RecordRules
from qdrant_rollouts.core.collections.records import MARK_KEY, split_row
from qdrant_rollouts.core.collections.recovered import RecoveredSource
from qdrant_rollouts.core.collections.vectors import VectorPlan
from qdrant_rollouts.core.config.crawl_spec import CrawlSpec
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Point, Row, Source, SpreadSource, VectorStore
from tests.backups import manifest
from tests.sites import Page, Website, website

RECORDS = [
    {"id": 1, "title": "plain", "text": "one line"},
    {"id": 2, "title": 'quotes "", commas', "text": "line\nbreak and \u2028 separator"},
    {"id": 3, "title": "größer 漢字", "text": "🦀" * 20},
    {"id": 4, "title": "", "text": " "},
    {"id": 5, "title": "vector", "text": "x", "vector": [1.0, 0.5]},
    *(
        {"id": number, "title": f"t{number}", "text": "lorem ipsum " * (number % 7)}
        for number in range(6, 60)
    ),
]
SCHEMA = {"params": {"vectors": {"size": 2, "distance": "Dot"}}}
RULES = RecordRules.of(VectorPlan(given=frozenset({""})), SCHEMA)
THINGS = "collection:things"
#: The one site of these tests, while they run.
SITES: list[Website] = []
#: Kinds that cannot know beforehand how much there is.
UNSIZED = {"python"}
TYPES = pa.schema(
    {"id": pa.int64(), "title": pa.string(), "text": pa.string(), "vector": pa.list_(pa.float32())}
)
Place = Callable[[Path, VectorStore, list[dict[str, Any]]], str]


# --- one way to lay down records for every kind ---------------------------------------------------


def lines(records: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def table(records: list[dict[str, Any]]) -> str:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, ["id", "title", "text", "vector"])
    writer.writeheader()
    for record in records:
        writer.writerow(
            {**record, "vector": json.dumps(record["vector"]) if "vector" in record else ""}
        )
    return out.getvalue()


def plain(kind: str, encode: Callable[[list[dict[str, Any]]], str]) -> Place:
    def place(folder: Path, store: VectorStore, records: list[dict[str, Any]]) -> str:
        (folder / f"a.{kind}").write_text(encode(records), encoding="utf-8", newline="")
        return f"{kind}:a.{kind}"

    return place


def several(kind: str, encode: Callable[[list[dict[str, Any]]], str]) -> Place:
    """Three files, one of them compressed, one without a record."""

    def place(folder: Path, store: VectorStore, records: list[dict[str, Any]]) -> str:
        (folder / "deep" / "er").mkdir(parents=True)
        (folder / "deep" / f"a.{kind}").write_text(
            encode(records[:20]) + "\n \n", encoding="utf-8", newline=""
        )
        (folder / "deep" / f"b.{kind}").write_text(encode([]), encoding="utf-8", newline="")
        (folder / "deep" / "er" / f"c.{kind}.gz").write_bytes(
            gzip.compress(encode(records[20:]).encode() + b"\n")
        )
        return f"{kind}:deep/**/*.{kind}, deep/er/*.gz"

    return place


def collection(folder: Path, store: VectorStore, records: list[dict[str, Any]]) -> str:
    store.create("things", SCHEMA, {})
    points = [
        Point(
            record["id"],
            record.get("vector", [0.0, 1.0]),
            {
                **{key: value for key, value in record.items() if key != "vector"},
                MARK_KEY: {"n": number},
            },
        )
        for number, record in enumerate(records)
    ]
    for start in range(0, len(points), 100):
        store.upsert("things", points[start : start + 100])
    return THINGS


def backup(folder: Path, store: VectorStore, records: list[dict[str, Any]]) -> str:
    """As a deployment meets it: its manifest on the shelf, its points recovered into a
    collection."""
    collection(folder, store, records)
    FolderShelf(folder / "backups").seal("one", manifest("one").text())
    return "backup:one"


def documents(folder: Path, store: VectorStore, records: list[dict[str, Any]]) -> str:
    """Every second document lies in a folder within; what else lies there is none."""
    (folder / "docs" / "z").mkdir(parents=True)
    (folder / "docs" / "z.png").write_bytes(b"\x89PNG")
    for record in records:
        (folder / "docs" / document(record)["path"]).write_text(
            record["text"], encoding="utf-8", newline=""
        )
    return "dir:docs"


def document(record: dict[str, Any]) -> dict[str, Any]:
    name = f"{record['id']:02}"
    path = f"{name}.txt" if record["id"] < 30 else f"z/{name}.txt"
    return {"id": path, "title": name, "text": record["text"].strip(), "path": path}


def columns(folder: Path, store: VectorStore, records: list[dict[str, Any]]) -> str:
    """Two files of several row groups."""
    pq.write_table(
        pa.Table.from_pylist(records[:20], TYPES), folder / "a.parquet", row_group_size=7
    )
    pq.write_table(
        pa.Table.from_pylist(records[20:], TYPES), folder / "b.parquet", row_group_size=30
    )
    return "parquet:*.parquet"


def database(folder: Path, store: VectorStore, records: list[dict[str, Any]]) -> str:
    with closing(sqlite3.connect(folder / "shop.db")) as connection, connection:
        connection.execute("CREATE TABLE articles (id INTEGER, title TEXT, text TEXT, vector TEXT)")
        for record in reversed(records):
            values = [
                record["id"],
                record["title"],
                record["text"],
                json.dumps(record.get("vector")),
            ]
            connection.execute("INSERT INTO articles VALUES (?, ?, ?, ?)", values)
    return (
        "sql:SHOP_URL:SELECT id, title, text, nullif(vector, 'null') AS vector FROM articles WHERE "
        "title <> ':x'"
    )


def function(folder: Path, store: VectorStore, records: list[dict[str, Any]]) -> str:
    module = f"records_{uuid.uuid4().hex}"  # a module of that name is imported once in a process
    (folder / f"{module}.py").write_text(f"def everything():\n    yield from {records!r}\n")
    return f"python:{module}:everything"


def pages(folder: Path, store: VectorStore, records: list[dict[str, Any]]) -> str:
    """Listed the wrong way round."""
    (site,) = SITES
    site.pages.clear()
    paths = {f"/{record['id']:02}": Page(record["text"], type="text/plain") for record in records}
    site.pages.update(paths)
    return site.sitemap(*reversed(paths))


def page(record: dict[str, Any]) -> dict[str, Any]:
    address = f"{SITES[0].url}/{record['id']:02}"
    return {"id": address, "url": address, "title": address, "text": record["text"].strip()}


PLACES: dict[str, Place] = {
    "jsonl": plain("jsonl", lines),
    "jsonl several, .gz": several("jsonl", lines),
    "csv": plain("csv", table),
    "csv several, .gz": several("csv", table),
    "dir": documents,
    "parquet": columns,
    "sql": database,
    "sitemap": pages,
    "python": function,
    "collection": collection,
    "backup": backup,
}
#: What a record comes back as, where the kind has a shape of its own.
SHAPES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "dir": document,
    "sitemap": page,
    **dict.fromkeys(("collection", "backup"), lambda record: {"vector": [0.0, 1.0], **record}),
}


@dataclass
class Laid:
    kind: str
    store: VectorStore
    folder: Path
    text: str

    def open(self, *elsewhere: Path, text: str = "") -> Source:
        shelf = FolderShelf(self.folder / "backups")
        source = open_source(text or self.text, (*elsewhere, self.folder), self.store, crawl, shelf)
        return (
            RecoveredSource(source, open_source(THINGS, (), self.store))
            if self.kind == "backup"
            else source
        )

    def shape(self, record: dict[str, Any]) -> dict[str, Any]:
        return SHAPES[self.kind](record) if self.kind in SHAPES else record


def at_hand(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker's environment has: a database's URL, and the folder of the operator's
    modules."""
    monkeypatch.setenv("SHOP_URL", f"sqlite:///{folder}/shop.db")
    monkeypatch.syspath_prepend(folder)


@pytest.fixture(scope="module", autouse=True)
def _site() -> Iterator[None]:
    with website() as site:
        SITES.append(site)
        yield
        SITES.clear()


def crawl() -> CrawlSpec:
    return SITES[0].crawl


@pytest.fixture(params=PLACES)
def laid(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Laid]:
    at_hand(tmp_path, monkeypatch)
    store = LocalStore(":memory:")
    text = PLACES[request.param](tmp_path, store, RECORDS)
    yield Laid(text.partition(":")[0], store, tmp_path, text)
    store.close()


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Source]:
    at_hand(tmp_path, monkeypatch)
    return lambda text: open_source(text, (tmp_path,), LocalStore(":memory:"))


def seen(rows: list[Row]) -> list[tuple[str, object, str]]:
    return [(row.where, comparable(row), row.problem) for row in rows]


def comparable(row: Row) -> object:
    """The row's payload, without our own mark, and its vector."""
    if row.fields is None:
        return None
    fields, vector = split_row(row, RULES)
    fields.pop(MARK_KEY, None)
    return fields if vector is None else {**fields, "vector": list(vector)}


def test_every_kind_is_under_this_contract():
    assert {name.split()[0] for name in PLACES} == set(SOURCES)


# --- laws -----------------------------------------------------------------------------------------


def test_a_source_gives_the_records_it_was_filled_with_in_order(laid):
    laid.open().check()
    given_back = [comparable(row) for row in laid.open().read(None)]
    assert given_back == [laid.shape(record) for record in RECORDS]


def test_reading_on_from_any_cursor_equals_reading_in_one_go(laid):
    whole = list(laid.open().read(None))
    for at, row in enumerate(whole):
        rest = list(laid.open().read(json.loads(json.dumps(row.cursor))))
        assert seen(rest) == seen(whole[at + 1 :])
        assert [after.cursor for after in rest] == [after.cursor for after in whole[at + 1 :]]


def test_reading_from_a_place_in_the_middle_gives_the_rest_of_the_source(laid):
    source = laid.open()
    wanted = (0.1, 0.3, 0.35, 0.8, 0.97)
    places = source.list_places(wanted) if isinstance(source, SpreadSource) else []
    assert places or (laid.kind not in ("dir", "parquet", "sql") and laid.text != "jsonl:a.jsonl")
    whole = [comparable(row) for row in source.read(None)]
    for place in places:
        rest = [comparable(row) for row in laid.open().read(place)]
        assert rest == whole[len(whole) - len(rest) :]
        assert len(rest) <= len(whole)
        done = [row.cursor["done"] for row in laid.open().read(place)]
        assert not done or done[0] > place["done"]


def test_a_size_in_rows_is_the_number_of_the_rows(laid):
    source = laid.open()
    if source.size_unit == "rows" and laid.kind not in UNSIZED:
        assert source.size() == len(list(source.read(None)))


def test_what_is_done_never_shrinks_and_ends_at_the_size(laid):
    done = [row.cursor["done"] for row in laid.open().read(None)]
    assert done == sorted(done)
    assert done[0] > 0
    assert laid.open().size() == (0 if laid.kind in UNSIZED else done[-1])


def test_every_row_says_where_it_stands_and_no_two_say_the_same(laid):
    places = [row.where for row in laid.open().read(None)]
    assert len(set(places)) == len(RECORDS)


def test_the_fingerprint_stays_while_nothing_changes(laid):
    assert laid.open().fingerprint() == laid.open().fingerprint()


def test_the_address_means_the_same_source_from_another_folder(laid, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    source = laid.open()
    again = laid.open(tmp_path / "elsewhere", text=source.address)
    assert again.fingerprint() == source.fingerprint()
    assert [row.cursor for row in again.read(None)] == [row.cursor for row in source.read(None)]
    assert again.address == source.address


def test_only_a_collection_and_a_recovered_backup_name_a_collection(laid):
    assert laid.open().collection == ("things" if laid.kind in {"collection", "backup"} else None)


def test_reading_is_lazy(laid):
    rows = laid.open().read(None)
    assert next(rows).fields["id"] == laid.shape(RECORDS[0])["id"]
    assert next(rows).fields["id"] == laid.shape(RECORDS[1])["id"]


@pytest.mark.parametrize("parts", [2, 3, 7, 500])
def test_the_parts_of_a_source_give_each_record_once_and_in_order(laid, parts):
    source = laid.open()
    bounds = [None, *json.loads(json.dumps(find_cuts(source, parts))), None]
    assert len(bounds) <= parts + 1
    rows = [
        row
        for start, stop in itertools.pairwise(bounds)
        for row in open_part(laid.open(), start, stop).read(None)
    ]
    assert [comparable(row) for row in rows] == [laid.shape(record) for record in RECORDS]
    assert len({row.where for row in rows}) == len(RECORDS)


def test_a_part_is_read_on_from_any_cursor(laid):
    bounds = [None, *find_cuts(laid.open(), 3), None]
    for start, stop in itertools.pairwise(bounds):
        whole = list(open_part(laid.open(), start, stop).read(None))
        for at, row in enumerate(whole):
            rest = open_part(laid.open(), start, stop).read(json.loads(json.dumps(row.cursor)))
            assert seen(list(rest)) == seen(whole[at + 1 :])


def test_a_source_that_may_change_under_one_fingerprint_is_cut_by_ids(laid):
    source = laid.open()
    if source.fingerprint() is None or source.collection is not None:
        ids = {row.fields["id"] for row in source.read(None)}
        assert {cut["after"] for cut in find_cuts(source, 3)} <= ids


def test_these_kinds_are_cut_into_as_many_parts_as_are_wanted(tmp_path, opened, store):
    many = [{"id": number, "title": f"t{number}", "text": "x"} for number in range(1000)]
    for name in ("jsonl", "dir", "parquet", "sql"):
        folder = tmp_path / name
        folder.mkdir()
        text = (
            PLACES[name](folder, store, many)
            if name != "sql"
            else PLACES[name](tmp_path, store, many)
        )
        source = open_source(text, (folder,), store)
        assert len(find_cuts(source, 4)) == 3, name


def test_the_first_line_of_a_part_is_judged_as_in_one_pass(tmp_path, opened):
    """A byte order mark belongs to a file's beginning and to no other line."""
    lines = [json.dumps({"id": number, "title": "t"}).encode() for number in range(40)]
    lines[20] = b"\xef\xbb\xbf" + lines[20]
    lines[30] = b"\xff\xfe" + lines[30]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    source = opened("jsonl:a.jsonl")
    whole = [(row.fields, bool(row.problem)) for row in source.read(None)]
    bounds = [None, *find_cuts(source, 40), None]
    parts = [
        (row.fields, bool(row.problem))
        for start, stop in itertools.pairwise(bounds)
        for row in open_part(source, start, stop).read(None)
    ]
    assert parts == whole


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_memory_stays_flat_however_much_is_read(tmp_path, opened, kind):
    record = {"id": 1, "title": "t" * 500, "text": "x" * 500}
    peaks = []
    for count in (2_000, 20_000):
        plain(kind, table if kind == "csv" else lines)(tmp_path, None, [record] * count)
        tracemalloc.start()
        for _ in opened(f"{kind}:a.{kind}").read(None):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 200_000


def test_bad_lines_are_rows_with_a_problem_and_reading_goes_on(tmp_path, opened):
    (tmp_path / "a.jsonl").write_bytes(
        b'\xef\xbb\xbf{"id": 1}\r\n\r\n{"id": 2\n[3]\n"four"\nnull\n{"id": "\xff"}\n{"id": 1'
        + b"0" * 5000
        + b"}\n"
        + b"[" * 100_000
        + b'\n{"id": 9}'
    )
    rows = list(opened("jsonl:a.jsonl").read(None))
    assert {row.where: row.fields for row in rows if row.fields} == {
        "a.jsonl:1": {"id": 1},
        "a.jsonl:10": {"id": 9},
    }
    problems = {row.where: row.problem for row in rows if row.fields is None}
    assert list(problems) == [f"a.jsonl:{number}" for number in range(3, 10)]
    assert "not JSON" in problems["a.jsonl:3"]
    assert "is a JSON list; expected an object" in problems["a.jsonl:4"]
    assert "not UTF-8" in problems["a.jsonl:7"]
    assert all(problems.values())


def test_a_line_longer_than_any_request_is_one_bad_row(tmp_path, opened):
    with (tmp_path / "a.jsonl").open("wb") as file:
        file.write(b'{"id": 1}\n{"id": 2, "text": "')
        for _ in range(70):
            file.write(b"x" * 1024 * 1024)
        file.write(b'"}\n{"id": 3}\n')
    rows = list(opened("jsonl:a.jsonl").read(None))
    assert [row.fields for row in rows] == [{"id": 1}, None, {"id": 3}]
    assert "longer than 33554432 bytes" in rows[1].problem
    assert [row.where for row in rows] == ["a.jsonl:1", "a.jsonl:2", "a.jsonl:3"]


def test_cells_too_few_or_too_many_and_broken_quotes_are_rows_with_a_problem(tmp_path, opened):
    (tmp_path / "a.csv").write_bytes(
        b'id,text,vector\n1,one,\n2\n3,a,b,c\n4,"a"b,\n5,x,[1\n'
        b'6,"two\nlines",[1]\n7,\xff,\n\n8,x,\n9,"never closed,\n'
    )
    rows = list(opened("csv:a.csv").read(None))
    assert [row.fields for row in rows if row.fields] == [
        {"id": 1, "text": "one", "vector": ""},
        {"id": 5, "text": "x", "vector": "[1"},
        {"id": 6, "text": "two\nlines", "vector": "[1]"},
        {"id": 8, "text": "x", "vector": ""},
    ]
    problems = {row.where: row.problem for row in rows if row.fields is None}
    assert list(problems) == ["a.csv:3", "a.csv:4", "a.csv:5", "a.csv:9", "a.csv:12"]
    assert "has 1 cells; the header names 3 columns" in problems["a.csv:3"]
    assert "has 4 cells" in problems["a.csv:4"]
    assert "not CSV" in problems["a.csv:5"]
    assert "not UTF-8" in problems["a.csv:9"]


def test_only_canonical_decimal_ids_of_a_csv_become_integers(tmp_path, opened):
    texts = [
        "7",
        "-7",
        "0",
        "007",
        "1e3",
        "7.0",
        " 7",
        "9223372036854775807",
        "9223372036854775808",
        "x",
    ]
    (tmp_path / "a.csv").write_text("id\n" + "\n".join(texts))
    found = [row.fields["id"] for row in opened("csv:a.csv").read(None)]
    assert found == [
        7,
        -7,
        0,
        "007",
        "1e3",
        "7.0",
        " 7",
        9223372036854775807,
        "9223372036854775808",
        "x",
    ]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("id,a,a", "column 'a' twice"),
        ("id,,b", "an empty name"),
        ("name,text", "no id"),
        ("id;text", "no id"),
    ],
)
def test_a_header_with_double_or_empty_names_or_without_id_is_refused(
    tmp_path, opened, header, said
):
    (tmp_path / "a.csv").write_text(f"{header}\n1,2,3\n")
    with pytest.raises(Refused, match=r"a\.csv:1: the header has") as refused:
        opened("csv:a.csv").check()
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("content", "records"),
    [
        ("id, text\n1, one\n", [{"id": 1, "text": "one"}]),
        ("id , text\n1  , one\n10 , two\n", [{"id": 1, "text": "one"}, {"id": 10, "text": "two"}]),
        ("id, text , vector\r\n1, one , \r\n", [{"id": 1, "text": "one ", "vector": ""}]),
        ('id, "text"\n1, "one, two"\n', [{"id": 1, "text": "one, two"}]),
        (" id ,text\n1, one\n", [{"id": 1, "text": " one"}]),
        ('id,"a, b"\n1, one\n', [{"id": 1, "a, b": " one"}]),
        ("\ufeffid,text\n1,one\n", [{"id": 1, "text": "one"}]),
        ('\ufeff"id","text"\r\n"1","one"\r\n', [{"id": 1, "text": "one"}]),
        ("\n  \nid,text\n\n1,one\n", [{"id": 1, "text": "one"}]),
        ("id,text", []),
        ("\ufeff", []),
        ("\n", []),
    ],
)
def test_a_header_is_read_as_people_write_it(tmp_path, opened, content, records):
    (tmp_path / "a.csv").write_text(content, encoding="utf-8", newline="")
    rows = list(opened("csv:a.csv").read(None))
    assert [row.fields for row in rows] == records
    for at, row in enumerate(rows):
        assert [after.fields for after in opened("csv:a.csv").read(row.cursor)] == records[at + 1 :]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"id;text\n1;one\n", "its columns are separated by semicolons; write commas"),
        (b'"id"\t"text"\n1\tone\n', "its columns are separated by tabs; write commas"),
        (b"text | id\none | 1\n", "its columns are separated by bars; write commas"),
        (b"ID,text\n", "no id: ID, text; expected different names, id among them, with commas"),
        (b",id\n0,1\n", "an empty name, in column 1 of 2"),
        (
            "id,größe\n".encode("latin-1"),
            "not UTF-8: invalid start byte at byte 6 of the line; write the",
        ),
        ("id,text\n1,one\n".encode("utf-16"), "a.csv is written in UTF-16; write it in UTF-8"),
        (b"id,text\r1,one\r", "end lines with LF or CR LF"),
        (b"KEY=secret-value\n", "no id: one column"),
    ],
)
def test_a_header_that_is_refused_says_how_to_write_it(tmp_path, opened, content, said):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(Refused) as refused:
        opened("csv:a.csv").check()
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


def test_lines_of_json_are_read_as_people_write_them(tmp_path, opened):
    written = b'\xef\xbb\xbf\r\n{"id": 1}\r\n \t\n\n {"id": 2} \r\n{"id": 3}'
    (tmp_path / "a.jsonl").write_bytes(written)
    assert [row.fields["id"] for row in opened("jsonl:a.jsonl").read(None)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"id": 1},', "Extra data at column 10; write no comma after the object"),
        ("[", "write each object in one line, and no list around them"),
        ("{", "write each object in one line, and no list around them"),
        ('[{"id": 1}]', "is a JSON list; expected an object in each line"),
        ("{'id': 1}", "not JSON: Expecting property name enclosed in double quotes"),
    ],
)
def test_a_line_that_is_no_json_line_says_how_to_write_it(tmp_path, opened, content, said):
    (tmp_path / "a.jsonl").write_text(f"{content}\n")
    (row,) = opened("jsonl:a.jsonl").read(None)
    assert said in row.problem


def test_lines_of_json_in_utf_16_are_refused_at_once(tmp_path, opened):
    (tmp_path / "a.jsonl").write_text('{"id": 1}\n', encoding="utf-16")
    with pytest.raises(Refused, match=r"a\.jsonl is written in UTF-16; write it in UTF-8"):
        opened("jsonl:a.jsonl").check()


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_blank_lines_at_the_end_are_done_with_the_last_record(tmp_path, opened, kind):
    (tmp_path / f"a.{kind}").write_text(
        {"jsonl": '{"id": 1}\n', "csv": "id\n1\n"}[kind] + "\n \n" * 50
    )
    [row] = opened(f"{kind}:a.{kind}").read(None)
    assert row.cursor["done"] == opened(f"{kind}:a.{kind}").size()
    assert list(opened(f"{kind}:a.{kind}").read(row.cursor)) == []


def test_a_damaged_gz_file_is_refused_and_not_taken_for_its_end(tmp_path, opened):
    packed = gzip.compress(lines(RECORDS).encode())
    (tmp_path / "cut.jsonl.gz").write_bytes(packed[:-20])
    (tmp_path / "none.jsonl.gz").write_bytes(b"not gzip at all")
    (tmp_path / "flipped.jsonl.gz").write_bytes(packed[:60] + b"\0\0\0\0" + packed[64:])
    for name in ("cut", "none", "flipped"):
        with pytest.raises(Refused, match=f"{name}.jsonl.gz is damaged"):
            list(opened(f"jsonl:{name}.jsonl.gz").read(None))


def test_a_changed_file_changes_the_fingerprint_and_ends_a_resumed_read(tmp_path, opened):
    (tmp_path / "a.jsonl").write_text(lines(RECORDS))
    source = opened("jsonl:*.jsonl")
    before = source.fingerprint()
    row = next(source.read(None))
    (tmp_path / "b.jsonl").write_text('{"id": 99}\n')
    assert opened("jsonl:*.jsonl").fingerprint() != before
    with pytest.raises(Refused, match="changed since it was read up to row 1"):
        opened("jsonl:*.jsonl").read(row.cursor)


def test_a_file_of_equal_size_written_again_is_a_changed_file(tmp_path, opened):
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1}\n')
    before = opened("jsonl:a.jsonl").fingerprint()
    path.write_text('{"id": 2}\n')
    os.utime(path, ns=(1, 1))
    assert opened("jsonl:a.jsonl").fingerprint() != before


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, opened):
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1}\n{"id": 2}\n')
    rows = opened("jsonl:a.jsonl").read(None)
    next(rows)
    with path.open("a") as file:
        file.write('{"id": 3}\n')
    with pytest.raises(Refused, match="changed while it was read"):
        list(rows)


@pytest.mark.parametrize(
    ("kind", "content"),
    [("jsonl", b""), ("jsonl", b"\n \r\n"), ("csv", b""), ("csv", b"id,text\n\n")],
)
def test_a_source_without_a_single_record_is_refused(tmp_path, opened, kind, content):
    (tmp_path / f"a.{kind}").write_bytes(content)
    with pytest.raises(Refused, match=f"a.{kind} holds no record"):
        opened(f"{kind}:a.{kind}").check()
    assert list(opened(f"{kind}:a.{kind}").read(None)) == []


in_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
unicode_text = st.text(st.characters(exclude_categories=["Cs"]))


@in_folder
@given(
    st.lists(
        st.dictionaries(unicode_text, unicode_text | st.integers() | st.none()),
        min_size=1,
        max_size=8,
    )
)
def test_any_objects_written_as_json_lines_come_back(tmp_path, opened, objects):
    (tmp_path / "a.jsonl").write_text(lines(objects), encoding="utf-8", newline="")
    rows = list(opened("jsonl:a.jsonl").read(None))
    assert [row.fields for row in rows] == objects
    middle = rows[len(rows) // 2]
    assert seen(list(opened("jsonl:a.jsonl").read(middle.cursor))) == seen(
        rows[len(rows) // 2 + 1 :]
    )


@in_folder
@given(
    st.lists(st.lists(unicode_text, min_size=2, max_size=2), min_size=1, max_size=8),
    # With "\n" Python's writer leaves a lone "\r" unquoted unless told to quote everything.
    st.sampled_from([("\r\n", csv.QUOTE_MINIMAL), ("\n", csv.QUOTE_ALL)]),
)
def test_any_cells_written_as_csv_come_back(tmp_path, opened, cells, style):
    with (tmp_path / "a.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator=style[0], quoting=style[1])
        writer.writerows(
            [["id", "a", "b"], *([f"r{number}", *row] for number, row in enumerate(cells))]
        )
    rows = list(opened("csv:a.csv").read(None))
    assert [row.fields for row in rows] == [
        {"id": f"r{number}", "a": row[0], "b": row[1]} for number, row in enumerate(cells)
    ]
    for at, row in enumerate(rows):
        assert seen(list(opened("csv:a.csv").read(row.cursor))) == seen(rows[at + 1 :])


@in_folder
@given(st.binary(max_size=300), st.sampled_from(["jsonl", "csv"]))
def test_no_bytes_whatever_throw_anything_but_a_refusal(tmp_path, opened, content, kind):
    (tmp_path / f"a.{kind}").write_bytes((b"id,b\n" if kind == "csv" else b"") + content)
    try:
        rows = list(opened(f"{kind}:a.{kind}").read(None))
    except Refused:
        return  # UTF-16, for one, is refused before a line is read
    assert all((row.fields is None) == bool(row.problem) for row in rows)


# --- folders --------------------------------------------------------------------------------------


def found(tmp_path, opened, name, content):
    """The one document of a folder, read."""
    (tmp_path / "docs").mkdir(exist_ok=True)
    (tmp_path / "docs" / name).write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )
    [row] = opened("dir:docs").read(None)
    return row


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ("# Plain\ntext", "Plain"),
        ("text\n\n## Second *level* ##\n", "Second *level*"),
        ("Underlined\n==========\n", "Underlined"),
        ("```\n# a comment\n```\n# After\n", "After"),
        ("no heading\n", "a"),
        ("---\ntitle: Named: no\n---\n# Heading\n", None),
        ("---\ntitle: In front\nid: guide-7\ntags: [x, 'y']\n---\n# Heading\n", "In front"),
    ],
)
def test_markdown_has_the_title_of_its_front_matter_or_first_heading_or_file(
    tmp_path, opened, content, title
):
    row = found(tmp_path, opened, "a.md", content)
    assert (row.fields or {}).get("title") == title
    assert bool(row.problem) == (title is None)


def test_front_matter_is_fields_and_no_text(tmp_path, opened):
    content = "---\r\nid: guide-7\r\ntags: [x, 2]\r\npath: elsewhere\r\n---\r\n# One\r\n\r\ntext"
    assert found(tmp_path, opened, "a.md", content).fields == {
        "id": "a.md", "front_matter_id": "guide-7", "title": "One", "tags": ["x", "2"], "path":
        "a.md",
        "text": "# One\n\ntext",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("front", "said"),
    [
        ("a: [", "not YAML"),
        ("- a", "is not an object"),
        ("a: &x [1]\nb: *x", "alias"),
        ("[" * 9999, "not YAML"),
        ("[" * 99_999, "more than 50 levels"),
    ],
)
def test_front_matter_that_cannot_be_read_is_a_problem(tmp_path, opened, front, said):
    row = found(tmp_path, opened, "a.md", f"---\n{front}\n---\ntext\n")
    assert row.fields is None
    assert said in row.problem


def test_html_gives_what_a_reader_sees(tmp_path, opened):
    page = """<!doctype html><html><head><title> The
        page </title><style>p {}</style><script>let a = "<p>no</p>";</script></head>
        <body><nav><a href=x>Home</a></nav><h1>A <em>big</em> heading</h1>
        <p>One&nbsp;line &amp; more<br>next</p>
        <ul><li>first<li>second</ul><pre>def f():
    return 1</pre><template>never</template><p>Unclosed <b>bold</body></html>"""
    assert found(tmp_path, opened, "a.html", page).fields == {
        "id": "a.html",
        "title": "The page",
        "path": "a.html",
        "text": "A big heading\nOne line & more\nnext\nfirst\nsecond\ndef f():\nreturn 1\nUnclosed "
        "bold",
    }


def test_a_page_that_marks_its_main_part_gives_that_alone(tmp_path, opened):
    page = (
        "<body><header>Shop</header><main><h1>Chairs</h1><p>Oak.</p></main><footer>Imprint</footer>"
    )
    row = found(tmp_path, opened, "a.htm", page)
    assert (row.fields["title"], row.fields["text"]) == ("Chairs", "Chairs\nOak.")


def test_a_document_that_is_no_text_is_a_row_with_a_problem(tmp_path, opened):
    assert "not UTF-8" in found(tmp_path, opened, "a.txt", b"\xff\xfe").problem


def test_a_malformed_page_is_read_as_far_as_it_goes_or_is_a_problem(tmp_path, opened):
    for content in (
        "<![x",
        "<![foo[x]]>text",
        "<!doctype [",
        "<p",
        "&#xffffffff;",
        "</",
        "<!--",
        "<?x",
    ):
        row = found(tmp_path, opened, "a.html", content)
        assert (row.fields is None) == bool(row.problem)


def test_hidden_files_links_to_folders_and_other_kinds_are_passed_over(tmp_path, opened):
    for name in ("docs/.git/a.md", "docs/.b.md", "docs/c.py", "other/d.md", "docs/e/F.MD"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "docs" / "link").symlink_to(tmp_path / "other")
    assert [row.fields["id"] for row in opened("dir:docs").read(None)] == ["e/F.MD"]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("nothing", "nothing cannot be read: No such file"),
        ("a.md", "a.md is a file; name the folder it lies in"),
        ("empty", "empty holds no document; expected files that end in .md"),
        ("../", "outside the folders that sources may read"),
    ],
)
def test_a_folder_that_is_none_is_refused(tmp_path, opened, where, said):
    (tmp_path / "a.md").write_text("x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(Refused, match=said):
        opened(f"dir:{where}").check()


def test_a_link_that_leads_out_of_the_allowed_folders_is_refused(tmp_path, opened):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").symlink_to("/etc/hostname")
    with pytest.raises(Refused, match="outside the folders that sources may read"):
        opened("dir:docs").check()


def test_a_folder_that_changed_ends_a_resumed_read(tmp_path, opened):
    documents(tmp_path, None, RECORDS)
    row = next(opened("dir:docs").read(None))
    (tmp_path / "docs" / "new.md").write_text("x")
    with pytest.raises(Refused, match="changed since it was read up to file 1"):
        opened("dir:docs").read(row.cursor)


@in_folder
@given(st.binary(max_size=300), st.sampled_from(["a.md", "a.html"]))
def test_no_bytes_whatever_in_a_document_throw_anything(tmp_path, opened, content, name):
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    [row] = opened(f"dir:{name}").read(None)
    assert (row.fields is None) == bool(row.problem)


# --- collections ----------------------------------------------------------------------------------


@pytest.fixture
def store() -> Iterator[LocalStore]:
    made = LocalStore(":memory:")
    yield made
    made.close()


def test_a_point_without_id_in_its_payload_gives_its_own_and_keeps_it(store):
    name = "5c56c793-69f3-4fbf-87e6-c4bf54c28c26"
    store.create("things", SCHEMA, {})
    store.upsert(
        "things", [Point(name, [1.0, 0.0], {"a": 1}), Point(3, [0.0, 1.0], {"id": "other"})]
    )
    rows = list(open_source("collection:things", (), store).read(None))
    assert [(row.point_id, row.fields["id"]) for row in rows] == [(3, "other"), (name, name)]
    assert [split_row(row, RULES)[0] for row in rows] == [{"id": "other"}, {"a": 1}]


def test_reading_a_collection_goes_on_where_it_was_although_the_last_point_is_gone(store):
    text = collection(Path(), store, RECORDS)
    rows = list(open_source(text, (), store).read(None))
    store.drop("things")
    collection(Path(), store, [record for record in RECORDS if record["id"] != 10])
    rest = list(open_source(text, (), store).read(rows[9].cursor))
    assert [row.fields["id"] for row in rest] == list(range(11, 60))


def test_a_collection_of_several_pages_is_read_to_its_end(store):
    records = [{"id": number, "text": "x"} for number in range(600)]
    text = collection(Path(), store, records)
    assert [row.fields["id"] for row in open_source(text, (), store).read(None)] == list(range(600))


def test_a_missing_collection_is_refused_with_the_known_ones(store):
    collection(Path(), store, RECORDS[:1])
    with pytest.raises(Refused, match="collection nothing does not exist; known: things"):
        open_source("collection:nothing", (), store).check()


def test_an_empty_collection_is_refused(store):
    store.create("things", SCHEMA, {})
    with pytest.raises(Refused, match="collection things is empty"):
        open_source("collection:things", (), store).check()


def test_an_alias_is_refused_with_the_name_of_its_collection(store):
    collection(Path(), store, RECORDS[:1])
    store.point_alias("docs", "things")
    with pytest.raises(
        Refused, match="docs is an alias; name the collection it points to: collection:things"
    ):
        open_source("collection:docs", (), store).check()


def test_an_illegal_collection_name_is_refused(store):
    with pytest.raises(Refused, match="collection name 'a/b' is not allowed"):
        open_source("collection:a/b", (), store)


# --- backups --------------------------------------------------------------------------------------


def test_a_backup_is_refused_where_there_are_no_snapshots(tmp_path, store):
    text = backup(tmp_path, store, RECORDS)
    with pytest.raises(
        Refused, match="the embedded Qdrant has no snapshots: a backup needs a server"
    ):
        open_source(text, (), store, shelf=FolderShelf(tmp_path / "backups")).check()


def test_a_backup_gives_no_row_before_it_is_recovered(tmp_path, store):
    text = backup(tmp_path, store, RECORDS)
    source = open_source(text, (), store, shelf=FolderShelf(tmp_path / "backups"))
    assert (source.collection, source.size()) == (None, 3)
    with pytest.raises(Refused, match="backup:one is read by a deployment alone"):
        source.read(None)


def test_another_manifest_is_another_fingerprint(tmp_path, store):
    text = backup(tmp_path, store, RECORDS)
    shelf = FolderShelf(tmp_path / "backups")
    before = open_source(text, (), store, shelf=shelf).fingerprint()
    shelf.seal("one", manifest("one", high=4).text())
    assert open_source(text, (), store, shelf=shelf).fingerprint() != before


def test_an_illegal_backup_name_is_refused(tmp_path, store):
    with pytest.raises(Refused, match=r"backup name '\.\./one' is not allowed"):
        open_source("backup:../one", (), store, shelf=FolderShelf(tmp_path))
