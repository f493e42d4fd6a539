"""The processes of applications, routers and clients that write, change no tables. They work on
those of the release before, and as a user who may change none."""

import contextlib
import re
from functools import partial

import pytest
from qdrant_client import models
from sqlalchemy import create_engine, func, make_url, select, text
from sqlalchemy.orm import Session

from qdrant_rollouts import QdrantClient, Unavailable, migrations
from qdrant_rollouts.adapters.database import open_engine
from qdrant_rollouts.adapters.migrate import migrate_database
from qdrant_rollouts.adapters.releases import Found, found_in
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.database.experiment_rows import ExposureRow, FeedbackKey
from qdrant_rollouts.core.database.models import SearcherRow, TrafficRow
from qdrant_rollouts.core.experiments import commands
from qdrant_rollouts.core.routing import table
from qdrant_rollouts.wiring import build_services, open_router
from tests.contract.test_versions_migration import moved
from tests.qdrants import wait_until
from tests.shell import ROOT

ALIAS = "tables"
BLUE = "tables-blue"
GREEN = "tables-green"
VECTOR = [1.0, 0.0, 0.0, 0.0]
SHOP = "tables-shop"


@pytest.fixture
def docs(qdrant_url):
    """Two aliases, and a collection beside the first."""
    with contextlib.closing(QdrantClient(url=qdrant_url)) as client:
        for name in (BLUE, GREEN, f"{SHOP}-a", f"{SHOP}-b"):
            size = models.VectorParams(size=4, distance=models.Distance.DOT)
            client.create_collection(name, vectors_config=size)
        for alias, name in ((ALIAS, BLUE), (SHOP, f"{SHOP}-a")):
            act = models.CreateAlias(collection_name=name, alias_name=alias)
            client.update_collection_aliases([models.CreateAliasOperation(create_alias=act)])
    return qdrant_url


@pytest.fixture
def settings(docs, tmp_path, monkeypatch):
    """As of an application whose database is at this URL."""
    monkeypatch.chdir(tmp_path)

    def make(database_url):
        monkeypatch.setenv("ROLLOUTS_DATABASE_URL", database_url)
        return Settings(database_url=database_url, qdrant_url=docs, _env_file=None)

    return make


def prepare_routes(settings):
    """A canary that gets every search, and an experiment; returns the experiment's id."""
    services = build_services(settings)
    table.set_route(services, ALIAS, blue=BLUE, green=GREEN, share=10_000, salt="s", stage="d/1")
    id = commands.create_experiment(
        services, "colours", f"{SHOP}-a", [f"{SHOP}-b"], actor="anna", metrics=["clicks"]
    )
    services.close()
    return id


def search_all(router, experiment, database_url):
    """A search by the canary, searches of the experiment, and feedback; checks what of them is in
    the database."""
    found = router.search(ALIAS, VECTOR, user_id="anna")
    assert (found.variant, router.stats.database) == ("canary", "")
    assert router.call(ALIAS, lambda arm: arm.collection, user_id="anna") == GREEN
    for number in range(20):
        user = f"user {number}"
        variant = router.search(SHOP, VECTOR, user_id=user).variant
        assert variant in ("control", "treatment")
        assert router.track_feedback(experiment, variant, "clicks", 1, user_id=user, key=user)
    engine = open_engine(database_url)
    count = partial(count_rows, engine)
    wait_until(lambda: count(TrafficRow) and count(SearcherRow))
    assert (count(ExposureRow), count(FeedbackKey)) == (20, 20)
    engine.dispose()


def count_rows(engine, kind):
    with Session(engine) as session:
        return session.scalar(select(func.count()).select_from(kind))


def revision_of(url):
    engine = open_engine(url)
    found = found_in(engine)
    engine.dispose()
    return found


