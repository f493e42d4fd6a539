"""Databases, Parquet files and functions as sources: what each has besides the contract of all."""

import json
import sqlite3
import sys
import tracemalloc
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from qdrant_rollouts.adapters.sources import open_source
from qdrant_rollouts.core.errors import Refused, Unavailable
from tests.world import World, texts

OTHER_ID = "0f6ed2e4-6ad8-4a0e-9e6e-0c8a4f1e2b11"


@pytest.fixture
def opened(tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_URL", f"sqlite:///{tmp_path}/shop.db")
    monkeypatch.syspath_prepend(tmp_path)
    return lambda text: open_source(text, (tmp_path,), None)


@pytest.fixture
def shop(tmp_path):
    """A way to run statements on the SQLite database that SHOP_URL names."""

    def run(*statements):
        with closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    run(
        "CREATE TABLE items (id, text)",
        "INSERT INTO items VALUES (1, 'one'), (2, 'two'), (3, 'three')",
    )
    return run


def ids(rows):
    return [row.fields["id"] for row in rows]


# --- sql ------------------------------------------------------------------------------------------


def test_what_is_written_behind_the_cursor_does_not_move_it(opened, shop):
    source = opened("sql:SHOP_URL:SELECT * FROM items")
    second = list(source.read(None))[1]
    shop("DELETE FROM items WHERE id = 2", "INSERT INTO items VALUES (0, 'zero'), (4, 'four')")
    assert ids(opened(source.address).read(second.cursor)) == [3, 4]


def test_an_id_that_comes_twice_is_read_twice_from_any_cursor(opened, shop):
    shop("INSERT INTO items VALUES (2, 'again'), (2, 'and again')")
    rows = list(opened("sql:SHOP_URL:SELECT * FROM items").read(None))
    assert ids(rows) == [1, 2, 2, 2, 3]
    for at, row in enumerate(rows):
        rest = opened("sql:SHOP_URL:SELECT * FROM items").read(json.loads(json.dumps(row.cursor)))
        assert ids(rest) == ids(rows[at + 1 :])


def test_the_query_keeps_its_colons_and_comments_and_may_begin_with(opened, shop):
    query = (
        "WITH few AS (SELECT * FROM items WHERE text <> ':after' AND text <> 'a\\:b') SELECT * "
        "FROM few -- all;"
    )
    assert ids(opened(f"sql:SHOP_URL:{query}").read(None)) == [1, 2, 3]


@pytest.mark.parametrize(
    "written", [r"\d+", r"a\:b", r"\\", ":x", "::", r"\::x", "50 %", "%s", "a:b:c", r"\:"]
)
def test_the_database_gets_the_query_as_it_is_written(
    opened, shop, postgres_url, monkeypatch, written
):
    for url in (None, postgres_url):
        if url:
            monkeypatch.setenv("SHOP_URL", url)
        (row,) = opened(f"sql:SHOP_URL:SELECT 1 AS id, '{written}' AS text").read(None)
        assert row.fields["text"] == written


def test_a_query_cannot_write(opened, shop, tmp_path):
    with pytest.raises(Refused):
        opened("sql:SHOP_URL:DELETE FROM items")
    with pytest.raises(Refused):
        opened("sql:SHOP_URL:SELECT 1 AS id) AS q; DELETE FROM items; --").check()
    assert ids(opened("sql:SHOP_URL:SELECT * FROM items").read(None)) == [1, 2, 3]


def test_memory_stays_flat_however_many_rows_a_query_gives(opened, shop):
    query = (
        "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < COUNT) "
        "SELECT id, hex(zeroblob(200)) AS text FROM n"
    )
    peaks = []
    for count in (4_000, 40_000):
        tracemalloc.start()
        for _ in opened(f"sql:SHOP_URL:{query.replace('COUNT', str(count))}").read(None):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 200_000


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (
            "SELECT text FROM items",
            "database SHOP_URL: the query gives text; one column must be named id",
        ),
        ("SELECT * FROM items WHERE id > 9", "database SHOP_URL: the query gives no row"),
        ("SELECT nullif(id, 2) AS id FROM items", "database SHOP_URL: 1 rows have no id"),
        ("SELECT * FROM nowhere", "database SHOP_URL: no such table: nowhere"),
        (
            "SELECT id, text FROM items UNION ALL SELECT 'a' || id, text FROM items",
            r"ids are of different types \(integer, text\), .* select one: CAST\(id AS TEXT\)",
        ),
    ],
)
def test_a_query_that_gives_no_records_is_refused(opened, shop, query, said):
    with pytest.raises(Refused, match=said):
        opened(f"sql:SHOP_URL:{query}").check()


