"""``versions``, ``diff``, ``adopt``, ``keep`` and ``gc`` as people call them, on the embedded
default."""

import numpy as np
import pytest

from qdrant_rollouts.adapters.qdrant_local import LocalStore
from qdrant_rollouts.core.ports import Point
from tests.integration.test_cli import DOCS
from tests.shell import Shell, declare, records, write


class Story:
    """Two versions, the second with other data; what was seen of them on the way."""

    def __init__(self, folder):
        self.shell = shell = Shell(folder)
        declare(folder, docs=DOCS)
        write(folder / "docs" / "a.jsonl", records(40, "one"))
        self.first = shell.json("deploy", "docs", "--wait")["green"]
        write(
            folder / "docs" / "a.jsonl",
            [*records(30, "one"), {"id": 99, "title": "new", "text": "python asyncio"}],
        )
        self.second = shell.json("deploy", "docs", "--wait")["green"]


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    return Story(tmp_path_factory.mktemp("versions"))


@pytest.fixture
def orphaned(tmp_path):
    """A folder whose Qdrant has an orphan, and a collection of somebody else's behind ``docs``."""
    declare(tmp_path, docs={})
    store = LocalStore(str(tmp_path / ".rollouts" / "qdrant"))
    for name in ("docs_20250101_020000", "theirs"):
        store.create(
            name,
            {"params": {"vectors": {"size": 4, "distance": "Cosine"}}, "payload_schema": {}},
            {},
        )
    store.point_alias("docs", "theirs")
    store.close()
    return Shell(tmp_path)


def test_versions_are_told_as_the_contract_says(story):
    seen = story.shell.json("versions", "docs")
    assert seen["alias"] == "docs"
    assert [(one["collection"], one["live"], one["state"]) for one in seen["versions"]] == [
        (story.second, True, "live"),
        (story.first, False, "deletion due"),
    ]
    assert {"model", "schema", "fingerprint", "gate", "actor", "created_at"} <= seen["versions"][
        0
    ].keys()
    lines = story.shell("versions", "docs").stdout.splitlines()
    assert lines[2].split()[:5] == ["→", "2", story.second, "✔", "live"]
    assert "deletion due in 5" in lines[3]


def test_a_difference_is_told_in_a_table_and_as_json(story):
    seen = story.shell.json("diff", "docs", "1", "2")
    assert {
        name: told["count"] for name, told in seen["content"].items() if name != "complete"
    } == {
        "added": 1,
        "removed": 10,
        "changed": 0,
    }
    shown = story.shell("diff", "docs", "1", story.second).stdout
    assert f"{story.first} → {story.second}" in shown
    assert "settings: the same" in shown
    assert [line.split() for line in shown.splitlines() if line.startswith("added")] == [
        ["added", "1", "31", "99"]
    ]


def test_two_versions_are_asked_beside_each_other(story):
    asked = ("search", "docs", "python asyncio one", "--beside", "1", "--limit", "3")
    found = story.shell.json(*asked)
    assert [found[side]["collection"] for side in ("left", "right")] == [story.second, story.first]
    shown = story.shell(*asked).stdout
    assert shown.split()[:5] == ["MOVED", "LIVE", "V1", "ID", "RECORD"]
    assert shown.splitlines()[-1] == found["summary"]
    assert f"v1, {story.first}: embedded in" in shown
    refused = story.shell("search", "docs", "python", "--beside", "7")
    assert (refused.exit_code, "docs has no version '7'" in refused.stderr) == (2, True)


def test_a_dry_run_of_gc_says_what_there_is_to_collect(story):
    assert story.shell("gc", "--dry-run").stdout == "nothing to collect\n"


def test_keep_cancels_a_deletion_once(story):
    assert (
        story.shell("keep", story.first, "--reason", "to compare").stdout
        == f"{story.first} is kept\n"
    )
    assert story.shell.json("versions", "docs")["versions"][1]["state"] == "retained"
    again = story.shell("keep", story.first)
    assert (again.exit_code, again.stderr.split(":")[0]) == (2, "refused")
    (row,) = story.shell.json("list")["deletions"]
    assert (row["status"], row["reason"]) == ("kept", f"{story.first} is kept: to compare")
    assert "• kept" in story.shell("list").stdout


def test_what_is_ours_is_not_adopted(story):
    refused = story.shell("adopt", "docs")
    assert refused.exit_code == 2
    assert "is ours already: version 2 of docs" in refused.stderr


def test_a_collection_of_somebody_else_is_seen_and_adopted(orphaned):
    assert "`rollouts adopt docs` takes it under management" in orphaned("versions", "docs").stdout
    assert (
        orphaned("adopt", "docs").stdout
        == "theirs is version 1 of docs; no model is declared for it\n"
    )
    assert [one["collection"] for one in orphaned.json("versions", "docs")["versions"]] == [
        "theirs"
    ]


