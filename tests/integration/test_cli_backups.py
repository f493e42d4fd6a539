"""``rollouts backup`` as people call it, and the tasks that applications send."""

import json

import pytest

from qdrant_rollouts.core.deployments import backups
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.tasks.backups import COMMANDS
from tests.integration.test_cli import DOCS
from tests.shell import Shell, declare, records, write
from tests.world import World, texts


@pytest.fixture
def shell(tmp_path):
    declare(tmp_path, docs=DOCS)
    write(tmp_path / "docs" / "a.jsonl", records(40, "one"))
    return Shell(tmp_path)


@pytest.fixture
def served(shell, qdrant_url, qdrant_grpc_port, monkeypatch):
    monkeypatch.setenv("ROLLOUTS_QDRANT_URL", qdrant_url)
    monkeypatch.setenv("ROLLOUTS_QDRANT_GRPC_PORT", str(qdrant_grpc_port))
    shell.json("deploy", "docs", "--wait")
    return shell


def test_a_backup_is_made_listed_verified_and_restored_from_the_command_line(served):
    made = served.json("backup", "create", "docs", "--reason", "before the move")
    assert (made["status"], made["points"], made["alias"]) == ("done", 40, "docs")

    seen = served.json("backup", "verify", made["backup_id"])
    assert (seen["status"], seen["backup_id"]) == ("done", made["backup_id"])

    back = served.json("backup", "restore", "--alias", "docs")
    assert (back["status"], back["backup_id"]) == ("live", made["backup_id"])
    assert served.json("alias", "list")["aliases"]["docs"] == back["green"]

    [listed] = served.json("backup", "list", "--alias", "docs")["backups"]
    assert listed["verified"]["verification_id"] == seen["verification_id"]
    assert made["backup_id"] in served("backup", "list").stdout
    assert [one["strategy"] for one in served.json("list")["deployments"]] == [
        "restore",
        "blue_green",
    ]


def test_what_verify_finds_damaged_is_exit_code_1_and_the_list_says_so(served):
    made = served.json("backup", "create", "docs")
    [snapshot] = (served.folder / ".rollouts" / "backups" / made["backup_id"]).glob("*.snapshot")
    content = bytearray(snapshot.read_bytes())
    content[len(content) // 2] ^= 1
    snapshot.write_bytes(content)

    seen = served.json("backup", "verify", made["backup_id"], code=1)
    assert seen["status"] == "failed"
    assert "another checksum" in seen["message"]

    snapshot.unlink()
    [listed] = served.json("backup", "list")["backups"]
    assert (listed["status"], listed["verified"]["status"]) == ("damaged", "failed")
    refused = served("backup", "restore", made["backup_id"])
    assert refused.exit_code == 2
    assert "is missing" in refused.stderr


REFUSED = [
    (["create", "nosuch"], "alias nosuch does not exist"),
    (["verify", "0123456789ab"], "there is no backup 0123456789ab"),
    (["verify", "../docs"], "is not allowed"),
    (["restore"], "name either a backup or an alias"),
    (["restore", "a", "--alias", "docs"], "name either a backup or an alias"),
    (["restore", "--alias", "docs"], "there is no backup of docs"),
]


def test_what_makes_no_sense_is_refused_and_nothing_begins(served):
    """All of them over one index that serves, because a refusal changes nothing."""
    before = served.facts()
    for call, said in REFUSED:
        result = served("backup", *call)
        assert (result.exit_code, said in result.stderr) == (2, True), (call, result.stderr)
        assert served.facts() == before, call
        assert served.json("backup", "list")["backups"] == [], call


def test_the_embedded_store_says_that_a_backup_needs_a_server(shell):
    shell.json("deploy", "docs", "--wait")
    result = shell("backup", "create", "docs")
    assert (result.exit_code, "needs a server" in result.stderr) == (2, True)


def test_the_tasks_refuse_as_the_verbs_do_and_answer_what_json_can_hold(tmp_path, ready_sqlite_url):
    world = World(tmp_path, ready_sqlite_url)
    world.declare("docs", source=world.write("docs.jsonl", texts(5)))
    for name, command in COMMANDS.items():
        with pytest.raises(Refused, match="needs a server"):
            command(world.services, alias_name="docs")
        assert name.startswith("backups.")
    assert json.dumps(backups.list_backups(world.services)) == "[]"
    world.close()
