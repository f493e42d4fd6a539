"""The connections to databases: our limits, the URL's own options, and messages for errors."""

import re
import socket
import threading
import time
from datetime import UTC, datetime

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from qdrant_rollouts.adapters.database import (
    DatabaseClock,
    open_engine,
    open_read_only,
    open_sessions,
    ping_database,
    unavailable_error,
)
from qdrant_rollouts.adapters.migrate import migrate_database
from qdrant_rollouts.core.errors import Misconfigured, Refused, Unavailable
from tests.servers import HOST, Postgres
from tests.shell import call

LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "search_path")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), ("5s", "2s", "5s", '"$user", public')),
        ("-c statement_timeout=0", ("0", "2s", "5s", '"$user", public')),
        ("-c search_path=shop", ("5s", "2s", "5s", "shop")),
        (("-c lock_timeout=7s", "-c search_path=shop"), ("5s", "7s", "5s", "shop")),
    ],
)
def test_what_the_url_says_of_a_session_comes_after_our_limits(postgres_url, options, expected):
    url = make_url(postgres_url).update_query_dict({"options": options} if options else {})
    engine = open_engine(url.render_as_string(hide_password=False))
    with engine.connect() as connection:
        found = tuple(connection.scalar(text(f"SHOW {name}")) for name in LIMITS)
    engine.dispose()
    assert found == expected


def test_the_time_of_a_transaction_is_not_before_what_it_finds(sqlite_url):
    """With SQLite a transaction waits for others to end, before it begins."""
    engine = open_engine(sqlite_url)
    found = []

    def look():
        with open_sessions(engine).begin() as session:
            found.append(DatabaseClock().now(session))
            found.append(session.scalar(text("SELECT written FROM times")))

    looking = threading.Thread(target=look)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE times (written TEXT)"))
        looking.start()
        time.sleep(0.5)
        connection.execute(text("INSERT INTO times VALUES ('meanwhile')"))
        written = datetime.now(UTC)
    looking.join(30)
    engine.dispose()
    assert found[1] == "meanwhile"
    assert found[0] >= written


# --- what goes wrong, in words --------------------------------------------------------------------

HBA = """
host all postgres 127.0.0.1/32 trust
host all anna 127.0.0.1/32 scram-sha-256
host all nologin,full,ghost 127.0.0.1/32 trust
hostssl all secure 127.0.0.1/32 trust
"""


@pytest.fixture(scope="module")
def strict():
    """A PostgreSQL that does not let everybody in."""
    with Postgres() as server:
        for statement in (
            "CREATE ROLE anna LOGIN PASSWORD 'hunter2'",
            "CREATE ROLE nologin NOLOGIN",
            "CREATE ROLE secure LOGIN",
            "CREATE ROLE full LOGIN CONNECTION LIMIT 0",
            "CREATE DATABASE closed",
            "REVOKE CONNECT ON DATABASE closed FROM PUBLIC",
        ):
            execute(server.url, statement)
        (server.folder / "data/pg_hba.conf").write_text(HBA)
        execute(server.url, "SELECT pg_reload_conf()")
        until_refused(f"postgresql://nobody@{HOST}:{server.port}/postgres")
        yield server


def execute(url, statement):
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(statement))


def until_refused(url):
    for _ in range(100):
        try:
            execute(url, "SELECT 1")
        except DBAPIError:
            if "pg_hba" in str(said(url)):
                return
        time.sleep(0.05)
    raise AssertionError("the new pg_hba.conf is not read")


def said(url):
    """What meeting the database at ``url`` ends with."""
    engine = open_engine(url)
    try:
        ping_database(engine)
    except Unavailable as error:
        return error
    finally:
        engine.dispose()
    return None


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (
            "postgresql://anna:wr0ng@HERE/postgres",
            "refused the user or the password; correct ROLLOUTS_DATABASE_URL",
        ),
        ("postgresql://anna@HERE/postgres", "refused the user or the password"),
        ("postgresql://ghost@HERE/postgres", "has no such user"),
        ("postgresql://nologin@HERE/postgres", "has no such user that may log in"),
        ("postgresql://nobody@HERE/postgres", "does not let this user in"),
        ("postgresql://secure@HERE/postgres", "without TLS; add ?sslmode=require"),
        ("postgresql://postgres@HERE/missing", "has no database of that name"),
        (
            "postgresql://anna:hunter2@HERE/closed",
            "does not let this user use that database; grant CONNECT",
        ),
        ("postgresql://postgres@HERE/postgres?sslmode=require", "do not agree on TLS"),
        ("postgresql://postgres@HERE/postgres?sslmode=verify-full", "do not agree on TLS"),
        ("postgresql://postgres@HERE/postgres?sslmode=maybe", "has an unknown parameter"),
        ("postgresql://postgres@HERE/postgres?nonsense=1", "has an unknown parameter"),
        (
            "postgresql://postgres@HERE/postgres?options=-c%20nonsense%3D1",
            "has an unknown parameter",
        ),
        (
            "postgresql://postgres@no-such-host.invalid/postgres",
            "has a host name that is not known",
        ),
        ("postgresql://postgres@no such host/postgres", "has a host name that is not known"),
    ],
)
def test_a_wrong_setting_is_told_from_a_server_that_does_not_answer(strict, url, words):
    error = said(url.replace("HERE", f"{HOST}:{strict.port}"))
    assert type(error) is Misconfigured
    assert words in str(error)
    assert "did not answer" not in str(error)
    assert not {"wr0ng", "hunter2"} & set(re.findall(r"\w+", str(error)))


