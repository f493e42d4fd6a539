"""Verbs that only read: they create and change nothing, say what they looked for, and load nothing
heavy."""

import fcntl
import hashlib
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from contextlib import suppress

import pytest
from rich.cells import cell_len
from rich.text import Text
from sqlalchemy import inspect, text

from qdrant_rollouts.adapters.database import open_engine, open_read_only
from qdrant_rollouts.adapters.migrate import describe_missing_tables, migrate_database
from qdrant_rollouts.adapters.qdrant import inspection_store, open_store
from qdrant_rollouts.adapters.qdrant_folder import InspectionStore
from qdrant_rollouts.adapters.qdrant_local import LocalStore
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.errors import NothingHere, OtherRelease, Refused
from qdrant_rollouts.wiring import build_read_only
from tests.shell import ROOT, Shell, declare, records, write

DOCS = {
    "source": "jsonl:docs/*.jsonl",
    "embedding": {"model": "hashing:256", "text": "{title}: {text}"},
    "validation": {"queries": ["python asyncio"], "min_top_score": 0.1},
    "soak": {"seconds": 0.1, "interval_seconds": 0.1},
    "rebuild": "0 2 * * *",
}
#: What no verb that only looks has a use for.
HEAVY = {
    "alembic",
    "apprise",
    "celery",
    "cryptography",
    "flower",
    "fsspec",
    "grpc",
    "httpx",
    "jinja2",
    "kombu",
    "mcp",
    "numpy",
    "pandas",
    "prometheus_client",
    "pyarrow",
    "qdrant_client",
    "redis",
    "scipy",
    "sentence_transformers",
    "starlette",
    "tokenizers",
    "torch",
    "uvicorn",
}
#: Of rows alone.
ROWS = [
    ["list"],
    ["status", "abc"],
    ["events"],
    ["schedule", "list"],
    ["experiment", "list"],
    ["alert", "list"],
    ["token", "list"],
    ["workers"],
]
LIGHT = [*ROWS, ["versions", "docs"], ["alias", "list"], ["backup", "list"], ["gc", "--dry-run"]]
LOOKS = [
    *LIGHT,
    ["experiment", "report", "abc"],
    ["experiment", "plan", "docs"],
    ["diff", "docs", "1", "2"],
    ["validate", "docs", "docs_1"],
    ["search", "docs", "python"],
]
#: What acts on something that must be there already.
ACTS = [
    ["deploy", "docs"],
    ["promote", "abc"],
    ["pause", "abc"],
    ["abort", "abc"],
    ["rollback", "docs"],
    ["keep", "docs_1"],
    ["gc"],
    ["token", "revoke", "ci"],
    ["experiment", "stop", "abc"],
    ["schedule", "pause", "docs"],
    ["alias", "delete", "docs"],
    ["backup", "verify", "abc"],
    ["alert", "test"],
    ["mcp"],
]


def name(arguments):
    return "-".join(arguments[:2])


