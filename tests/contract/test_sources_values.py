"""Values of Parquet files and databases: each becomes JSON without loss, or makes one bad record
that says why."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import date, time, timedelta
from decimal import Decimal
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import create_engine, text

from qdrant_rollouts.adapters.sources import open_source
from qdrant_rollouts.adapters.sources.values import duration_text
from qdrant_rollouts.core.collections.record_rules import RecordRules, VectorRule
from qdrant_rollouts.core.collections.records import BadRecord, parse_row
from qdrant_rollouts.core.errors import Refused
from tests.world import World

KEY = UUID("0f6ed2e4-6ad8-4a0e-9e6e-0c8a4f1e2b11")
#: 2026-01-02T03:04:05.123456789 UTC.
EXACT = 1_767_323_045_123_456_789
RULES = RecordRules({"": VectorRule(2)}, templates={"": "{id}"})


@pytest.fixture
def opened(tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_URL", f"sqlite:///{tmp_path}/shop.db")
    return lambda text: open_source(text, (tmp_path,), None)


def parquet(folder, column):
    """One column named ``x`` beside ids, as a file."""
    pq.write_table(pa.table({"id": list(range(len(column))), "x": column}), folder / "a.parquet")
    return "parquet:a.parquet"


def judged(rows):
    """Of each record its ``x``, or what is wrong with it."""
    records = [parse_row(row, RULES) for row in rows]
    return [
        record.why if isinstance(record, BadRecord) else record.fields["x"] for record in records
    ]


# --- parquet --------------------------------------------------------------------------------------

STRINGS = pa.array([b"good", b"\xff"]).view(pa.string())
TWICE = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
MOMENTS = pa.struct(
    [("at", pa.list_(pa.timestamp("ns"))), ("of", pa.map_(pa.string(), pa.time64("ns")))]
)


@pytest.mark.parametrize(
    ("column", "wanted"),
    [
        (pa.array([EXACT, EXACT - 789, 0], pa.timestamp("ns")),
         ["2026-01-02T03:04:05.123456789", "2026-01-02T03:04:05.123456", "1970-01-01T00:00:00"]),
        (pa.array([-1], pa.timestamp("ns")), ["1969-12-31T23:59:59.999999999"]),
        (pa.array([EXACT], pa.timestamp("ns", "UTC")), ["2026-01-02T03:04:05.123456789+00:00"]),
        (
 pa.array([EXACT], pa.timestamp("ns", "Europe/Berlin")),
 ["2026-01-02T04:04:05.123456789+01:00"],
),
        (pa.array([EXACT], pa.timestamp("ns", "+05:30")), ["2026-01-02T08:34:05.123456789+05:30"]),
        (pa.array([5, 7], pa.timestamp("us", "UTC")),
         ["1970-01-01T00:00:00.000005+00:00", "1970-01-01T00:00:00.000007+00:00"]),
        (
 pa.array([EXACT], pa.timestamp("ns")).dictionary_encode(),
 ["2026-01-02T03:04:05.123456789"],
),
        (pa.array([1_234_567_890_123, None], pa.time64("ns")), ["00:20:34.567890123", None]),
        (pa.array([time(12, 30)], pa.time32("s")), ["12:30:00"]),
        (pa.array([date(2026, 1, 2)], pa.date64()), ["2026-01-02"]),
        (pa.array([timedelta(days=1, seconds=7264.5)], pa.duration("ms")), ["P1DT2H1M4.5S"]),
        (pa.array([1, -1], pa.duration("ns")), ["PT0.000000001S", "-PT0.000000001S"]),
        (pa.array([10**17], pa.duration("s")), ["P1157407407407DT9H46M40S"]),
        (pa.array([Decimal("2.50"), Decimal("7.00")]), [2.5, 7]),
        (pa.array([Decimal(2**62)], pa.decimal256(60, 0)), [2**62]),
        (pa.array([1.5, None], pa.float16()), [1.5, None]),
        (pa.array([2**64 - 1], pa.uint64()), [2**64 - 1]),
        (pa.array([["a"], None], pa.large_list(pa.large_string())), [["a"], None]),
        (pa.array([["a"]], pa.list_(pa.string_view())), [["a"]]),
        (pa.array([[1.0, 2.0]], pa.list_(pa.float32(), 2)), [[1.0, 2.0]]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        (pa.array([KEY.bytes], pa.uuid()), [str(KEY)]),
        (pa.array([{"at": [EXACT, None], "of": {"k": 1}}], MOMENTS),
         [{"at": ["2026-01-02T03:04:05.123456789", None], "of": {"k": "00:00:00.000000001"}}]),
        (pa.array([[("a", 1)], [], None], pa.map_(pa.string(), pa.int64())), [{"a": 1}, {}, None]),
        (pa.array([[(7, "x")]], pa.map_(pa.int32(), pa.string())), [{"7": "x"}]),
        (pa.nulls(1), [None]),
    ],
)  # fmt: skip
def test_every_type_of_parquet_becomes_json_without_loss(opened, tmp_path, column, wanted):
    assert judged(opened(parquet(tmp_path, column)).read(None)) == wanted


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pa.array([0, 10**18], pa.timestamp("us")), "cannot be read as timestamp[us]: "),
        (
            pa.array([0, 10**15], pa.timestamp("ms", "UTC")),
            "cannot be read as timestamp[ms, tz=UTC]: ",
        ),
        (pa.array([0, 10**7], pa.int32()).view(pa.date32()), "cannot be read as date32[day]: "),
        (STRINGS, "cannot be read as string: 'utf-8' codec can't decode byte 0xff"),
        (
            pa.array([[], [("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64())),
            "has the key 'a' twice",
        ),
        (pa.array([[], [(True, 1)]], pa.map_(pa.bool_(), pa.int64())), "has a key that is a bool"),
        (pa.array([[], [10**18]], pa.list_(pa.timestamp("us"))), "cannot be read as timestamp[us]"),
        (pa.array([1.0, float("nan")]), "is nan, and JSON has no such number"),
        (pa.array([1.0, float("-inf")], pa.float32()), "is -inf, and JSON has no such number"),
        (
            pa.array([Decimal(1), Decimal(10**60)], pa.decimal256(70, 0)),
            "beyond the 64-bit integers",
        ),
        (
            pa.array([None, b"x"], pa.large_binary()),
            "is a bytes; expected JSON, where bytes are written as text",
        ),
        (pa.array([None, b"xy"], pa.binary(2)), "is a bytes; expected JSON"),
    ],
)
def test_a_value_that_json_has_no_word_for_is_one_bad_record_and_never_the_file(
    opened, tmp_path, column, said
):
    good, bad = judged(opened(parquet(tmp_path, column)).read(None))
    assert said not in str(good)
    assert said in bad


def test_a_bad_value_names_its_file_row_and_column(opened, tmp_path):
    (row,) = opened(parquet(tmp_path, pa.array([10**18], pa.timestamp("us")))).read(None)
    assert row.where == "a.parquet, row group 1, row 1"
    assert row.problem.startswith("x: cannot be read as timestamp[us]")


def test_a_struct_that_names_a_field_twice_is_a_bad_record(opened, tmp_path):
    assert judged(opened(parquet(tmp_path, TWICE)).read(None)) == ["x: has the key 'a' twice"]


def test_a_column_that_comes_twice_is_refused_by_its_name(opened, tmp_path):
    table = pa.Table.from_arrays(
        [pa.array([1]), pa.array(["a"]), pa.array(["b"])], names=["id", "x", "x"]
    )
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(Refused, match=r"a\.parquet has more than one column x; rename all but one"):
        opened("parquet:a.parquet").check()


def test_a_date_far_away_in_the_old_form_of_timestamps_stays_what_it_is(opened, tmp_path):
    """As nanoseconds 9999-12-31 is a day in 1816."""
    column = pa.array([253_402_214_400_000_000, 1_767_323_045_000_006], pa.timestamp("us"))
    path = tmp_path / "a.parquet"
    pq.write_table(
        pa.table({"id": [1, 2], "x": column}), path, use_deprecated_int96_timestamps=True
    )
    assert pq.ParquetFile(path).schema.column(1).physical_type == "INT96"
    read = opened("parquet:a.parquet").read(None)
    assert judged(read) == ["9999-12-31T00:00:00", "2026-01-02T03:04:05.000006"]


def test_nanoseconds_need_no_pandas(tmp_path):
    """In a process that cannot import it, wherever the tests run."""
    parquet(tmp_path, pa.array([EXACT], pa.timestamp("ns")))
    program = (
        "import sys\n"
        "class Nowhere:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'pandas': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Nowhere())\n"
        "from pathlib import Path\n"
        "from qdrant_rollouts.adapters.sources import open_source\n"
        f"rows = open_source('parquet:a.parquet', (Path({str(tmp_path)!r}),), None).read(None)\n"
        "print(next(rows).fields['x'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "2026-01-02T03:04:05.123456789", done.stderr


def test_a_deployment_skips_the_one_record_that_cannot_be_converted(world: World):
    count = 40
    at = pa.array([0] * (count - 1) + [10**18], pa.timestamp("us"))
    table = pa.table(
        {"id": list(range(count)), "text": [f"text {number}" for number in range(count)], "at": at}
    )
    pq.write_table(table, world.folder / "a.parquet")
    world.declare("docs", source="parquet:a.parquet", on_bad_record="skip")
    deployment = world.deploy("docs")
    world.run()
    status = world.status(deployment)
    assert status["status"] == "live", status["message"]
    assert world.store.count(status["green"]) == count - 1
    output = next(step["output"] for step in status["steps"] if step["name"] == "populate")
    assert output["bad"] == 1


# --- durations ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nanoseconds", "wanted"),
    [
        (0, "PT0S"),
        (10**9, "PT1S"),
        (90 * 60 * 10**9, "PT1H30M"),
        (86_400 * 10**9, "P1D"),
        (-1_500_000_000, "-PT1.5S"),
        (10 * 60 * 10**9, "PT10M"),
        (1_000, "PT0.000001S"),
    ],
)
def test_a_duration_is_written_as_iso_8601_writes_it(nanoseconds, wanted):
    assert duration_text(nanoseconds) == wanted


# --- databases ------------------------------------------------------------------------------------

POSTGRES = {
    "12.50::numeric": 12.5,
    "3.00::numeric": 3,
    "1e400::numeric": "beyond the 64-bit integers",
    "('1' || repeat('0', 5000))::numeric": "a number of 5,001 digits",
    "'NaN'::numeric": "is nan, and JSON has no such number",
    "'Infinity'::float8": "is inf, and JSON has no such number",
    "'\\x0102'::bytea": "is a bytes; expected JSON, where bytes are written as text",
    "'1 day 02:00:04.5'::interval": "P1DT2H4.5S",
    "'1 month'::interval": "P1M",
    "'infinity'::date": "is 'infinity', which cannot be read",
    "'-infinity'::timestamp": "is '-infinity', which cannot be read",
    "'infinity'::timestamptz": "is 'infinity', which cannot be read",
    "'10000-01-01'::date": "is '10000-01-01', which cannot be read",
    "'0044-03-15 BC'::date": "is '0044-03-15 BC', which cannot be read",
    "'24:00'::time": "is '24:00:00', which cannot be read",
    "ARRAY['2026-01-02'::date, 'infinity'::date]": "is 'infinity', which cannot be read",
    "ARRAY['2026-01-02'::date, NULL]": ["2026-01-02", None],
    "'2026-01-02 03:04:05.5+00'::timestamptz AT TIME ZONE 'UTC'": "2026-01-02T03:04:05.500000",
    "'12:30:00+02'::timetz": "12:30:00+02:00",
    f"'{KEY}'::uuid": str(KEY),
    "'[1,5)'::int4range": "[1,5)",
    "'[2026-01-01,infinity)'::daterange": "[2026-01-01,infinity)",
    "'{[1,3),[5,9)}'::int4multirange": "{[1,3),[5,9)}",
    "'10.0.0.1/24'::inet": "10.0.0.1/24",
    "'10.0.0.0/8'::cidr": "10.0.0.0/8",
    "'{\"a\": [1.5, null]}'::jsonb": {"a": [1.5, None]},
    "'\"\\ud800\"'::json": "holds half of a surrogate pair",
    "('[' || repeat('1', 5000) || ']')::json": "which cannot be read: Exceeds the limit",
    "true": True,
    "NULL::date": None,
    "'{}'::text[]": [],
    "2::smallint": 2,
}


@pytest.fixture
def postgres(opened, postgres_url, monkeypatch):
    monkeypatch.setenv("SHOP_URL", postgres_url)
    return opened


def test_every_type_of_postgres_becomes_json_or_one_bad_record(postgres):
    for expression, wanted in POSTGRES.items():
        (found,) = judged(postgres(f"sql:SHOP_URL:SELECT 1 AS id, {expression} AS x").read(None))
        if isinstance(wanted, str):
            assert wanted in found, expression
        else:
            assert found == wanted, expression


def test_one_date_without_an_end_leaves_the_other_rows_of_postgres(postgres, postgres_url):
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE offers (id INT, x DATE)"))
        connection.execute(
            text("INSERT INTO offers SELECT n, '2026-01-02' FROM generate_series(1, 2000) n")
        )
        connection.execute(text("UPDATE offers SET x = 'infinity' WHERE id = 700"))
    engine.dispose()
    rows = list(postgres("sql:SHOP_URL:SELECT * FROM offers").read(None))
    bad = [row for row in rows if row.fields is None]
    assert (len(rows), len(bad)) == (2000, 1)
    assert bad[0].where == "database SHOP_URL, row 700, id 700"
    assert "x: is 'infinity', which cannot be read" in bad[0].problem
    assert "CAST" in bad[0].problem


def test_text_of_sqlite_that_is_no_utf_8_is_one_bad_record(opened, tmp_path):
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
        connection.execute("CREATE TABLE items (id INTEGER, x TEXT)")
        connection.execute(
            "INSERT INTO items VALUES (1, 'good'), (2, CAST(x'ff' AS TEXT)), (3, x'00')"
        )
    good, bad, blob = judged(opened("sql:SHOP_URL:SELECT * FROM items").read(None))
    assert good == "good"
    assert bad == "holds half of a surrogate pair, so it is no Unicode text"
    assert "is a bytes; expected JSON" in blob
    with pytest.raises(Refused, match=r"an id is '.udcff', which is no Unicode text"):
        list(opened("sql:SHOP_URL:SELECT x AS id FROM items WHERE id = 2").read(None))


def test_an_integer_that_python_cannot_write_is_a_bad_record(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "given_huge.py").write_text(
        "def read(): return [{'id': 1, 'x': 10 ** 9000}, {'id': 10 ** 9000}]\n"
    )
    field, id = (
        parse_row(row, RULES) for row in open_source("python:given_huge:read", (), None).read(None)
    )
    assert field.why.startswith("is a number too long to be written, beyond the 64-bit integers")
    assert id.why.startswith("is a number too long to be written, beyond 64 bits")
    sys.modules.pop("given_huge")