def test_a_server_that_takes_no_more_is_waited_for(strict):
    error = said(f"postgresql://full@{HOST}:{strict.port}/postgres")
    assert type(error) is Unavailable
    assert "has no free connection" in str(error)


def test_only_where_nothing_answers_it_did_not_answer():
    with socket.create_server((HOST, 0)) as door:
        port = door.getsockname()[1]
    error = said(f"postgresql://anna:hunter2@{HOST}:{port}/postgres")
    assert type(error) is Unavailable
    assert f"the database at postgresql://{HOST}:{port}/postgres did not answer" in str(error)


def test_another_server_at_that_port_is_no_postgres():
    def answer():
        client, _ = door.accept()
        with client:
            client.recv(100)
            client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server((HOST, 0)) as door:
        thread = threading.Thread(target=answer)
        thread.start()
        error = said(f"postgresql://anna:hunter2@{HOST}:{door.getsockname()[1]}/postgres")
        thread.join()
    assert type(error) is Misconfigured
    assert "is no PostgreSQL" in str(error)


def test_a_user_who_may_make_no_table_is_told_so(strict):
    engine = open_engine(f"postgresql://anna:hunter2@{HOST}:{strict.port}/postgres")
    with pytest.raises(Misconfigured, match="does not let this user do that; grant it the right"):
        migrate_database(engine)
    engine.dispose()


def test_a_database_that_may_only_be_read_is_told_so(strict, postgres_url):
    url = make_url(postgres_url).update_query_dict(
        {"options": "-c default_transaction_read_only=on"}
    )
    engine = open_engine(url.render_as_string(hide_password=False))
    with pytest.raises(Misconfigured, match="may only be read"):
        migrate_database(engine)
    engine.dispose()


@pytest.mark.parametrize(
    ("broken", "kind", "words"),
    [
        ("no database", Misconfigured, "is no SQLite database"),
        ("a folder", Misconfigured, "cannot be opened"),
        ("locked", Unavailable, "is busy: another process writes"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_in_words(tmp_path, broken, kind, words):
    file = tmp_path / "state.db"
    holder = None
    if broken == "no database":
        file.write_bytes(b"no database at all" * 100)
    elif broken == "a folder":
        file.mkdir()
    else:
        holder = create_engine(f"sqlite:///{file}").connect()
        holder.exec_driver_sql("BEGIN EXCLUSIVE")
    engine = create_engine(f"sqlite:///{file}", connect_args={"timeout": 0})
    with pytest.raises(SQLAlchemyError) as failed, engine.begin() as connection:
        connection.execute(text("CREATE TABLE one (id int)"))
    error = unavailable_error(engine, failed.value)
    if holder is not None:
        holder.close()
    assert type(error) is kind
    assert words in str(error)


@pytest.mark.parametrize(
    "driver",
    [
        "sqlite+aiosqlite",
        "sqlite+nosuch",
        "postgresql+psycopg_async",
        "postgresql+pg8000",
        "mysql",
        "nosuch",
    ],
)
def test_a_driver_that_the_state_cannot_stand_in_is_refused_whether_it_is_installed_or_not(driver):
    with pytest.raises(
        Refused, match=rf"there is no driver for {re.escape(driver)}; use postgresql or sqlite"
    ):
        open_read_only(f"{driver}:///x")


def test_a_folder_that_cannot_be_made_is_refused_by_the_name_of_the_setting(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        Refused, match=r"ROLLOUTS_DATABASE_URL: its folder .*file/inside cannot be made"
    ):
        ping_database(open_engine(f"sqlite:///{tmp_path / 'file/inside/state.db'}"))


@pytest.mark.parametrize("verb", ["list", "doctor"])
def test_a_verb_ends_with_2_where_a_setting_is_wrong_and_with_3_where_nothing_answers(
    strict, monkeypatch, verb
):
    monkeypatch.setenv(
        "ROLLOUTS_DATABASE_URL", f"postgresql://anna:wr0ng@{HOST}:{strict.port}/postgres"
    )
    assert call(verb, "--json") == 2
    monkeypatch.setenv("ROLLOUTS_DATABASE_URL", f"postgresql://anna:wr0ng@{HOST}:9/postgres")
    assert call(verb, "--json") == 3