def content(folder):
    """Every folder, and every file with its bytes; of the database also when it was written."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            path.stat().st_mtime_ns if path.name == "state.db" else 0,
        )
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory):
    """A folder with two versions of an index."""
    folder = tmp_path_factory.mktemp("lived_in")
    declare(folder, docs=DOCS)
    write(folder / "docs" / "a.jsonl", records(20, "one"))
    shell = Shell(folder)
    shell.json("deploy", "docs", "--wait")
    shell.json("deploy", "docs", "--wait")
    return shell


# --- nothing there --------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", LOOKS + ACTS, ids=name)
def test_in_a_wrong_folder_a_verb_says_what_it_looked_for_and_makes_nothing(tmp_path, arguments):
    result = Shell(tmp_path)(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"there is no database at {tmp_path}/.rollouts/state.db" in result.stderr
    assert f"no index file at {tmp_path}/rollouts.yaml" in result.stderr
    assert "ROLLOUTS_DATABASE_URL" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_makes_nothing_either(tmp_path):
    result = Shell(tmp_path)("doctor")
    assert f"{tmp_path}/.rollouts/state.db is not there yet" in " ".join(result.stdout.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [one for one in LIGHT if one[0] not in ("status", "versions")], ids=name
)
def test_where_an_index_is_declared_and_nothing_deployed_there_is_nothing_yet(tmp_path, arguments):
    declare(tmp_path, docs=DOCS)
    before = content(tmp_path)
    result = Shell(tmp_path)(*arguments)
    assert result.exit_code == 0
    assert f"there is no database at {tmp_path}/.rollouts/state.db yet" in result.stderr
    assert result.stdout
    assert content(tmp_path) == before


def test_a_declared_schedule_is_told_before_anything_has_swept(tmp_path):
    declare(tmp_path, docs=DOCS)
    [seen] = Shell(tmp_path).json("schedule", "list")["schedules"]
    assert (seen["alias"], seen["action"], seen["status"], seen["cron"]) == (
        "docs",
        "rebuild",
        "on",
        "0 2 * * *",
    )
    assert seen["next_at"].endswith("T02:00:00.000Z")


def test_backups_are_listed_though_the_database_is_lost(tmp_path):
    """Even a damaged one: what is to be seen is that it is there."""
    (tmp_path / ".rollouts" / "backups" / "abcdef123456").mkdir(parents=True)
    (tmp_path / ".rollouts" / "backups" / "abcdef123456" / "manifest.json").write_text(
        "{}", encoding="utf-8"
    )
    before = content(tmp_path)
    result = Shell(tmp_path)("backup", "list")
    assert result.exit_code == 0
    assert "abcdef123456" in result.stdout
    assert "state.db" in result.stderr
    assert content(tmp_path) == before


def test_aliases_of_a_server_are_listed_without_a_database(tmp_path, qdrant_url):
    result = Shell(tmp_path)("alias", "list", ROLLOUTS_QDRANT_URL=qdrant_url)
    assert (result.exit_code, result.stdout) == (0, "no aliases yet\n")
    assert list(tmp_path.iterdir()) == []


def test_the_web_does_not_open_in_a_wrong_folder(tmp_path, qdrant_url):
    result = Shell(tmp_path)("web", "--port", "0", ROLLOUTS_QDRANT_URL=qdrant_url)
    assert result.exit_code == 2
    assert f"{tmp_path}/.rollouts/state.db" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_tables_that_are_not_there_are_not_made_by_looking(tmp_path, postgres_url):
    result = Shell(tmp_path)("list", ROLLOUTS_DATABASE_URL=postgres_url)
    assert result.exit_code == 2
    assert "has no tables" in result.stderr
    engine = open_engine(postgres_url)
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_a_database_of_an_older_release_is_left_as_it_is(tmp_path, ready_url):
    engine = open_engine(ready_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0009'"))
    looking = open_read_only(ready_url)
    with pytest.raises(OtherRelease, match=r"revision 0009, older than .* `rollouts migrate`"):
        describe_missing_tables(looking)
    looking.dispose()
    with engine.connect() as connection:
        assert (
            connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "0009"
        )
    engine.dispose()


# --- something there ------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [one for one in LOOKS if one[0] != "search"], ids=name)
def test_looking_changes_no_byte(lived_in, arguments):
    """A search is none of them: it is written down where a database is."""
    before = content(lived_in.folder)
    lived_in(*arguments)
    assert content(lived_in.folder) == before


def test_the_doctor_writes_a_row_takes_it_back_and_changes_nothing_else(lived_in):
    """Whether rows can be written is known by writing one."""
    events = lived_in.json("events", "--limit", "1000")
    before = content(lived_in.folder)
    assert lived_in("doctor").exit_code == 0
    after = content(lived_in.folder)
    database = {path for path in before | after if path.endswith("state.db")}
    assert len(database) == 1
    assert {path: after[path] for path in after.keys() - database} == {
        path: before[path] for path in before.keys() - database
    }
    assert lived_in.json("events", "--limit", "1000") == events


def test_what_is_shown_is_what_is_there(lived_in):
    first, second = lived_in.json("list")["deployments"]
    assert {first["status"], second["status"]} == {"live"}
    assert lived_in.json("alias", "list") == {"aliases": {"docs": first["green"]}}
    listed = lived_in.json("versions", "docs")["versions"]
    assert [(row["number"], row["state"]) for row in listed] == [(2, "live"), (1, "deletion due")]
    assert lived_in.json("gc", "--dry-run")["orphans"] == []


@pytest.mark.parametrize("url", ["ready_sqlite_url", "ready_postgres_url"])
def test_whoever_looks_cannot_write(request, url):
    engine = open_read_only(request.getfixturevalue(url))
    with pytest.raises(Exception, match=r"(?i)read-?only"), engine.begin() as connection:
        connection.execute(text("DELETE FROM events"))
    engine.dispose()


def test_looking_goes_on_beside_a_writer(ready_sqlite_url):
    writer = open_engine(ready_sqlite_url)
    with writer.begin() as connection:
        connection.execute(text("DELETE FROM events"))
        looking = open_read_only(ready_sqlite_url)
        with looking.connect() as other:
            assert other.execute(text("SELECT count(*) FROM events")).scalar() == 0
        looking.dispose()
    writer.dispose()


def test_without_a_database_there_is_nothing_to_build_on(tmp_path):
    settings = Settings(_env_file=None)
    with pytest.raises(NothingHere, match=r"state\.db"):
        build_read_only(settings)
    services, lacks = build_read_only(settings, empty=True)
    assert "state.db" in lacks
    with services.sessions() as session:
        assert session.execute(text("SELECT count(*) FROM deployments")).scalar() == 0
    services.engine.dispose()
    assert list(tmp_path.iterdir()) == []


# --- the embedded Qdrant, unopened ----------------------------------------------------------------


def test_the_folder_says_the_same_as_the_store_that_made_it(tmp_path):
    store = LocalStore(tmp_path / "qdrant")
    for collection in ("one", "two"):
        store.create(
            collection, {"params": {"vectors": {"size": 4, "distance": "Dot"}}}, {"made": "here"}
        )
    store.point_alias("live", "two")
    unopened = InspectionStore(store, tmp_path / "qdrant")
    assert (unopened.aliases(), unopened.collections()) == (store.aliases(), store.collections())
    elsewhere = inspection_store(open_store("", "", 0, tmp_path / "qdrant"), tmp_path / "qdrant")
    assert elsewhere.aliases() == {"live": "two"}  # though the folder is open, by the store above
    assert unopened.metadata("one") == {"made": "here"}
    store.drop("one")
    assert elsewhere.collections() == {"two"}
    store.close()


def test_a_folder_that_is_not_there_is_not_made(tmp_path):
    folder = tmp_path / "qdrant"
    unopened = inspection_store(open_store("", "", 0, folder), folder)
    assert (unopened.aliases(), unopened.collections()) == ({}, set())
    with pytest.raises(Refused, match="no embedded Qdrant"):
        unopened.count("docs")
    assert not folder.exists()


def test_what_is_no_such_file_is_left_to_the_store(tmp_path):
    store = LocalStore(tmp_path / "qdrant")
    store.create("one", {"params": {"vectors": {"size": 4, "distance": "Dot"}}}, {})
    (tmp_path / "qdrant" / "meta.json").write_text("[]", encoding="utf-8")
    assert InspectionStore(store, tmp_path / "qdrant").collections() == {"one"}
    store.close()


# --- what is loaded -------------------------------------------------------------------------------


def loaded_by(folder, arguments, **environment):
    """The packages that are loaded once ``rollouts ARGUMENTS`` has answered, and how it ended."""
    program = (
        "import atexit, sys; from qdrant_rollouts.interfaces.cli import main;"
        "tops = lambda: {name.removeprefix('qdrant_rollouts.').split('.')[0] for name in "
        "sys.modules};"
        "atexit.register(lambda: print('\\nLOADED', *tops()));"
        f"main({list(arguments)!r}, prog_name='rollouts')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return set(done.stdout.rpartition("\nLOADED ")[2].split()), done


@pytest.mark.parametrize("arguments", LIGHT, ids=name)
def test_a_look_loads_nothing_of_weight(lived_in, arguments):
    if arguments[0] == "status":
        arguments = ["status", lived_in.json("list")["deployments"][0]["id"]]
    loaded, done = loaded_by(lived_in.folder, arguments)
    assert done.returncode == 0, done.stderr
    assert "sqlalchemy" in loaded
    assert loaded & HEAVY == set()


def test_a_look_for_garbage_passes_over_what_was_imported(lived_in):
    """There are a hundred thousand objects of libraries, none of them garbage: to look through them
    once, as the first look would, takes a quarter of a short verb's time."""
    program = (
        "import atexit, gc; from qdrant_rollouts.interfaces.cli import main;"
        "atexit.register(lambda: print('\\nGARBAGE', gc.isenabled(), gc.get_freeze_count()));"
        "main(['list'], prog_name='rollouts')"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    shown = subprocess.check_output(
        [sys.executable, "-c", program], cwd=lived_in.folder, env=environment, text=True, timeout=60
    )
    looked_for, passed_over = shown.rpartition("\nGARBAGE ")[2].split()
    assert looked_for == "True"
    assert int(passed_over) > 50_000


@pytest.mark.parametrize("arguments", [["alias", "list"], ["gc", "--dry-run"], ["list"]], ids=name)
def test_nor_does_one_at_servers(tmp_path, ready_postgres_url, qdrant_url, arguments):
    servers = {"ROLLOUTS_DATABASE_URL": ready_postgres_url, "ROLLOUTS_QDRANT_URL": qdrant_url}
    loaded, done = loaded_by(
        tmp_path, arguments, **servers, ROLLOUTS_BROKER_URL="redis://127.0.0.1:1/0"
    )
    assert done.returncode == 0, done.stderr
    asked = {"httpx"} if arguments != ["list"] else set()  # Qdrant is
    assert loaded & HEAVY == asked


@pytest.mark.parametrize(
    "arguments", [["pause", "abc"], ["keep", "docs_1"], ["deploy", "docs"]], ids=name
)
def test_what_is_asked_of_the_rows_loads_neither_models_nor_the_web(lived_in, arguments):
    loaded, done = loaded_by(lived_in.folder, [*arguments, "--json"])
    assert done.returncode in (0, 2), done.stderr
    assert loaded & {"alembic", "mcp", "starlette", "torch", "uvicorn"} == set()


def test_a_database_is_brought_up_to_date_by_the_first_that_changes_something(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path}/fresh/state.db")
    assert not (tmp_path / "fresh").exists()
    migrate_database(engine)
    assert describe_missing_tables(engine) == ""
    engine.dispose()


# --- how wide it is -------------------------------------------------------------------------------

TABLES = [
    ["list"],
    ["versions", "docs"],
    ["events"],
    ["alias", "list"],
    ["schedule", "list"],
    ["alert", "list"],
]


def without_commands(lines):
    """Without the sentences below a table that hold a command: it is never broken, for a person may
    paste it."""
    return [line for line in lines if not re.search(r"`rollouts keep \S+`$", line)]


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize(
    "arguments", [*TABLES, ["status"], ["token", "list"], ["doctor"], ["gc"], ["workers"]], ids=name
)
def test_every_table_keeps_to_the_width_and_shows_what_the_next_command_needs(
    lived_in, arguments, width
):
    live = next(row for row in lived_in.json("list")["deployments"] if row["status"] == "live")
    given = [*arguments, live["id"]] if arguments == ["status"] else arguments
    shown = lived_in(
        *given, *(["--dry-run"] if arguments == ["gc"] else []), COLUMNS=str(width)
    ).stdout
    assert max(map(cell_len, without_commands(shown.splitlines()))) <= width
    assert "…" not in shown
    needed = {
        "list": [live["id"], "✔ live", "docs"],
        "status": [live["id"], live["green"]],
        "versions": [live["green"], "✔ live", "deletion due in"],
        "events": ["deployment.live", "docs"],
        "alias": ["docs", live["green"]],
        "schedule": ["docs", "rebuild", "✔ on"],
        "alert": ["docs", "deployment.completed"],
    }
    together = "".join(shown.split())
    assert [
        word for word in needed.get(arguments[0], []) if "".join(word.split()) not in together
    ] == []


def test_a_real_terminal_says_how_wide_it_is(lived_in):
    """Without ``COLUMNS``, as in a shell of one's own."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 72, 0, 0))
    environment = {
        key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR")
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "qdrant_rollouts.interfaces.cli", "list"],
        cwd=lived_in.folder,
        env={**environment, "PYTHONPATH": str(ROOT / "src"), "TERM": "xterm"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    with suppress(OSError):  # what Linux says when the other end is closed
        while piece := os.read(controller, 65536):
            shown += piece
    os.close(controller)
    assert child.wait(30) == 0
    lines = [Text.from_ansi(line).plain.rstrip() for line in shown.decode().splitlines()]
    assert max(map(cell_len, without_commands(lines))) == 72
    assert any(
        live["id"] in line for live in lived_in.json("list")["deployments"] for line in lines
    )


def test_in_a_pipe_a_row_is_a_line(lived_in):
    shown = lived_in("events", "--limit", "5", COLUMNS=None).stdout.splitlines()
    assert len(shown) == 7
    assert all(line.rstrip() == line for line in shown)