def test_a_router_works_on_the_tables_of_the_release_before(settings, ready_url):
    experiment = prepare_routes(settings(ready_url))
    engine = open_engine(ready_url)
    moved(engine, migrations.OLDEST_TO_SEARCH)
    with open_router(settings(ready_url)) as router:
        search_all(router, experiment, ready_url)
    assert revision_of(ready_url) == Found(migrations.OLDEST_TO_SEARCH)
    engine.dispose()


def test_a_client_writes_on_the_tables_of_the_release_before(settings, ready_url):
    url = settings(ready_url).qdrant_url
    engine = open_engine(ready_url)
    moved(engine, migrations.OLDEST_TO_WRITE)
    engine.dispose()
    with contextlib.closing(QdrantClient(url=url)) as client:
        client.upsert(ALIAS, [models.PointStruct(id=1, vector=VECTOR)])
        assert client.count(BLUE).count == 1
    assert revision_of(ready_url) == Found(migrations.OLDEST_TO_WRITE)


@pytest.mark.parametrize("revision", [None, "0012"])
def test_tables_that_are_missing_or_too_old_are_left_alone_and_the_next_act_is_named(
    settings, database_url, revision
):
    if revision:
        engine = open_engine(database_url)
        moved(engine, revision)
        engine.dispose()
    given = settings(database_url)
    with open_router(given) as router:
        assert router.search(ALIAS, VECTOR, user_id="anna").variant == "unrouted"
        told = router.stats.database
        with contextlib.closing(QdrantClient(url=given.qdrant_url)) as client:
            with pytest.raises(Unavailable) as refused:
                client.upsert(ALIAS, [models.PointStruct(id=1, vector=VECTOR)])
            for words, oldest in (
                (told, migrations.OLDEST_TO_SEARCH),
                (str(refused.value), migrations.OLDEST_TO_WRITE),
            ):
                assert "`rollouts migrate`" in words
                assert revision is None or f"revision {revision}, older than {oldest}" in words
            assert revision_of(database_url) == Found(revision)
            engine = open_engine(database_url)
            migrate_database(engine)
            engine.dispose()
            wait_until(lambda: router.search(ALIAS, VECTOR, user_id="anna").variant == "live")
            client.upsert(ALIAS, [models.PointStruct(id=1, vector=VECTOR)])


#: As the documentation says.
PAGE = ROOT / "docs" / "howto" / "application-rights.md"
RIGHTS = re.findall(r"^GRANT .*(?=;$)", PAGE.read_text(), re.MULTILINE)
MADE = ("CREATE ROLE shop LOGIN PASSWORD 'shop'", "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
TAKEN_BACK = ("DROP OWNED BY shop", "DROP ROLE shop")


@pytest.fixture
def shop_url(ready_postgres_url):
    """A database of another owner, as a user who may change rows and no table."""
    owner = create_engine(
        make_url(ready_postgres_url).set(drivername="postgresql+psycopg"),
        isolation_level="AUTOCOMMIT",
    )
    with owner.connect() as connection:
        for statement in (*MADE, *RIGHTS):
            connection.execute(text(statement))
        url = make_url(ready_postgres_url).set(username="shop", password="shop")
        yield url.render_as_string(hide_password=False)
        for statement in TAKEN_BACK:
            connection.execute(text(statement))
    owner.dispose()


def test_a_database_user_needs_no_right_to_change_tables(settings, shop_url, ready_postgres_url):
    experiment = prepare_routes(settings(ready_postgres_url))
    engine = open_engine(shop_url)
    with pytest.raises(Exception, match="permission denied"), engine.begin() as connection:
        connection.execute(text("CREATE TABLE mine (id int)"))
    engine.dispose()
    given = settings(shop_url)
    with open_router(given) as router:
        search_all(router, experiment, shop_url)
    with contextlib.closing(QdrantClient(url=given.qdrant_url)) as client:
        client.upsert(ALIAS, [models.PointStruct(id=1, vector=VECTOR)])
        assert client.count(BLUE).count == 1
