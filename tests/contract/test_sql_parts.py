"""``sql:`` is cut by its ids: each part reads its own rows and no others, whatever the database's
order is."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from qdrant_rollouts.adapters.sources import open_source
from qdrant_rollouts.core.collections.parts import find_cuts, open_part
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Cursor, Row, Source


@pytest.fixture
def shop(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """The database that SHOP_URL names."""
    monkeypatch.setenv("SHOP_URL", database_url)
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE numbers (id INTEGER, text TEXT)"))
        connection.execute(
            text("INSERT INTO numbers VALUES (:id, 'x')"),
            [{"id": number * 7 % 3001} for number in range(3001)],  # in no order, without an index
        )
    yield engine
    engine.dispose()


def open_sql(query: str) -> Source:
    return open_source(f"sql:SHOP_URL:{query}", (), None)  # type: ignore[arg-type]


def cut(source: Source, parts: int) -> list[tuple[Cursor | None, Cursor | None]]:
    bounds = [None, *json.loads(json.dumps(find_cuts(source, parts))), None]
    return list(itertools.pairwise(bounds))


def ids(rows: Iterator[Row]) -> list[Any]:
    return [row.fields["id"] for row in rows if row.fields is not None]


def ids_of_parts(source: Source, parts: int) -> list[list[Any]]:
    return [ids(open_part(source, *bounds).read(None)) for bounds in cut(source, parts)]


def test_a_part_reads_no_row_of_another_part(shop: Engine) -> None:
    """A row beyond the first part fails the query as soon as it is looked at."""
    fails = {
        "sqlite": "json(CASE WHEN id > 1500 THEN 'no JSON' ELSE '1' END)",
        "postgresql": "1 / (CASE WHEN id > 1500 THEN 0 ELSE 1 END)",
    }[shop.dialect.name]
    first, *_ = cut(open_sql("SELECT * FROM numbers"), 3)
    failing = open_sql("SELECT id, FAILS AS text FROM numbers".replace("FAILS", fails))
    assert ids(open_part(failing, *first).read(None)) == list(range(1000))
    with pytest.raises(Refused):
        ids(failing.read(None))


def test_numbers_are_cut_into_equal_parts(shop: Engine) -> None:
    parts = ids_of_parts(open_sql("SELECT * FROM numbers"), 3)
    assert [len(part) for part in parts] == [1000, 1000, 1001]
    assert list(itertools.chain(*parts)) == list(range(3001))
