"""A database that says when a row has changed is read again only there, and nothing is lost."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, func, select, text
from sqlalchemy.engine import make_url

from qdrant_rollouts.adapters.sources import open_source
from qdrant_rollouts.adapters.sources.sql import SqlSource
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.errors import Malformed, Refused
from qdrant_rollouts.core.ports import Source
from tests.world import World

SOURCE = "sql:SHOP_URL:SELECT id, text, updated_at FROM items"
CHANGED = "updated_at > :since"
LONG_AGO = "2020-01-01 00:00:00+00:00"


@pytest.fixture
def world(tmp_path: Path, ready_sqlite_url: str) -> Iterator[World]:
    made = World(tmp_path, ready_sqlite_url)
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgres"])
def shop(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    """A database with thirty items that have not changed for years."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    if request.param == "postgres":
        found = make_url(request.getfixturevalue("postgres_url")).set(password="secret")
        url = found.render_as_string(hide_password=False)
    monkeypatch.setenv("SHOP_URL", url)
    engine = create_engine(url)
    kind = "TEXT" if request.param == "sqlite" else "TIMESTAMPTZ"
    with engine.begin() as connection:
        connection.execute(
            text(f"CREATE TABLE items (id INTEGER, text TEXT, updated_at {kind}, day DATE)")
        )
        for number in range(30):
            add(connection, number, f"text {number} about asyncio and python", LONG_AGO)
    yield engine
    engine.dispose()


def add(connection: Any, number: int, words: str, when: str | None) -> None:
    connection.execute(
        text("INSERT INTO items VALUES (:id, :text, :at, '2020-01-01')"),
        {"id": number, "text": words, "at": when},
    )


def change(connection: Any, number: int, words: str, when: str = "") -> None:
    """Without ``when`` the time is the database's."""
    at: Any = when or connection.scalar(select(func.current_timestamp()))
    connection.execute(
        text("UPDATE items SET text = :text, updated_at = :at WHERE id = :id"),
        {"id": number, "text": words, "at": at if when else str(at)},
    )


def add_now(connection: Any, number: int, words: str) -> None:
    add(connection, number, words, LONG_AGO)
    change(connection, number, words)


def remove(connection: Any, number: int) -> None:
    connection.execute(text("DELETE FROM items WHERE id = :id"), {"id": number})


def rebuild(
    world: World, shop: Engine, meanwhile: Callable[[Any], None], until: str = "catch_up"
) -> dict[str, Any]:
    """Deploys, and changes the database right before the step ``until``."""
    world.declare("docs", source=SOURCE, changed=CHANGED)
    deployment = world.deploy("docs")
    world.run(until=world.at(deployment, until))
    with shop.begin() as connection:
        meanwhile(connection)
    world.run()
    return world.status(deployment)


def served(world: World) -> dict[Any, Any]:
    points, _ = world.store.scroll(world.store.aliases()["docs"], None, 1000)
    return {point.payload["id"]: point.payload["text"] for point in points}


def output(status: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in status["steps"] if one["name"] == name)["output"]
    return found


def test_only_what_changed_is_read_again_and_what_is_gone_is_deleted(
    world: World, shop: Engine
) -> None:
    def write(connection: Any) -> None:
        change(connection, 3, "changed")
        add_now(connection, 77, "new")
        remove(connection, 9)

    status = rebuild(world, shop, write)
    assert status["status"] == "live", status["message"]
    found = served(world)
    assert (found[3], found[77]) == ("changed", "new")
    assert 9 not in found
    assert len(found) == 30
    caught_up = output(status, "catch_up")
    assert (caught_up["changed"], caught_up["removed"]) == (2, 1)
    assert [one["checked"] for one in caught_up["rounds"]] == [2]


def test_a_row_that_replaces_another_one_is_found(world: World, shop: Engine) -> None:
    def write(connection: Any) -> None:
        remove(connection, 9)
        add_now(connection, 77, "new")

    rebuild(world, shop, write)
    found = served(world)
    assert found[77] == "new"
    assert 9 not in found


def test_a_new_row_is_found_whatever_its_time_says(world: World, shop: Engine) -> None:
    def write(connection: Any) -> None:
        add(connection, 77, "by a clock that is behind", LONG_AGO)
        remove(connection, 9)

    status = rebuild(world, shop, write)
    assert output(status, "catch_up")["changed"] == 1
    found = served(world)
    assert found[77] == "by a clock that is behind"
    assert 9 not in found