def test_an_id_that_has_no_sure_order_is_refused_with_a_way_out(opened, shop):
    with pytest.raises(
        Refused,
        match=r"an id is float; select integers or texts, such as CAST\(key AS TEXT\) AS id",
    ):
        list(opened("sql:SHOP_URL:SELECT id / 2.0 AS id FROM items").read(None))


@pytest.mark.parametrize(
    ("url", "kind", "said"),
    [
        ("", Refused, "the environment variable SHOP_URL is not set"),
        ("secret", Refused, "SHOP_URL is no SQLAlchemy URL"),
        ("nothing://anna:secret@host/shop", Refused, "there is no driver for nothing"),
        (
            "postgresql://anna:secret@host..lan/shop",
            Refused,
            "SHOP_URL: its host is not a valid name",
        ),
        ("sqlite:////nowhere/secret.db", Refused, "there is no such SQLite file"),
        ("postgresql://anna:secret@127.0.0.1:9/shop", Unavailable, "database SHOP_URL"),
    ],
)
def test_a_database_that_cannot_be_read_is_named_by_its_variable_alone(
    opened, monkeypatch, url, kind, said
):
    monkeypatch.setenv("SHOP_URL", url)
    with pytest.raises(kind, match=said) as refused:
        opened("sql:SHOP_URL:SELECT 1 AS id").check()
    assert "secret" not in str(refused.value)


def test_a_url_in_the_place_of_the_variable_is_refused_unseen(opened):
    with pytest.raises(Refused) as refused:
        opened("sql:postgresql://anna:secret@host/shop:SELECT 1 AS id")
    assert "secret" not in str(refused.value)


def test_the_variable_may_stand_in_the_env_file(opened, shop, tmp_path, monkeypatch):
    monkeypatch.delenv("SHOP_URL")
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(f"SHOP_URL=sqlite:///{tmp_path}/shop.db\n")
    assert opened("sql:SHOP_URL:SELECT * FROM items").size() == 3


def test_postgres_is_read_in_order_resumed_and_cannot_be_written_to(
    opened, postgres_url, monkeypatch
):
    url = make_url(postgres_url).set(password="secret")
    monkeypatch.setenv("SHOP_URL", url.render_as_string(hide_password=False))
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TABLE items (id TEXT, price NUMERIC, day DATE, key UUID, tags JSONB, raw "
                "BYTEA)"
            )
        )
        insert = text(
            "INSERT INTO items SELECT n, n * 0.5, '2026-01-02', :key, '[1]', NULL FROM "
            "generate_series(1, 2500) n"
        )
        connection.execute(text("CREATE SEQUENCE counter"))
        connection.execute(insert, {"key": UUID(OTHER_ID)})
    engine.dispose()
    source = opened("sql:SHOP_URL:SELECT *, '12:30'::text AS at FROM items")
    source.check()
    rows = list(source.read(None))
    assert ids(rows) == sorted(str(number) for number in range(1, 2501))
    assert rows[0].fields == {
        "id": "1", "price": 0.5, "day": "2026-01-02", "key": OTHER_ID, "tags": [1], "raw": None,
        "at": "12:30"
    }  # fmt: skip
    assert ids(source.read(rows[1233].cursor)) == ids(rows[1234:])
    with pytest.raises(Refused, match="read-only"):
        opened("sql:SHOP_URL:SELECT nextval('counter')::int AS id").check()


# --- parquet --------------------------------------------------------------------------------------


def test_values_of_parquet_become_json(opened, tmp_path):
    at = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    row = {
        "id": "a",
        "at": at,
        "day": date(2026, 1, 2),
        "price": Decimal("2.50"),
        "in": {"x": [1, None]},
        "raw": b"x",
    }
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "a.parquet")
    [read] = opened("parquet:a.parquet").read(None)
    assert read.fields == {
        "id": "a", "at": at.isoformat(), "day": "2026-01-02", "price": 2.5, "in": {"x": [1,
        None]}, "raw": b"x"
    }  # fmt: skip


def test_a_parquet_file_that_is_none_is_refused(opened, tmp_path):
    pq.write_table(pa.table({"id": list(range(1000))}), tmp_path / "cut.parquet")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "cut.parquet").read_bytes()[:-100])
    pq.write_table(pa.table({"name": ["a"]}), tmp_path / "other.parquet")
    pq.write_table(pa.table({"id": pa.array([], pa.int64())}), tmp_path / "empty.parquet")
    for name, said in {
        "cut": "cut.parquet is no Parquet file that can be read",
        "other": "other.parquet has the columns name; one must be named id",
        "empty": "empty.parquet holds no row",
        "none": "none.parquet cannot be read: No such file",
    }.items():
        with pytest.raises(Refused, match=said):
            opened(f"parquet:{name}.parquet").check()


