"""What an application can do that has only ``celery``, the broker's address and the result
backend's address."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.installation import OPTIONS, QUERY, Installation, blue

#: None of these may ever end, so that a test can send requests in the meantime.
LONG_SOAK = {"soak": {"seconds": 600, "interval_seconds": 0.5}}


def refusal(house: Installation, task: str, **arguments: Any) -> str:
    """Returns the text of the failed task's result."""
    result = house.send(task, **arguments)
    answer = house.answer(result, f"a refusal of {task}", propagate=False)
    assert (result.status, type(answer).__name__) == ("FAILURE", "Refused"), answer
    return str(answer)


def status_is(house: Installation, alias: str, status: str) -> Callable[[], bool]:
    def reached() -> bool:
        row = house.deployment(alias)
        return row is not None and row.status == status

    return reached


# --- deployments ----------------------------------------------------------------------------------


def test_a_deployment_asked_for_by_name_answers_what_the_contract_says_and_goes_live(
    house: Installation,
):
    house.make_live("contract")
    answer = house.answer(house.start("contract"), "contract accepted")
    row = house.ended("contract")
    assert answer.pop("status") in ("pending", "running")  # a worker may be faster than the answer
    assert answer == {
        "deployment_id": row.id,
        "alias": "contract",
        "old_collection": blue("contract"),
        "new_collection": row.green,
    }
    assert row.status == "live", row.message
    assert house.aliases()["contract"] == row.green


def test_a_declared_index_is_rebuilt_by_name(house: Installation):
    index = {
        **OPTIONS,
        "source": "jsonl:docs.jsonl",
        "validation": {"queries": [QUERY], "min_top_score": 0.1},
    }
    house.declare({"declared": index})
    assert house.ask("indexes.rebuild", alias_name="declared")["old_collection"] is None
    row = house.ended("declared")
    assert row.status == "live", row.message
    assert house.aliases()["declared"] == row.green


def test_pause_resume_and_abort_asked_for_by_name_are_honoured(house: Installation):
    house.make_live("wishes")
    id = house.deploy("wishes", **LONG_SOAK)
    house.at_step("wishes", "soak")
    for task, status in (("pause", "paused"), ("resume", "running"), ("abort", "rolled_back")):
        answer = house.ask(f"deployments.{task}", deployment_id=id, reason="to see", actor="anna")
        assert answer["deployment_id"] == id
        house.until(status_is(house, "wishes", status), 30, f"{task} honoured")
    assert house.aliases()["wishes"] == blue("wishes")


def test_promote_asked_for_by_name_ends_a_pause(house: Installation):
    house.make_live("promoted")
    id = house.deploy("promoted", **LONG_SOAK)
    house.ask("deployments.pause", deployment_id=id)
    house.until(status_is(house, "promoted", "paused"), 30, "paused")
    house.ask("deployments.promote", deployment_id=id)
    house.until(status_is(house, "promoted", "running"), 30, "running again")
    house.ask("deployments.abort", deployment_id=id)
    house.ended("promoted")


def test_rollback_asked_for_by_name_brings_the_version_before_back(house: Installation):
    house.make_live("back")
    first = house.deploy("back")
    assert house.ended("back").status == "live"
    answer = house.ask("deployments.rollback", alias_name="back", reason="users complain")
    assert answer["new_collection"] == blue("back")
    assert answer["deployment_id"] != first
    house.until(lambda: house.aliases()["back"] == blue("back"), 30, "the alias back on blue")


@pytest.mark.parametrize(
    ("task", "arguments", "words"),
    [
        (
            "deployments.deploy_new_version",
            {"alias_name": "nobody"},
            ["nobody", "neither exists nor is declared"],
        ),
        ("deployments.deploy_new_version", {"alias_name": "no/body"}, ["no/body", "not allowed"]),
        (
            "deployments.deploy_new_version",
            {"alias_name": "refused", "data_source": "jsonl:missing.jsonl"},
            ["missing.jsonl"],
        ),
        (
            "deployments.deploy_new_version",
            {
                "alias_name": "refused",
                "data_source": "jsonl:docs.jsonl",
                "options": {"soak": {"seconds": -1}},
            },
            ["options: soak.seconds", "-1", "greater than or equal to 0"],
        ),
        (
            "deployments.pause",
            {"deployment_id": "000000000000"},
            ["there is no deployment", "000000000000"],
        ),
        ("deployments.rollback", {"alias_name": "nobody"}, ["nobody", "does not exist"]),
        ("indexes.rebuild", {"alias_name": "nobody"}, ["nobody", "is not declared"]),
        (
            "indexes.write_records",
            {"alias_name": "nobody", "ids": [1], "action": "delete"},
            ["nobody", "neither exists nor is declared"],
        ),
        (
            "indexes.write_records",
            {"alias_name": "refused", "ids": [1]},
            ["upsert takes records", "found ids"],
        ),
        (
            "aliases.create_alias",
            {"alias_name": "refused", "collection_name": "nowhere"},
            ["nowhere"],
        ),
        ("aliases.delete_alias", {"alias_name": "nobody"}, ["nobody", "does not exist"]),
        (
            "collections.safe_delete_collection",
            {"collection_name": "nowhere"},
            ["nowhere", "does not exist"],
        ),
    ],
)
def test_what_makes_no_sense_comes_back_as_a_failed_result_that_says_why(
    house: Installation, task: str, arguments: dict[str, Any], words: list[str]
):
    house.make_live("refused")
    before = house.aliases(), house.collections(), house.turns()
    said = refusal(house, task, **arguments)
    assert [word for word in words if word not in said] == []
    assert (house.aliases(), house.collections(), house.turns()) == before