def test_a_row_whose_time_is_further_behind_than_the_margin_is_served_before_the_watch_ends(
    world: World, shop: Engine
) -> None:
    status = rebuild(world, shop, lambda connection: change(connection, 3, "late", LONG_AGO))
    assert output(status, "catch_up")["changed"] == 0
    assert output(status, "soak")["late"]["healed"] == 1
    assert served(world)[3] == "late"


def test_a_transaction_that_commits_late_is_found(world: World, shop: Engine) -> None:
    if shop.dialect.name == "sqlite":
        pytest.skip("SQLite lets one transaction write at a time")
    with shop.begin() as connection:
        writes = connection.scalar(text("SELECT now()"))
        connection.execute(text("SELECT pg_sleep(0.2)"))
        mark = datetime.fromisoformat(opened(SOURCE).mark_changes(0))
    assert mark <= writes


def test_numbers_that_count_seconds_are_compared_as_numbers(world: World, shop: Engine) -> None:
    seconds = "extract(epoch FROM updated_at)::int"
    condition = "at > extract(epoch FROM :since)"
    if shop.dialect.name == "sqlite":
        seconds = "CAST(strftime('%s', updated_at) AS INTEGER)"
        condition = "at > CAST(strftime('%s', :since) AS INTEGER)"
    world.declare(
        "docs",
        source=f"{SOURCE[:-11]}, {seconds} AS at FROM items",
        changed=condition,
    )
    deployment = world.deploy("docs")
    world.run(until=world.at(deployment, "catch_up"))
    with shop.begin() as connection:
        change(connection, 3, "changed")
    world.run()
    assert served(world)[3] == "changed"
    assert output(world.status(deployment), "catch_up")["changed"] == 1


# --- refused before anything is built -------------------------------------------------------------


def opened(source: str) -> Any:
    found: Source = open_source(source, (), None)  # type: ignore[arg-type]  # needs no store
    assert isinstance(found, SqlSource)
    return found


def test_a_condition_without_since_is_refused_where_it_is_declared(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="with :since in it"):
        IndexSpec.model_validate({"source": SOURCE, "changed": "updated_at > now()"})


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"source": "jsonl:a.jsonl"}, "it belongs to a source sql:"),
        ({"source": SOURCE, "chunk": {}}, "beside chunk"),
    ],
)
def test_a_condition_is_refused_where_it_says_nothing(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        IndexSpec.model_validate({**settings, "changed": CHANGED})


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("nothing_like_this > :since", "changed: database SHOP_URL: .*nothing_like_this"),
        ("updated_at > > :since", "changed: database SHOP_URL: .*syntax"),
        ("id > 10 AND updated_at > :since", "never finds 11 rows"),
    ],
)
def test_a_condition_that_finds_not_every_row_is_refused(
    world: World, shop: Engine, condition: str, why: str
) -> None:
    world.declare("docs", source=SOURCE, changed=condition)
    with pytest.raises(Refused, match=why) as refused:
        world.deploy("docs")
    assert "secret" not in str(refused.value)
    assert not world.store.collections()


def test_rows_without_a_time_are_refused(world: World, shop: Engine) -> None:
    with shop.begin() as connection:
        add(connection, 77, "no time", None)
    world.declare("docs", source=SOURCE, changed=CHANGED)
    with pytest.raises(Refused, match="never finds 1 rows"):
        world.deploy("docs")


def test_rows_with_the_id_of_another_row_are_refused(world: World, shop: Engine) -> None:
    with shop.begin() as connection:
        add(connection, 3, "once more", LONG_AGO)
    world.declare("docs", source=SOURCE, changed=CHANGED)
    with pytest.raises(Refused, match="each id must be unique"):
        world.deploy("docs")


def test_a_column_without_a_time_zone_is_refused(world: World, shop: Engine) -> None:
    if shop.dialect.name == "sqlite":
        pytest.skip("SQLite has texts, which are compared as such")
    source = f"{SOURCE[:-11]}, updated_at AT TIME ZONE 'UTC' AS at, day FROM items"
    for column in ("at", "day"):
        world.declare("docs", source=source, changed=f"{column} > :since")
        with pytest.raises(Refused, match=f"{column} AT TIME ZONE 'UTC' > :since"):
            world.deploy("docs")
    world.declare("docs", source=source, changed="at AT TIME ZONE 'UTC' > :since")
    world.deploy("docs")


def test_a_condition_is_taken_from_the_index_file_alone(world: World, shop: Engine) -> None:
    world.declare("docs", source=SOURCE, changed=CHANGED)
    with pytest.raises((Refused, Malformed), match="not in the index file"):
        world.deploy("docs", options={"changed": "updated_at > :since OR 1 = 1"})
