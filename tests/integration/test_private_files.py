"""Files that this program writes are readable only by their owner; files that were open to others
are restricted or reported."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from qdrant_rollouts.adapters import private
from qdrant_rollouts.adapters.database import open_engine
from qdrant_rollouts.adapters.migrate import migrate_database
from qdrant_rollouts.adapters.own_files import OwnFiles, Watch
from qdrant_rollouts.adapters.qdrant_local import LocalStore
from qdrant_rollouts.adapters.shelf import FolderShelf
from qdrant_rollouts.interfaces.embedded import take_lock
from tests.shell import Shell, declare, records, write
from tests.unit.test_running import PROCFILE
from tests.world import EMBEDDING


@pytest.fixture(autouse=True)
def _usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(folder):
    """Of everything there, what is not as it should be."""
    below = [folder, *folder.rglob("*")]
    found = {path: stat.S_IMODE(path.lstat().st_mode) for path in below if not path.is_socket()}
    return {
        str(path): oct(mode)
        for path, mode in found.items()
        if mode != (0o700 if path.is_dir() else 0o600)
    }


@pytest.fixture
def shell(tmp_path):
    write(tmp_path / "docs.jsonl", records(8, "mine"))
    declare(
        tmp_path,
        docs={
            "source": "jsonl:docs.jsonl",
            "embedding": {**EMBEDDING, "text": "{title}: {text}"},
            "soak": {"seconds": 0},
        },
    )
    return Shell(tmp_path)


def test_everything_under_the_state_s_folder_is_the_owner_s_alone(shell, tmp_path):
    assert shell("deploy", "docs", "--wait").exit_code == 0
    with take_lock():
        assert modes(tmp_path / ".rollouts") == {}
    assert {"state.db", "qdrant", "runner.lock"} <= {
        path.name for path in (tmp_path / ".rollouts").iterdir()
    }


def test_what_was_open_to_others_is_closed_by_the_next_command(shell, tmp_path):
    assert shell("deploy", "docs", "--wait").exit_code == 0
    state = tmp_path / ".rollouts"
    for path in (state, *state.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert shell("search", "docs", "asyncio").exit_code == 0
    with take_lock():
        assert modes(state) == {}


@pytest.mark.parametrize(
    "url", ["sqlite:///{}/made/for/it.db", "sqlite:///file:{}/made/for/it.db?uri=true"]
)
def test_a_database_elsewhere_is_closed_with_what_stands_beside_it(tmp_path, url):
    engine = open_engine(url.format(tmp_path))
    migrate_database(engine)
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        made = tmp_path / "made"
        assert {path.name for path in (made / "for").iterdir()} >= {
            "it.db",
            "it.db-wal",
            "it.db-shm",
        }
        assert modes(made) == {}
        for path in (made / "for").iterdir():
            path.chmod(0o666)
    engine.dispose()
    engine = open_engine(url.format(tmp_path))
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        assert modes(made) == {}
    engine.dispose()


def test_a_folder_of_somebody_else_stays_as_it_is(tmp_path):
    tmp_path.chmod(0o755)
    engine = open_engine(f"sqlite:///{tmp_path}/state.db")
    migrate_database(engine)
    engine.dispose()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "state.db").stat().st_mode) == 0o600


def test_a_database_that_cannot_be_made_is_told_as_before(tmp_path):
    (tmp_path / "state.db").mkdir()
    engine = open_engine(f"sqlite:///{tmp_path}/state.db")
    with pytest.raises(Exception, match="cannot be opened"):
        migrate_database(engine)
    engine.dispose()


def test_backups_are_the_owner_s_alone(tmp_path):
    shelf = FolderShelf(tmp_path / "kept" / "safe")
    shelf.write("b1", "one.snapshot", 0, b"points")
    shelf.seal("b1", "{}")
    assert modes(tmp_path / "kept") == {}


def test_the_embedded_store_keeps_to_itself_what_it_makes_later(tmp_path):
    store = LocalStore(tmp_path / "made" / "qdrant")
    for name in ("one", "two"):
        store.create(name, {"params": {"vectors": {"size": 2, "distance": "Dot"}}}, {})
        store.point_alias("docs", name)
        assert modes(tmp_path / "made") == {}
    store.close()
    assert modes(tmp_path / "made") == {}


@pytest.mark.parametrize("process", ["flower"])
def test_the_processes_that_keep_files_close_them(tmp_path, process):
    """The line of the Procfile, with a shell's command in the place of celery."""
    before, _, _ = PROCFILE[process].rpartition("&& .venv/bin/celery")
    (tmp_path / ".rollouts").mkdir(mode=0o755)
    line = f"{before} && touch .rollouts/kept"
    subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=tmp_path,
        env={**os.environ, "FLOWER_BASIC_AUTH": "a:b"},
        check=True,
    )
    assert modes(tmp_path / ".rollouts") == {}


def test_doctor_tells_what_others_may_read(shell, tmp_path):
    (tmp_path / "kept" / "b1").mkdir(parents=True)
    (tmp_path / "kept" / "b1" / "one.snapshot").write_text("points")
    (tmp_path / ".env").write_text("ROLLOUTS_BACKUP_DIR=kept\n")
    told = [check for check in shell.json("doctor")["checks"] if check["name"] == "privacy"]
    assert [check["state"] for check in told] == ["warn"]
    assert f"{tmp_path}/kept" in told[0]["value"]
    assert "and 1 more" in told[0]["value"]
    (tmp_path / "kept").chmod(0o700)
    (tmp_path / ".env").chmod(0o600)
    assert [check for check in shell.json("doctor")["checks"] if check["name"] == "privacy"] == []


def test_what_lies_in_a_closed_folder_is_closed(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("")
    found = {
        path.name for path in private.find_open_to_others([tmp_path / "a", tmp_path / "nothing"])
    }
    assert found == {"a", "b", "c"}
    (tmp_path / "a" / "b").chmod(0o700)
    assert [path.name for path in private.find_open_to_others([tmp_path / "a"])] == ["a"]


def test_a_link_is_not_followed(tmp_path):
    outside = Path("outside")
    outside.write_text("")
    outside.chmod(0o644)
    Path("own").mkdir()
    Path("own/link").symlink_to(outside.absolute())
    private.tighten_below(Path("own"))
    private.tighten_mode(Path("own/link"))
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644


# --- files that are there whole or not at all -----------------------------------------------------


def test_a_text_is_there_whole_and_never_written_over(tmp_path):
    private.create_text(tmp_path / "a", "one")
    with pytest.raises(FileExistsError):
        private.create_text(tmp_path / "a", "two")
    assert (tmp_path / "a").read_text(encoding="utf-8") == "one"
    assert modes(tmp_path) == {}
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("act", ["fsync", "link"])
def test_a_process_that_is_killed_leaves_no_half_of_it(tmp_path, act):
    """What it leaves has another name, which is one of settings and secrets."""
    program = f"""
import os, signal
from pathlib import Path
from qdrant_rollouts.adapters import private

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

os.{act} = die
private.create_text(Path(".env"), "SECRET=1" * 10_000)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / ".env").exists()
    (left,) = tmp_path.iterdir()
    assert Watch(OwnFiles()).what(left) == "a file of settings and secrets"
    private.create_text(tmp_path / ".env", "SECRET=2")
    assert (tmp_path / ".env").read_text(encoding="utf-8") == "SECRET=2"
