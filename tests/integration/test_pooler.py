"""PostgreSQL behind a pooler in transaction mode: no startup parameter, and nothing that a session
must keep."""

import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import make_url, select, text
from sqlalchemy.exc import OperationalError

from qdrant_rollouts.adapters.celery import make_app
from qdrant_rollouts.adapters.database import open_engine, open_sessions, ping_database
from qdrant_rollouts.adapters.migrate import migrate_database
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.errors import Misconfigured
from tests.own_time import Stopwatch
from tests.pooler import PGBOUNCER, PgBouncer, Pooler
from tests.world import World, texts

LIMITS = {
    "statement_timeout": "5s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "5s",
}


@pytest.fixture(params=["one of ours", "PgBouncer"])
def pooled_url(request, postgres_server, postgres_url):
    """A fresh database through a pooler."""
    if request.param == "one of ours":
        with Pooler(postgres_server.url) as pooler:
            yield pooler.url(postgres_url)
    elif PGBOUNCER is None:
        pytest.skip("PgBouncer is not installed")
    else:
        with PgBouncer(postgres_url) as server:
            yield server.url


@pytest.fixture
def engine(pooled_url):
    made = open_engine(pooled_url)
    yield made
    made.dispose()


def test_limits_hold_in_every_transaction_and_are_left_on_no_connection(engine, pooled_url):
    for _ in range(4):
        with engine.connect() as connection:
            found = {name: connection.scalar(text(f"SHOW {name}")) for name in LIMITS}
        assert found == LIMITS
    with psycopg.connect(pooled_url, autocommit=True, prepare_threshold=None) as other:
        bare = [other.execute("SHOW lock_timeout").fetchone() for _ in range(4)]
    assert bare == [("0",)] * 4


def test_a_lock_is_waited_for_two_seconds(engine):
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE held (id int)"))
    with engine.begin() as first, engine.connect() as second:
        first.execute(text("LOCK TABLE held"))
        with Stopwatch() as watch:
            begun = time.monotonic()
            with pytest.raises(OperationalError, match="lock timeout"):
                second.execute(text("SELECT * FROM held"))
            assert time.monotonic() - begun > 1.5
            assert watch.read() < 4.5


def test_a_statement_may_come_as_often_as_it_likes(engine):
    """A driver prepares what comes often, on a connection that the next transaction does not
    have."""
    for number in range(30):
        with engine.begin() as connection:
            assert (
                connection.scalar(text("SELECT CAST(:number AS int)"), {"number": number}) == number
            )


def test_several_processes_migrate_at_once(pooled_url):
    def run(_):
        engine = open_engine(pooled_url)
        migrate_database(engine)
        with open_sessions(engine)() as session:
            found = session.scalars(select(Deployment)).all()
        engine.dispose()
        return found

    with ThreadPoolExecutor(2) as processes:
        assert list(processes.map(run, range(2))) == [[], []]


def test_a_deployment_goes_live_behind_it(pooled_url, tmp_path):
    world = World(tmp_path, pooled_url)
    world.declare("docs", source=world.write("docs.jsonl", texts(20)))
    deployment = world.deploy("docs")
    world.run()
    assert world.status(deployment)["status"] == "live"
    world.close()


def test_results_of_tasks_are_stored_behind_it(pooled_url):
    app = make_app(Settings(_env_file=None, database_url=pooled_url))
    for number in range(10):
        app.backend.store_result(f"task-{number}", {"number": number}, "SUCCESS")
        assert app.backend.get_result(f"task-{number}") == {"number": number}


def test_options_of_ones_own_are_named_where_the_pooler_refuses_them(pooled_url):
    url = make_url(pooled_url).update_query_dict({"options": "-c search_path=shop"})
    engine = open_engine(url.render_as_string(hide_password=False))
    with pytest.raises(
        Misconfigured, match=r"startup parameter .* remove options from ROLLOUTS_DATABASE_URL"
    ):
        ping_database(engine)