def test_an_orphan_is_listed_until_its_deletion_is_asked_for(orphaned):
    assert [one["collection"] for one in orphaned.json("gc")["orphans"]] == ["docs_20250101_020000"]
    assert orphaned.json("list")["deletions"] == []
    assert "orphans: no row here knows them" in orphaned("gc", "--dry-run", "--orphans").stdout
    assert orphaned.json("list")["deletions"] == []
    orphaned.json("gc", "--orphans")
    (row,) = orphaned.json("list")["deletions"]
    assert (row["collection"], row["status"]) == ("docs_20250101_020000", "scheduled")


def test_every_output_says_what_will_be_deleted_and_the_command_that_keeps_it(tmp_path):
    declare(tmp_path, docs=DOCS)
    write(tmp_path / "docs" / "a.jsonl", records(20, "one"))
    shell = Shell(tmp_path)
    shell("deploy", "docs", "--wait")
    begun = shell("deploy", "docs")
    assert "will be deleted 60 minutes after docs_" in begun.stdout
    run = shell.json("list", "--limit", "1")["deployments"][0]["id"]
    shell("abort", run)
    ended = shell.json("deploy", "docs", "--wait")
    [deletion] = shell.json("list")["deletions"]
    assert deletion["text"].startswith(f"{ended['blue']} will be deleted at ")
    assert deletion["text"].endswith(f"to keep it: `rollouts keep {ended['blue']}`")
    assert [one["text"] for one in ended["deletions"]] == [deletion["text"]]
    for verb in (("list",), ("versions", "docs"), ("status", ended["id"])):
        assert deletion["text"] in shell(*verb).stdout, verb
    moved = shell("alias", "switch", "docs", ended["blue"], "--delete-old")
    assert f"{ended['green']} will be deleted at " in moved.stdout
    assert f"`rollouts keep {ended['green']}`" in moved.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("versions", "nodocs"), "there are no versions of nodocs"),
        (("diff", "docs", "1", "7"), "docs has no version '7'"),
        (("adopt", "nodocs"), "alias nodocs does not exist"),
        (("keep", "no such"), "no deletion of no such is scheduled"),
        (("keep", "no/such"), "is not allowed"),
        (("mark", "docs", "1"), "say either --bad or --good"),
        (("mark", "docs", "1", "--bad"), "say why"),
        (("mark", "docs", "7", "--bad", "--reason", "x"), "docs has no version '7'"),
        (("rollback", "docs", "--to", "2"), "serves docs already"),
        (("rollback", "docs", "--force"), "name it with --to"),
    ],
)
def test_what_makes_no_sense_is_refused(story, arguments, said):
    refused = story.shell(*arguments)
    assert refused.exit_code == 2
    assert said in refused.stderr


def test_a_bad_version_is_shown_and_gone_back_to_only_if_that_is_confirmed(story):
    shell = story.shell
    answer = shell("mark", "docs", "1", "--bad", "--reason", "wrong prices")
    assert "is marked bad by" in answer.stdout
    listed = shell("versions", "docs").stdout
    assert "retained, marked bad" in listed
    assert f"{story.first} is marked bad by" in listed
    refused = shell("rollback", "docs", "--to", "1")
    assert (refused.exit_code, "--to 1 --force" in refused.stderr) == (2, True)
    back = shell.json("rollback", "docs", "--to", "1", "--force", "--reason", "it was right")
    assert (back["status"], back["green"]) == ("live", story.first)
    assert shell.json("mark", "docs", "v1", "--good")["marked_bad"] is None
    versions = shell.json("versions", "docs")["versions"]
    assert [(one["live"], one["rolled_away"]) for one in versions] == [(False, True), (True, False)]


@pytest.fixture
def unknown(tmp_path):
    """A folder with a collection of somebody else's behind ``docs``: of the declared size, and of
    no model there is."""
    declare(tmp_path, docs=DOCS)
    write(tmp_path / "docs" / "a.jsonl", records(40, "one"))
    store = LocalStore(str(tmp_path / ".rollouts" / "qdrant"))
    size = int(DOCS["embedding"]["model"].rpartition(":")[2])
    store.create(
        "theirs",
        {"params": {"vectors": {"size": size, "distance": "Cosine"}}, "payload_schema": {}},
        {},
    )
    rng = np.random.default_rng(3)
    store.upsert(
        "theirs", [Point(at, rng.random(size), one) for at, one in enumerate(records(40, "one"))]
    )
    store.point_alias("docs", "theirs")
    store.close()
    return Shell(tmp_path)


def test_a_model_that_nobody_knows_is_refused_until_it_is_accepted(unknown):
    refused = unknown("deploy", "docs", "--wait")
    assert refused.exit_code == 2
    assert "theirs, which docs leads to, does not say which model made it" in refused.stderr
    assert "of 32 stored texts that were embedded again 0 agree" in " ".join(refused.stderr.split())
    assert "accept_new_model: true" in refused.stderr
    assert unknown.json("alias", "list")["aliases"]["docs"] == "theirs"
    seen = unknown.json("deploy", "docs", "--wait", "--accept-new-model")
    assert seen["status"] == "live"