def test_a_parquet_file_damaged_in_its_middle_is_refused_and_not_taken_for_its_end(
    opened, tmp_path
):
    path = tmp_path / "a.parquet"
    table = pa.table(
        {"id": list(range(20_000)), "text": [f"text {number}" for number in range(20_000)]}
    )
    pq.write_table(table, path, compression="gzip", row_group_size=5_000)
    content = bytearray(path.read_bytes())
    path.write_bytes(
        bytes(content[: len(content) // 2]) + b"\0" * 64 + bytes(content[len(content) // 2 + 64 :])
    )
    with pytest.raises(Refused, match="no Parquet file that can be read"):
        list(opened("parquet:a.parquet").read(None))


def test_a_parquet_file_that_changed_ends_a_resumed_read(opened, tmp_path):
    pq.write_table(pa.table({"id": [1, 2]}), tmp_path / "a.parquet")
    first = next(opened("parquet:a.parquet").read(None))
    pq.write_table(pa.table({"id": [1, 2, 3]}), tmp_path / "a.parquet")
    with pytest.raises(Refused, match="changed since it was read up to row 1"):
        opened("parquet:a.parquet").read(first.cursor)


# --- python ---------------------------------------------------------------------------------------


@pytest.fixture
def module(tmp_path, monkeypatch):
    def write(name, content):
        (tmp_path / f"{name}.py").write_text(content)
        monkeypatch.delitem(sys.modules, name, raising=False)

    yield write
    for name in [path.stem for path in tmp_path.glob("*.py")]:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("given_away", "names no function; expected python:MODULE:CALLABLE"),
        ("given_away:a b", "names no function"),
        (
            "given_nowhere:read",
            "cannot be imported: No module named 'given_nowhere'; it must be installed",
        ),
        ("given_away:nothing", "the module has no function nothing"),
        ("given_away:number", "gives a int; expected records"),
        ("given_away:one", "gives a dict; expected records"),
        ("given_away:none", "gives no record"),
        ("given_away:failing", "failed at its first record: KeyError: 'x'"),
    ],
)
def test_a_function_that_is_none_is_refused(opened, module, where, said):
    module(
        "given_away",
        "def number(): return 1\ndef one(): return {'id': 1}\ndef none(): return []\ndef "
        "failing(): return [{}['x']]\n",
    )
    with pytest.raises(Refused, match=said):
        opened(f"python:{where}").check()


def test_what_is_no_record_is_a_row_with_a_problem(opened, module):
    module("given_mixed", "def read(): return [{'id': 1}, 2, {'text': 'x'}]\n")
    rows = list(opened("python:given_mixed:read").read(None))
    assert [row.fields for row in rows] == [{"id": 1}, None, {"text": "x"}]
    assert rows[1].problem == "is a int; expected a mapping of fields"


def test_a_function_that_gives_other_records_than_before_ends_a_resumed_read(opened, module):
    module(
        "given_once",
        "calls = []\ndef read():\n    calls.append(1)\n    return [{'id': n * len(calls)} for n in "
        "(1, 2)]\n",
    )
    source = opened("python:given_once:read")
    first = next(source.read(None))
    with pytest.raises(
        Refused, match="record 1 was 1 before; the function must give the same records again"
    ):
        list(source.read(first.cursor))


# --- deployments ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["python", "sql"])
def test_code_and_queries_are_taken_from_the_index_file_alone(
    world: World, opened, shop, module, kind
):
    module("given_texts", f"ran = []\ndef read():\n    ran.append(1)\n    return {texts(20)!r}\n")
    source = {
        "python": "python:given_texts:read",
        "sql": "sql:SHOP_URL:SELECT id, text FROM items",
    }[kind]
    world.declare("docs", source=world.write("docs.jsonl", texts(20)))
    for request in (
        {"source": source},
        {"source": f"  {source}"},
        {"options": {"source": source}},
        {"options": {"validation": {"judged": source}}},
    ):
        with pytest.raises(Refused, match=f"this {kind}: source is not in the index file"):
            world.deploy("docs", **request)
    assert "given_texts" not in sys.modules


@pytest.mark.parametrize("kind", ["python", "sql"])
def test_a_declared_function_or_query_fills_a_collection_that_passes_the_gate(
    world: World, opened, shop, module, kind
):
    module("given_texts", f"def read(): return {texts(20)!r}\n")
    shop("INSERT INTO items SELECT id + 10, text || id FROM items")
    source = {
        "python": "python:given_texts:read",
        "sql": "sql:SHOP_URL:SELECT id, text FROM items",
    }[kind]
    world.declare("docs", source=source)
    deployment = world.deploy("docs", source=source)
    world.run()
    status = world.status(deployment)
    assert status["status"] == "live"
    assert {"count", "round_trip"} <= {
        check["name"] for check in status["gate"]["checks"] if check["verdict"] == "pass"
    }
    assert world.store.count(status["green"]) == {"python": 20, "sql": 6}[kind]
