"""No request may open this program's files: by whatever name or kind of source, and without a
cost."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from qdrant_rollouts.adapters.sources import SOURCES, open_source
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.interfaces.http.app import make_app
from qdrant_rollouts.wiring import build_services, own_files
from tests.shell import Shell, declare, records, write
from tests.world import EMBEDDING

#: Kinds whose address is a path or pattern.
FILES = sorted(SOURCES.keys() & {"jsonl", "csv", "parquet"})
RECORD = '{"id": 1, "text": "mine"}\n'
#: Asks, from outside, for the bytes that every open connection of SQLite has a lock on.
LOCKED = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000002)
    except OSError:
        print("locked")
"""


def is_locked(database):
    asked = [sys.executable, "-c", LOCKED, database]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout == "locked\n"


@pytest.fixture
def services(tmp_path, monkeypatch):
    """The embedded default with everything it owns on the disk, and a folder of somebody's
    records."""
    monkeypatch.setenv("ROLLOUTS_BACKUP_DIR", "kept/safe")
    Path(".env").write_text("ROLLOUTS_QDRANT_API_KEY=sesame-sesame\n")
    declare(
        tmp_path,
        docs={"embedding": {**EMBEDDING, "text": "{title}: {text}"}, "soak": {"seconds": 0}},
    )
    Path("kept/safe/b1").mkdir(parents=True)
    for name in ("kept/safe/b1/manifest.json", "kept/safe/b1/notes.txt", "server.key"):
        Path(name).write_text(RECORD)
    write(Path("mine/docs.jsonl"), records(3, "mine"))
    made = build_services(Settings(), knock=lambda knock: None)
    made.store.collections()
    yield made
    made.close()


@pytest.fixture
def ask(services):
    """What a deployment from this source is answered, by HTTP."""
    with TestClient(
        make_app(services, Settings()), base_url="http://localhost:8600", client=("127.0.0.1", 5)
    ) as client:
        yield lambda source: client.post(
            "/api/v1/deployments", json={"alias": "docs", "source": source}
        )


def refusal(services, source):
    with pytest.raises(Refused) as refused:
        services.source(source).check()
    return str(refused.value)


OWNED = {
    ".rollouts/state.db": "the state",
    ".rollouts/state.db-wal": "the state",
    ".rollouts/state.db-shm": "the state",
    ".rollouts/qdrant/meta.json": "the state",
    ".env": "settings",
    "rollouts.yaml": "the index file",
    "kept/safe/b1/manifest.json": "the backups",
    "server.key": "a key",
}


@pytest.mark.parametrize(
    "name",
    [
        ".env.local",
        ".envrc",
        "prod.env",
        ".git-credentials",
        ".my.cnf",
        "store.jks",
        ".kube/config",
        ".docker/config.json",
    ],
)
def test_a_file_of_secrets_is_known_by_its_name(tmp_path, name):
    write(tmp_path / name, records(1, "mine"))
    write(tmp_path / "mine.jsonl", records(1, "mine"))
    with pytest.raises(Refused, match="no request may open it"):
        open_source(f"jsonl:{name}", (tmp_path,), None).check()
    open_source("jsonl:mine.jsonl", (tmp_path,), None).check()


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("name", OWNED)
def test_a_file_of_this_program_is_no_source_under_any_name(services, kind, name, tmp_path):
    with services.sessions() as session:  # so that WAL and shared memory are there
        session.execute(text("SELECT 1"))
        os.link(name, "mine/hard.jsonl")
        Path("mine/soft.jsonl").symlink_to(tmp_path / name)
        Path("mine/folder").symlink_to((tmp_path / name).parent)
        ways = (
            name,
            tmp_path / name,
            f"mine/../{name}",
            "mine/soft.jsonl",
            f"mine/folder/{Path(name).name}",
        )
        hard = (
            () if name == "server.key" else ("mine/hard.jsonl",)
        )  # a key is known by its name alone
        for way in (*ways, *hard):
            said = refusal(services, f"{kind}:{way}")
            assert OWNED[name] in said
            assert "no request may open it" in said


def test_a_file_that_is_named_by_a_setting_is_ours(services, monkeypatch):
    Path("mine/authority.txt").write_text("certificate")
    Path("mine/client.txt").write_text("certificate")
    monkeypatch.setenv("SSL_CERT_FILE", "mine/authority.txt")
    monkeypatch.setenv(
        "ROLLOUTS_BROKER_URL", "rediss://host/0?ssl_keyfile=mine/client.txt&ssl_cert_reqs=required"
    )
    own = own_files(Settings())
    for name in ("mine/authority.txt", "mine/client.txt"):
        with pytest.raises(Refused, match="a key, certificate or password"):
            own.refuse(Path(name), name)
    own.refuse(Path("mine/docs.jsonl"), "mine/docs.jsonl")


@pytest.mark.parametrize(
    "url", ["sqlite:///state.db", "sqlite:///file:state.db?uri=true", "sqlite:///{}/state.db"]
)
def test_the_state_database_is_ours_wherever_the_url_puts_it(tmp_path, monkeypatch, url):
    monkeypatch.setenv("ROLLOUTS_DATABASE_URL", url.format(tmp_path))
    own = own_files(Settings())
    for name in ("state.db", "state.db-wal", "state.db-shm", "state.db-journal"):
        with pytest.raises(Refused, match="the state database"):
            own.refuse(Path(name), name)


