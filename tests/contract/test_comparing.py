"""Two versions side by side: the report on their settings, models, counts and records."""

from typing import Any

import pytest

from qdrant_rollouts.core.collections import comparing
from qdrant_rollouts.core.errors import Refused
from tests.world import EMBEDDING, World, texts


def deployed(world: World, records: list[dict[str, Any]], **settings: Any) -> str:
    world.declare("docs", source=world.write("docs.jsonl", records), **settings)
    deployment = world.deploy("docs")
    world.run()
    status = world.status(deployment)
    assert status["status"] == "live", status["message"]
    return str(status["green"])


def diff(world: World, **arguments: Any) -> dict[str, Any]:
    return comparing.diff_versions(world.services, "docs", "1", "2", **arguments)


def test_records_that_came_went_and_changed_are_told_by_their_ids(world: World) -> None:
    first = deployed(world, texts(30))
    changed = [{"id": 5, "text": "about something else and python"}, *texts(4, 6), *texts(22, 12)]
    second = deployed(world, changed)
    seen = diff(world)
    assert (seen["from"]["collection"], seen["to"]["collection"]) == (first, second)
    content = seen["content"]
    assert content["complete"]
    assert {name: content[name]["count"] for name in ("added", "removed", "changed")} == {
        "added": 4,
        "removed": 7,
        "changed": 1,
    }
    assert set(content["added"]["examples"]) == {30, 31, 32, 33}
    assert set(content["removed"]["examples"]) < {0, 1, 2, 3, 4, 10, 11}
    assert content["changed"] == {"count": 1, "of": 23, "examples": [5]}
    assert seen["counts"]["points"] == [30, 27]
    assert (seen["model"], seen["schema"]) == ({}, [])


def test_the_same_records_differ_in_nothing(world: World) -> None:
    deployed(world, texts(30))
    deployed(world, texts(30))
    content = diff(world)["content"]
    assert [content[name]["count"] for name in ("added", "removed", "changed")] == [0, 0, 0]
    assert content["changed"]["of"] == 30


def test_a_field_that_is_not_embedded_counts_as_a_change(world: World) -> None:
    deployed(world, [{**record, "lang": "en"} for record in texts(30)])
    deployed(
        world, [{**record, "lang": "de" if record["id"] == 3 else "en"} for record in texts(30)]
    )
    assert diff(world)["content"]["changed"] == {"count": 1, "of": 30, "examples": [3]}


def test_another_template_changes_every_text_and_another_model_none(world: World) -> None:
    deployed(world, texts(30))
    deployed(world, texts(30), embedding={**EMBEDDING, "text": "{text} {id}"})
    seen = diff(world)
    assert seen["content"]["changed"]["count"] == 30
    assert seen["model"] == {"template": ["{text}", "{text} {id}"]}
    deployed(
        world, texts(30), embedding={**EMBEDDING, "model": "hashing:32", "text": "{text} {id}"}
    )
    seen = comparing.diff_versions(world.services, "docs", "2", "3")
    assert seen["content"]["changed"]["count"] == 0
    assert seen["model"]["model"] == ["hashing:64", "hashing:32"]
    assert seen["model"]["dimension"] == [64, 32]
    assert "params.vectors.size 64 -> 32" in seen["schema"]


def test_settings_that_came_and_went_are_told(world: World) -> None:
    deployed(world, texts(30), collection={"hnsw": {"m": 16}})
    deployed(world, texts(30), collection={"hnsw": {"m": 32}})
    there = diff(world)["schema"]
    back = comparing.diff_versions(world.services, "docs", "2", "1")["schema"]
    assert [line for line in there if line.endswith("m 16 -> 32")]
    assert [line for line in back if line.endswith("m 32 -> 16")]


def test_a_sample_is_the_same_each_time_and_its_shares_are_near_the_truth(world: World) -> None:
    deployed(world, texts(200))
    deployed(world, texts(200, 100))
    seen = diff(world, sample=60)["content"]
    assert seen == diff(world, sample=60)["content"]
    assert not seen["complete"]
    assert (seen["added"]["of"], seen["removed"]["of"]) == (60, 60)
    # Half of each; 60 drawn of 200, so that 15 to 45 is more than four standard deviations to
    # either side.
    assert 15 <= seen["added"]["count"] <= 45
    assert 15 <= seen["removed"]["count"] <= 45
    assert seen["changed"]["count"] == 0


def test_of_a_version_that_is_gone_settings_and_counts_are_told_and_no_records(
    world: World,
) -> None:
    first = deployed(world, texts(30))
    deployed(world, texts(40))
    world.store.drop(first)
    seen = diff(world)
    assert (seen["gone"], seen["content"], seen["schema"]) == ([first], None, [])
    assert seen["counts"]["points"] == [30, 40]
    deployed(world, texts(40), collection={"hnsw": {"m": 32}})
    assert "they differ" in comparing.diff_versions(world.services, "docs", "1", "3")["schema"][0]


def test_versions_that_are_none_or_the_same_are_refused(world: World) -> None:
    first = deployed(world, texts(30))
    with pytest.raises(Refused, match="has no version '2'"):
        diff(world)
    with pytest.raises(Refused, match="are the same version of docs"):
        comparing.diff_versions(world.services, "docs", "1", first)
