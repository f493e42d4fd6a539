"""``doctor`` tests everything in the way it is used: with the keys, over TLS, and by writing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import redis
from sqlalchemy import select, text

from qdrant_rollouts.adapters import flower
from qdrant_rollouts.adapters.database import open_engine, open_sessions
from qdrant_rollouts.adapters.migrate import migrate_database
from qdrant_rollouts.adapters.qdrant_http import Rest
from qdrant_rollouts.adapters.shelf import open_shelf
from qdrant_rollouts.adapters.shelf_remote import RemoteShelf
from qdrant_rollouts.core.database.models import EventRow
from qdrant_rollouts.core.errors import Misconfigured, Refused, Unavailable
from tests.secured import Secured, make_authority
from tests.servers import HOST, Qdrant
from tests.shell import call, declare, write

ROOT = Path(__file__).parents[2]


class Keyed(Qdrant):
    """With a key for everything and one that may only read."""

    def __init__(self):
        super().__init__(api_key="wr1tekey")

    def _environment(self):
        return super()._environment() | {"QDRANT__SERVICE__READ_ONLY_API_KEY": "re4donly"}


@pytest.fixture(scope="module")
def keyed():
    with Keyed() as server:
        yield server


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return make_authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def secured(keyed, authority):
    """The addresses of REST and gRPC over TLS."""
    with (
        Secured(keyed.port, authority) as rest,
        Secured(keyed.grpc_port, authority, ("h2",)) as grpc,
    ):
        yield rest.port, grpc.port


@pytest.fixture
def doctor(monkeypatch, capsys, sqlite_url):
    """Runs it with these settings; the exit code and the checks by name."""

    def run(**settings):
        for name, value in {"DATABASE_URL": sqlite_url, **settings}.items():
            monkeypatch.setenv(name if name == flower.VARIABLE else f"ROLLOUTS_{name}", str(value))
        code = call("doctor", "--json")
        said = capsys.readouterr().out
        assert not {"wr1tekey", "re4donly", "wr0ng"} & set(said.replace('"', " ").split())
        checks = json.loads(said)["checks"]
        return code, {
            one["name"]: (one["state"], f"{one['value']} {one['advice']}") for one in checks
        }

    return run


def qdrant(server, key, **more):
    return {
        "QDRANT_URL": server.url,
        "QDRANT_GRPC_PORT": server.grpc_port,
        "QDRANT_API_KEY": key,
        **more,
    }


@pytest.mark.parametrize("key", ["wr1tekey", "wr1tekey\n", "  wr1tekey \r\n"])
def test_a_key_is_tried_over_both_ways_and_by_writing(doctor, keyed, key):
    code, checks = doctor(**qdrant(keyed, key))
    assert code == 0
    assert {checks[name][0] for name in ("qdrant", "qdrant key", "qdrant grpc")} == {"ok"}
    with httpx.Client(base_url=keyed.url, headers={"api-key": "wr1tekey"}) as client:
        assert client.get("/collections").json()["result"]["collections"] == []


def test_a_key_that_may_only_read_is_told_from_a_wrong_one(doctor, keyed):
    code, checks = doctor(**qdrant(keyed, "re4donly"))
    assert code == 2
    assert checks["qdrant"][0] == "ok"
    assert checks["qdrant key"][0] == "fail"
    assert "it may only read" in checks["qdrant key"][1]
    code, checks = doctor(**qdrant(keyed, "wr0ng"))
    assert code == 2
    assert "refused access (HTTP 401): check ROLLOUTS_QDRANT_API_KEY" in checks["qdrant"][1]


def test_tls_is_tried_over_both_ways_with_the_same_authority(
    doctor, keyed, secured, authority, monkeypatch
):
    rest, grpc = secured
    given = qdrant(keyed, "wr1tekey", QDRANT_URL=f"https://localhost:{rest}", QDRANT_GRPC_PORT=grpc)
    code, checks = doctor(**given)
    assert code == 2
    assert "has a certificate that is not trusted" in checks["qdrant"][1]
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    code, checks = doctor(**given)
    assert (code, checks["qdrant grpc"][0]) == (0, "ok")
    code, checks = doctor(**{**given, "QDRANT_GRPC_PORT": keyed.grpc_port})
    assert (code, checks["qdrant grpc"][0]) == (0, "warn")
    assert "speaks no TLS" in checks["qdrant grpc"][1]


@pytest.mark.parametrize("port", ["rest", "nobody", "another"])
def test_a_grpc_port_that_is_of_no_use_is_told_with_the_reason(doctor, keyed, qdrant_server, port):
    if port == "another":
        with httpx.Client(base_url=keyed.url, headers={"api-key": "wr1tekey"}) as client:
            client.put("/collections/mine", json={}).raise_for_status()
    ports = {"rest": keyed.port, "nobody": 9, "another": qdrant_server.grpc_port}
    words = {
        "rest": "speaks no gRPC",
        "nobody": "did not answer",
        "another": "another server answers there",
    }
    code, checks = doctor(**qdrant(keyed, "wr1tekey", QDRANT_GRPC_PORT=ports[port]))
    if port == "another":
        with httpx.Client(base_url=keyed.url, headers={"api-key": "wr1tekey"}) as client:
            client.delete("/collections/mine").raise_for_status()
    assert (code, checks["qdrant grpc"][0]) == (0, "warn")
    assert words[port] in checks["qdrant grpc"][1]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://no-such-host.invalid:6333", "has a host name that is not known"),
        ("https://PLAIN", "speaks no TLS; write http://"),
        ("http://TLS", "expects TLS; write https://"),
        ("http://GRPC", "speaks no HTTP: that may be its gRPC port"),
    ],
)
def test_a_wrong_url_is_told_from_a_server_that_does_not_answer(keyed, secured, url, words):
    places = {"PLAIN": keyed.port, "TLS": secured[0], "GRPC": keyed.grpc_port}
    for name, port in places.items():
        url = url.replace(name, f"{HOST}:{port}")
    rest = Rest(url, "wr1tekey")
    with pytest.raises(Misconfigured) as caught:
        rest.about()
    rest.close()
    assert words in str(caught.value)
    assert "did not answer" not in str(caught.value)


def test_only_where_nothing_answers_it_did_not_answer():
    rest = Rest(f"http://{HOST}:9")
    with pytest.raises(Unavailable, match="did not answer") as caught:
        rest.about()
    assert type(caught.value) is Unavailable


def test_each_node_of_a_cluster_is_asked_with_the_key(doctor, keyed, qdrant_server):
    code, checks = doctor(**qdrant(keyed, "wr1tekey", QDRANT_NODES=f"{keyed.url},{keyed.url}/"))
    assert (code, checks["qdrant nodes"][0]) == (0, "ok")
    code, checks = doctor(**qdrant(keyed, "wr1tekey", QDRANT_NODES=f"{keyed.url},http://{HOST}:9"))
    assert (code, checks["qdrant"][0], checks["qdrant nodes"][0]) == (3, "ok", "fail")
    assert f"{HOST}:9 did not answer" in checks["qdrant nodes"][1]
    code, checks = doctor(**qdrant(qdrant_server, "wr0ng", QDRANT_NODES=keyed.url))
    assert (code, checks["qdrant"][0], checks["qdrant nodes"][0]) == (2, "ok", "fail")
    assert "check ROLLOUTS_QDRANT_API_KEY" in checks["qdrant nodes"][1]


# --- backups --------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["kept", "kept/not/there/yet"])
def test_where_backups_stand_is_written_to_and_nothing_stays(doctor, keyed, tmp_path, place):
    (tmp_path / "kept").mkdir()
    for where in (tmp_path / place, f"memory://{tmp_path}/{place}"):
        shelf = open_shelf(str(where))
        shelf.check_writing()
        assert shelf.backups() == []
    code, checks = doctor(**qdrant(keyed, "wr1tekey", BACKUP_DIR=tmp_path / place))
    assert (code, checks["backups"][0]) == (0, "ok")
    assert [*tmp_path.rglob("*")] == [tmp_path / "kept"]


@pytest.mark.parametrize("place", ["a_file", "a_file/below", "/proc/here"])
def test_where_no_backup_can_be_written_is_found(doctor, keyed, tmp_path, place):
    (tmp_path / "a_file").touch()
    code, checks = doctor(**qdrant(keyed, "wr1tekey", BACKUP_DIR=tmp_path / place))
    assert (code, checks["backups"][0]) == (2, "fail")
    assert "correct ROLLOUTS_BACKUP_DIR" in checks["backups"][1]


def test_a_place_for_backups_that_a_person_has_to_make_is_found(tmp_path):
    with pytest.raises(Refused, match="is not there: make it"):
        RemoteShelf(f"file://{tmp_path}/nowhere").check_writing()


# --- the database ---------------------------------------------------------------------------------


@pytest.mark.parametrize("tables", [True, False])
def test_a_row_is_written_and_nothing_stays(doctor, database_url, tables):
    engine = open_engine(database_url)
    if tables:
        migrate_database(engine)
    else:
        with engine.connect():
            pass
    assert doctor(DATABASE_URL=database_url)[0] == 0
    with open_sessions(engine)() as session:
        if tables:
            assert session.scalars(select(EventRow)).all() == []
        with pytest.raises(Exception, match="rollouts_doctor"):
            session.execute(text("SELECT * FROM rollouts_doctor"))
    engine.dispose()


@pytest.mark.parametrize("tables", [True, False])
def test_a_database_that_may_only_be_read_is_found(doctor, postgres_url, tables):
    engine = open_engine(postgres_url)
    if tables:
        migrate_database(engine)
    engine.dispose()
    code, checks = doctor(
        DATABASE_URL=f"{postgres_url}?options=-c%20default_transaction_read_only%3Don"
    )
    assert (code, checks["database"][0]) == (2, "fail")
    assert "may only be read" in checks["database"][1]


# --- the broker and Flower ------------------------------------------------------------------------


def test_a_broker_that_answers_and_takes_nothing_is_found(doctor, own_redis):
    with redis.Redis(host=HOST, port=own_redis.port) as client:
        client.acl_setuser(
            "reader", enabled=True, passwords=["+r"], keys="*", commands=["+@read", "+@connection"]
        )
    code, checks = doctor(BROKER_URL=f"redis://reader:r@{HOST}:{own_redis.port}/0")
    assert checks["broker"][0] == "fail"
    assert "does not let this user do that" in checks["broker"][1]
    assert code == 2


@pytest.mark.parametrize(
    ("value", "state", "words"),
    [
        ("", "warn", "is not set"),
        ("anna:s3cret9", "ok", "is set"),
        ("anna:s3cret9,bert:s3cret8", "ok", "is set"),
        (" anna:s3cret9\n", "ok", "is set"),
        ("s3cret9", "fail", "expected user:password"),
        ("anna:", "fail", "expected user:password"),
        (":s3cret9", "fail", "expected user:password"),
        ("anna:s3cret9,", "fail", "expected user:password"),
        ("anna:s3cret9\nx", "fail", "cannot be seen"),
    ],
)
def test_what_flower_asks_people_for_is_looked_at(doctor, redis_url, value, state, words):
    _, checks = doctor(BROKER_URL=redis_url, **{flower.VARIABLE: value})
    assert checks["flower"][0] == state
    assert words in checks["flower"][1]
    assert "s3cret" not in str(checks)


def test_without_a_broker_nobody_is_asked_for_flower(doctor):
    assert "flower" not in doctor()[1]


@pytest.mark.parametrize(
    ("value", "found"), [(" anna:s3cret9\n", "anna:s3cret9"), ("s3cret9", None)]
)
def test_the_process_of_flower_takes_the_password_without_white_space_or_ends(
    tmp_path, value, found
):
    program = "import os, sys; sys.argv.append('flower'); import qdrant_rollouts.tasks; "
    program += "print(os.environ['FLOWER_BASIC_AUTH'])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), flower.VARIABLE: value}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if found is None:
        assert done.returncode != 0
        assert "FLOWER_BASIC_AUTH: expected user:password" in done.stderr
        assert "s3cret" not in done.stderr
    else:
        assert done.stdout.strip() == found


def test_logins_are_refused_by_the_name_of_the_variable():
    with pytest.raises(Refused, match="FLOWER_BASIC_AUTH: expected"):
        flower.normalize_logins("nobody")


# --- records --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "declared", "state", "words"),
    [
        ([{"name": "a"}], {}, "warn", "a.jsonl:1: id: missing"),
        ([{"id": 1, "name": "a"}, {"id": 2}], {}, "warn", "a.jsonl:2: name: missing"),
        ([{"id": 1, "name": "a"}] * 2, {}, "warn", "a.jsonl:2: id: 1 is not unique"),
        ([{"id": 1, "name": "a"}, {"id": 2, "vector": [1, 2]}], {}, "ok", "all 2 can be deployed"),
        ([{"id": n, "name": "a"} for n in range(500)], {}, "ok", "the first 100 can be deployed"),
        (
            [{"id": 1, "name": "a"}, {"id": 2}],
            {"on_bad_record": "skip", "max_bad_records": 1},
            "ok",
            "a.jsonl:2: name: missing",
        ),
        (
            [{"id": 1}, {"id": 2}],
            {"on_bad_record": "skip", "max_bad_records": 1},
            "warn",
            "max_bad_records is 1",
        ),
    ],
)
def test_first_records_are_judged_as_a_deployment_judges_them_and_no_model_is_loaded(
    doctor, tmp_path, monkeypatch, rows, declared, state, words
):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.jsonl", rows)
    model = {"model": "nobody/no-such-model", "text": "{name}"}
    declare(tmp_path, docs={"source": "jsonl:a.jsonl", "embedding": model, **declared})
    code, checks = doctor()
    assert code == 0
    assert checks["records docs"][0] == state
    assert words in checks["records docs"][1]
    assert "'nobody/no-such-model' is not on this machine" in checks["index docs"][1]
    assert ("correct the record" in checks["records docs"][1]) == (state == "warn")


def test_a_function_that_fails_at_a_record_is_named_without_its_message(
    doctor, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "failing_rows.py").write_text(
        "def rows(cursor=None):\n    yield {'id': 1, 'name': 'a'}\n    raise ValueError('wr0ng')\n",
        encoding="utf-8",
    )
    model = {"model": "hashing:64", "text": "{name}"}
    declare(tmp_path, docs={"source": "python:failing_rows:rows", "embedding": model})
    state, told = doctor()[1]["index docs"]
    assert (state, "ValueError at failing_rows.py:3" in told, "wr0ng" in told) == (
        "warn",
        True,
        False,
    )