@pytest.mark.parametrize(
    "file", [".rollouts/state.db", "mine/hard.db", "/proc/self/cwd/.rollouts/state.db"]
)
@pytest.mark.parametrize("form", ["sqlite:///{}", "sqlite:///file:{}?uri=true"])
def test_a_query_does_not_read_the_state_database(services, monkeypatch, file, form):
    os.link(".rollouts/state.db", "mine/hard.db")
    monkeypatch.setenv("SHOP_URL", form.format(file))
    said = refusal(services, "sql:SHOP_URL:SELECT id FROM tokens")
    assert "the state" in said
    assert "no request may" in said


@pytest.mark.parametrize(
    "folder", [".rollouts", ".rollouts/qdrant", "kept/safe", "kept/safe/b1", "mine/way"]
)
def test_a_folder_of_this_program_is_no_source(services, folder):
    Path("mine/way").symlink_to(Path("kept/safe").absolute())
    assert "no request may" in refusal(services, f"dir:{folder}")
    assert "nothing but files of this program" in refusal(services, f"jsonl:{folder}/**/*.*")


def test_what_brings_a_file_of_this_program_along_leaves_it_out_and_says_so(services):
    os.link(".rollouts/state.db", "mine/hard.jsonl")
    source = services.source("jsonl:**/*.json*, m*/*.*, mine/*.jsonl")
    source.check()
    assert [row.fields["id"] for row in source.read(None)] == [0, 1, 2]
    left = ", ".join(source.left_out)
    for name in ("mine/hard.jsonl", "kept/safe/b1/manifest.json"):
        assert left.count(f"{name} (") == 1
    assert "holds no document" in refusal(services, "dir:kept")
    Path("kept/mine.txt").write_text("mine")
    folder = services.source("dir:kept")
    folder.check()
    assert [row.fields["id"] for row in folder.read(None)] == ["mine.txt"]
    assert folder.left_out == ("safe/b1/notes.txt (the backups of this program)",)


def test_a_request_by_http_is_refused_before_the_file_is_opened(services, ask):
    """Opened and closed, the file would lose every lock that this process holds on it."""
    database = Path(".rollouts/state.db").absolute()
    with services.sessions() as session:
        session.execute(text("SELECT 1"))
        assert is_locked(database)
        for source in (
            "jsonl:.rollouts/state.db",
            "csv:.rollouts/*",
            f"parquet:{database}",
            "jsonl:.rollouts/**/*",
        ):
            with pytest.raises(Refused):
                services.source(source).check()
            assert is_locked(database)
    for source in ("jsonl:.rollouts/state.db", "csv:.env"):
        answer = ask(source)
        assert answer.status_code == 409, answer.text
        assert "no request may open it" in answer.json()["detail"]
        assert "sesame" not in answer.text
    assert is_locked(database)


def test_a_model_s_revision_is_no_path_to_a_file(services, ask, tmp_path):
    """The model hub's client would open ``refs/REVISION`` in its cache."""
    for revision in (f"{tmp_path}/.rollouts/state.db", "../../../../.rollouts/state.db", "a/../b"):
        with pytest.raises(Refused, match="expected a branch, tag or commit"):
            services.indexes()["docs"].with_options(
                {
                    "embedding": {
                        "model": "sentence-transformers/all-MiniLM-L6-v2",
                        "revision": revision,
                    }
                }
            )
    for revision in (
        "main",
        "refs/pr/1",
        "v1.0_beta-2",
        "1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
    ):
        services.indexes()["docs"].with_options(
            {"embedding": {"model": "a/b", "revision": revision}}
        )


def test_a_model_is_not_read_from_a_folder_of_this_program(services):
    def asked(model):
        return services.indexes()["docs"].with_options({"embedding": {"model": model}}).embedding

    Path("model/1_Pooling").mkdir(parents=True)
    os.link(".rollouts/state.db", "model/1_Pooling/config.json")
    for model in (".rollouts/qdrant", "kept/safe/b1", "./model", "sentence-transformers:./model"):
        with pytest.raises(Refused, match="no request may open it"):
            services.embedder(asked(model))


def test_no_picture_is_drawn_over_a_file_of_this_program(services, tmp_path):
    before = Path(".rollouts/state.db").read_bytes()
    result = Shell(tmp_path)("experiment", "report", "none", "--svg", ".rollouts/state.db")
    assert result.exit_code == 2
    assert "no request may open it" in result.stderr
    assert Path(".rollouts/state.db").read_bytes() == before


def test_a_deployment_says_once_what_it_left_out(tmp_path):
    write(tmp_path / "docs" / "mine.jsonl", records(20, "mine"))
    (tmp_path / "docs" / "server.key").write_text("secret")
    declare(
        tmp_path,
        docs={
            "source": "jsonl:docs/*",
            "embedding": {**EMBEDDING, "text": "{title}: {text}"},
            "soak": {"seconds": 0},
        },
    )
    shell = Shell(tmp_path)
    seen = shell.json("status", shell.json("deploy", "docs", "--wait")["id"])
    assert seen["status"] == "live"
    said = [event["detail"] for event in seen["events"] if "left out" in event["detail"]]
    assert len(said) == 1
    assert "files of this program left out: docs/server.key (a key or certificate)" in said[0]
