"""``sql:`` is cut by its ids: each part reads its own rows and no others, whatever the database's
order is."""

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from qdrant_rollouts.adapters.sources import open_source
from qdrant_rollouts.core.collections.parts import find_cuts, open_part
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Cursor, Row, Source


@pytest.fixture
def shop_of(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Engine]]:
    """Returns the empty database of this kind that SHOP_URL names."""
    with ExitStack() as opened:

        def open_shop(kind: str) -> Engine:
            url = request.getfixturevalue(f"{kind}_url")
            monkeypatch.setenv("SHOP_URL", url)
            engine = create_engine(url)
            opened.callback(engine.dispose)
            return engine

        yield open_shop


@pytest.fixture(params=["sqlite", "postgres"])
def shop(request: pytest.FixtureRequest, shop_of: Callable[[str], Engine]) -> Engine:
    """A table of numbers in no order and without an index, on both databases."""
    engine = shop_of(request.param)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE numbers (id INTEGER, text TEXT)"))
        connection.execute(
            text("INSERT INTO numbers VALUES (:id, 'x')"),
            [{"id": number * 7 % 3001} for number in range(3001)],
        )
    return engine


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


#: Ids whose order is another one in each collation; some differ in case only.
TEXTS = [
    *(f"{letter}{number}" for number in range(40) for letter in "aAbBzZ"),
    *("ä", "Ä", "é", "e\u0301", "ß", "ss", "漢", "🦀"),
    *("_a", "-a", "a b", "a-b", "", "0", "10", "9"),
    *("it's", 'a "b"', "a\\b", ":after", "50 %", "x" * 300),
]


def lay_down(engine: Engine, column: str, texts: Sequence[str], *before: str) -> None:
    with engine.begin() as connection:
        for statement in before:
            connection.execute(text(statement))
        connection.execute(text(f"CREATE TABLE words (id {column}, text TEXT)"))
        connection.execute(
            text("INSERT INTO words VALUES (:id, 'x')"), [{"id": one} for one in texts]
        )


def check_parts(texts: Sequence[str], *, equals: bool = False) -> None:
    """``equals``: the database holds some of them equal, and then it may give them in any order."""
    source = open_sql("SELECT * FROM words")
    whole = ids(source.read(None))
    parts = ids_of_parts(source, 5)
    assert len(parts) == 5
    assert max(map(len, parts)) <= len(texts) // 5 + 2
    found = list(itertools.chain(*parts))
    assert sorted(found) == sorted(texts)
    assert equals or found == whole


@pytest.mark.parametrize("collation", ["BINARY", "NOCASE", "RTRIM"])
@pytest.mark.parametrize("index", [True, False])
def test_texts_are_cut_in_the_order_of_sqlite(
    shop_of: Callable[[str], Engine], collation: str, index: bool
) -> None:
    shop = shop_of("sqlite")
    lay_down(shop, f"TEXT COLLATE {collation}", TEXTS)
    if index:
        with shop.begin() as connection:
            connection.execute(text("CREATE INDEX by_id ON words (id)"))
    check_parts(TEXTS, equals=collation != "BINARY")


@pytest.mark.parametrize(
    ("collation", "declared"),
    [
        ("C", ""),
        ("pg_unicode_fast", ""),
        ("english", "CREATE COLLATION english (provider = icu, locale = 'en-US')"),
        (
            "no_case",
            "CREATE COLLATION no_case (provider = icu, locale = 'und-u-ks-level2', "
            "deterministic = false)",
        ),
    ],
)
def test_texts_are_cut_in_the_order_of_a_collation_of_postgres(
    shop_of: Callable[[str], Engine], collation: str, declared: str
) -> None:
    shop = shop_of("postgres")
    try:
        lay_down(shop, f'TEXT COLLATE "{collation}"', TEXTS, *filter(None, [declared]))
    except DBAPIError as error:
        pytest.skip(f"this build of PostgreSQL has no such collation: {error.orig}")
    check_parts(TEXTS, equals=collation == "no_case")


def test_texts_are_cut_in_an_order_that_is_not_that_of_their_letters(
    shop_of: Callable[[str], Engine],
) -> None:
    """An enum has the order in which its values were declared."""
    names = [f"{letter}{number}" for number in range(20, 0, -1) for letter in "bAaB"]
    values = ", ".join(f"'{name}'" for name in names)
    shop = shop_of("postgres")
    lay_down(shop, "word", names, f"CREATE TYPE word AS ENUM ({values})")
    check_parts(names)
    assert ids(open_sql("SELECT * FROM words").read(None)) == names


def test_padded_texts_are_cut(shop_of: Callable[[str], Engine]) -> None:
    lay_down(shop_of("postgres"), "CHAR(4)", ["a", "B", "b", "A", "aa", "a b", "zz", "ZZ", "9"])
    source = open_sql("SELECT * FROM words")
    assert list(itertools.chain(*ids_of_parts(source, 4))) == ids(source.read(None))


def test_numbers_and_texts_in_one_column_are_cut(shop_of: Callable[[str], Engine]) -> None:
    mixed: list[Any] = [3, 1, 2, 10, "a", "A", "10", "9", "b"]
    lay_down(shop_of("sqlite"), "", mixed)
    source = open_sql("SELECT * FROM words")
    parts = ids_of_parts(source, 4)
    assert len(parts) == 4
    assert list(itertools.chain(*parts)) == ids(source.read(None))


def test_a_part_of_texts_is_read_on_from_any_cursor(shop: Engine) -> None:
    lay_down(shop, "TEXT", ["a", "A", "b", "b", "b", "B", "c", "C", "d"])
    for bounds in cut(open_sql("SELECT * FROM words"), 3):
        part = open_part(open_sql("SELECT * FROM words"), *bounds)
        whole = list(part.read(None))
        for at, row in enumerate(whole):
            cursor = json.loads(json.dumps(row.cursor))
            assert ids(part.read(cursor)) == ids(iter(whole[at + 1 :]))


def test_rows_with_the_same_id_are_in_the_same_part(shop: Engine) -> None:
    words = [f"{letter}{number % 7}" for number in range(90) for letter in "aA"]
    lay_down(shop, "TEXT", words)
    queries = {"numbers": "SELECT id % 7 AS id, text FROM numbers", "words": "SELECT * FROM words"}
    for query in queries.values():
        parts = [set(part) for part in ids_of_parts(open_sql(query), 20)]
        assert len(parts) > 5
        assert sum(map(len, parts)) == len(set.union(*parts))


def test_ids_that_are_neither_numbers_nor_texts_are_not_cut(shop: Engine) -> None:
    assert find_cuts(open_sql("SELECT id / 2.0 AS id FROM numbers"), 4) == []