def test_a_second_deployment_is_refused_with_the_name_of_the_first(house: Installation):
    house.make_live("twice")
    id = house.deploy("twice", **LONG_SOAK)
    assert id in refusal(
        house, "deployments.deploy_new_version", alias_name="twice", data_source="jsonl:docs.jsonl"
    )
    house.ask("deployments.abort", deployment_id=id)
    house.ended("twice")


# --- records --------------------------------------------------------------------------------------


def test_records_are_written_changed_and_deleted_by_name_in_whatever_queue(house: Installation):
    """Workers of the queue of all commands have no models, so they send the message on."""
    house.make_live("written")
    house.deploy("written")
    row = house.ended("written")
    assert row.status == "live", row.message
    before = house.count(row.green)
    named = {"alias_name": "written"}
    rows = [{"id": 9001, "text": "written by a message"}, {"id": "k", "text": "and another"}]
    counts = {"alias": "written", "written": 0, "deleted": 0, "not_found": []}

    assert house.ask("indexes.write_records", **named, records=rows) == {**counts, "written": 2}
    assert house.count(row.green) == before + 2
    patch = [{"id": 9001, "text": "changed"}, {"id": 9002, "a": 1}]
    patched = house.ask("indexes.write_records", **named, action="patch", records=patch)
    assert patched == {**counts, "written": 1, "not_found": [9002]}
    deleted = house.ask("indexes.write_records", **named, action="delete", ids=[9001, "k"])
    assert deleted == {**counts, "deleted": 2}
    assert house.count(row.green) == before


# --- aliases and collections ----------------------------------------------------------------------


def test_aliases_are_made_moved_and_removed_by_name(house: Installation):
    first = house.make_collection("made-1")
    second = house.make_collection("made-2")
    named = {"alias_name": "made"}

    created = house.ask("aliases.create_alias", **named, collection_name=first)
    assert created == {"created": True, "alias": "made", "collection": first}
    assert first in refusal(house, "aliases.create_alias", **named, collection_name=second)
    assert house.ask("aliases.create_alias", **named, collection_name=second, force=True)["created"]
    moved = house.ask("aliases.switch_alias", **named, new_collection=first)
    assert moved == {"old_collection": second, "new_collection": first, "switched": True}
    assert house.aliases()["made"] == first
    assert house.ask("aliases.delete_alias", **named) == {"deleted": True}
    assert house.ask("aliases.delete_alias", **named) == {"deleted": False}
    assert "made" not in house.aliases()


def test_a_switch_that_deletes_the_old_collection_writes_its_deletion_down(house: Installation):
    house.make_live("tidy")
    new = house.make_collection("tidy-2")
    assert house.ask(
        "aliases.switch_alias", alias_name="tidy", new_collection=new, delete_old=True
    )["switched"]
    assert blue("tidy") in house.collections()
    again = house.ask("collections.safe_delete_collection", collection_name=blue("tidy"))
    assert again["scheduled"]
    assert new in again["reason"]


def test_a_collection_in_use_is_not_scheduled_for_deletion(house: Installation):
    house.make_live("used")
    answer = house.ask("collections.safe_delete_collection", collection_name=blue("used"))
    assert answer == {"scheduled": False, "delete_after": None, "reason": "alias used points to it"}


def test_a_switch_to_a_missing_collection_is_refused_and_the_alias_stays(house: Installation):
    house.make_live("missing")
    said = refusal(house, "aliases.switch_alias", alias_name="missing", new_collection="nowhere")
    assert "nowhere does not exist" in said
    assert house.aliases()["missing"] == blue("missing")


def test_a_switch_to_where_the_alias_is_changes_nothing(house: Installation):
    house.make_live("current")
    answer = house.ask("aliases.switch_alias", alias_name="current", new_collection=blue("current"))
    assert answer == {
        "old_collection": blue("current"),
        "new_collection": blue("current"),
        "switched": False,
    }
    assert [event.event for event in house.events("current")] == ["alias.unchanged"]


def at_once(house: Installation, copies: int, task: str, **arguments: Any) -> list[Any]:
    asked = [house.send(task, **arguments) for _ in range(copies)]
    return [house.answer(result, f"an answer to {task}") for result in asked]


@pytest.mark.parametrize("copies", [2, 20])
def test_a_switch_asked_for_many_times_at_once_has_one_effect(house: Installation, copies: int):
    """Several first moves of an alias once failed on its first row, because one of them had just
    written it."""
    for number in range(3):
        alias = f"at-once-{copies}-{number}"
        house.make_live(alias)
        green = house.make_collection(f"{alias}-green")
        answers = at_once(
            house, copies, "aliases.switch_alias", alias_name=alias, new_collection=green
        )
        assert [answer["switched"] for answer in answers].count(True) == 1
        assert house.aliases()[alias] == green
        told = [event.event for event in house.events(alias)]
        assert sorted(told) == ["alias.switched", *["alias.unchanged"] * (copies - 1)]


def test_a_deletion_asked_for_many_times_at_once_is_written_down_once(house: Installation):
    """All but one once failed on the row that one of them had just written."""
    for number in range(3):
        collection = house.make_collection(f"unwanted-{number}")
        answers = at_once(
            house, 20, "collections.safe_delete_collection", collection_name=collection
        )
        assert [answer["scheduled"] for answer in answers] == [True] * 20
        assert len({answer["delete_after"] for answer in answers}) == 1
