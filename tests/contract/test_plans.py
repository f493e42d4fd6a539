"""What a plan says of a deployment before it is started, that it changes nothing, and how it is
compared with what the deployment took."""

import gzip
import json
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select

from qdrant_rollouts.adapters.embeddings import open_embedder
from qdrant_rollouts.core.config.index_file import ProviderSpec
from qdrant_rollouts.core.database.models import Base
from qdrant_rollouts.core.database.plan_rows import PlanRow
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.deployments.commands.planning import plan_deployment
from qdrant_rollouts.core.errors import Refused, Unavailable, Unknown
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.ports import Room
from tests.contract.test_engine import Failing
from tests.endpoint import Endpoint
from tests.roster import BULK, CONTROL, says
from tests.world import World, texts


def plan(world: World, alias: str = "docs", **asked: Any) -> dict[str, Any]:
    return dict(plan_deployment(world.services, alias, **asked))


def deploy(world: World, alias: str = "docs", **asked: Any) -> str:
    deployment = world.deploy(alias, **asked)
    world.run()
    assert world.status(deployment)["status"] == "live", world.status(deployment)["message"]
    return deployment


def everything(world: World) -> tuple[Any, ...]:
    """Every row, every collection with its points and metadata, every alias, every message."""
    with world.engine.connect() as connection:
        rows = {
            table.name: sorted(map(repr, connection.execute(select(table))))
            for table in Base.metadata.sorted_tables
        }
    store = world.store
    kept = {
        name: (repr(store.scroll(name, None, 10_000)), store.metadata(name))
        for name in store.collections()
    }
    return rows, kept, store.aliases(), list(world.broker.waiting)


def changed_of(records: list[dict[str, Any]], every: int) -> list[dict[str, Any]]:
    return [
        {**record, "text": f"new {record['text']}"} if record["id"] % every == 0 else record
        for record in records
    ]


# --- what would be done ---------------------------------------------------------------------------


def test_a_new_index_is_read_in_full_and_every_text_is_embedded(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(120)))
    told = plan(world)
    assert (told["way"], told["old_collection"]) == ("records", None)
    assert told["why"].startswith("full: every record of the source is read")
    assert told["steps"] == ["create", "populate", "validate", "catch_up", "switch", "soak"]
    assert (told["records"]["value"], told["records"]["source"]) == (120, "counted")
    assert [told["texts"][end] for end in ("value", "low", "high")] == [120] * 3
    assert told["sample"] == {"records": 120, "complete": True, "bad": 0, "first_bad": ""}


def test_a_plan_changes_nothing(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(60)))
    before = everything(world)
    plan(world)
    assert everything(world) == before
    deploy(world)
    world.write("docs.jsonl", changed_of(texts(60), 3))
    before = everything(world)
    assert plan(world)["texts"]["value"] == 20
    assert everything(world) == before


def test_of_a_proven_model_nothing_is_written_either(world: World) -> None:
    """A deployment would write the stamp of the live collection."""
    world.declare("docs", source=world.write("docs.jsonl", texts(40)))
    deploy(world)
    live = world.store.aliases()["docs"]
    world.store.set_metadata(live, dict.fromkeys(world.store.metadata(live)))
    before = everything(world)
    told = plan(world)
    assert everything(world) == before
    assert told["texts"]["value"] == 40


def test_where_1_percent_has_changed_about_1_percent_is_embedded(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(2_000)))
    deploy(world)
    world.write("docs.jsonl", changed_of(texts(2_000), 100))
    told = plan(world)
    assert told["sample"]["records"] == 500
    assert told["texts"]["low"] <= 20 <= told["texts"]["high"] < 100
    assert told["records"]["low"] <= 2_000 <= told["records"]["high"]


@pytest.mark.parametrize("kind", ["jsonl", "dir", "collection"])
def test_a_change_at_the_end_of_a_large_source_is_seen(world: World, kind: str) -> None:
    number = 1_000
    records = texts(number)
    late = [
        record if record["id"] < 600 else {**record, "text": f"new {record['text']}"}
        for record in records
    ]
    source = world.write("docs.jsonl", records)
    if kind == "dir":
        source = _write_folder(world, records)
    world.declare("docs", source=source, soak={"seconds": 0})
    deploy(world)
    if kind == "dir":
        _write_folder(world, late)
    elif kind == "jsonl":
        world.write("docs.jsonl", late)
    else:
        world.declare("other", source=world.write("other.jsonl", late), soak={"seconds": 0})
        deploy(world, "other")
        source = f"collection:{world.store.aliases()['other']}"
        world.declare(
            "docs", source=source, collection={"distance": "Dot"}, writes="none", id_field=None
        )
    told = plan(world)
    assert told["sample"]["complete"] is False
    if kind == "collection":
        assert (told["records"]["value"], told["records"]["source"]) == (number, "counted")
    else:
        assert told["texts"]["low"] <= 400 <= told["texts"]["high"]


def _write_folder(world: World, records: list[dict[str, Any]]) -> str:
    folder = world.folder / "pages"
    folder.mkdir(exist_ok=True)
    for record in records:
        (folder / f"{record['id']:05}.md").write_text(f"{record['text']}\n", encoding="utf-8")
    return "dir:pages"


def test_of_a_compressed_file_the_first_records_are_read(world: World) -> None:
    lines = "".join(json.dumps(record) + "\n" for record in texts(900))
    (world.folder / "docs.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    world.declare("docs", source="jsonl:docs.jsonl.gz")
    told = plan(world)
    assert (told["sample"]["records"], told["sample"]["complete"]) == (500, False)


def test_a_source_that_cannot_be_counted_is_not_guessed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(world.folder)
    (world.folder / "endless_records.py").write_text(
        "def read():\n"
        "    yield from ({'id': n, 'text': f'text {n} about asyncio'} for n in range(10_000))\n"
    )
    world.declare("docs", source="python:endless_records:read")
    told = plan(world)
    assert told["records"]["value"] is None
    assert "does not say how much it has" in told["records"]["source"]
    assert [told[name]["value"] for name in ("texts", "tokens", "seconds", "cost")] == [None] * 4
    assert told["disk"]["needed"]["value"] is None


def test_of_a_collection_without_a_new_setting_the_points_are_taken_as_they_are(
    world: World,
) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(50)))
    deploy(world)
    world.declare("docs", source="live")
    told = plan(world)
    assert (told["way"], told["records"]["value"], told["texts"]["value"]) == ("copy", 50, 0)
    assert told["cost"]["value"] == 0
    deployment = deploy(world)
    assert world.step(deployment, "populate")["output"]["way"] == "copy"


def test_an_existing_collection_is_taken_and_nothing_is_filled(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    deploy(world)
    first = world.store.aliases()["docs"]
    deploy(world)
    told = plan(world, collection=first)
    assert (told["way"], told["records"]["value"], told["seconds"]["value"]) == (None, 30, 0)
    assert told["why"] == f"nothing is filled: {first} is taken as it is"
    assert told["workers"]["queue"] is None


def test_an_index_in_which_nothing_has_changed_would_not_be_rebuilt(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    assert plan(world)["unchanged"] == ""
    deploy(world)
    assert plan(world)["unchanged"].startswith("nothing to do: jsonl:")
    assert plan(world, options={"soak": {"seconds": 1}})["unchanged"] == ""


def test_a_bad_record_in_the_sample_is_named_with_what_becomes_of_it(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", [*texts(9), {"id": 9}]))
    told = plan(world)
    assert told["sample"]["bad"] == 1
    [warning] = told["warnings"]
    assert "the deployment would end there (on_bad_record: fail)" in warning
    assert "docs.jsonl:10: text: missing" in warning


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"alias": "dosc"}, "neither exists nor is declared"),
        ({"source": "jsonl:nowhere.jsonl"}, "nowhere.jsonl"),
        ({"source": "sql:SECRET_URL:SELECT 1"}, "accepted only from there"),
        ({"source": "python:os:getcwd"}, "accepted only from there"),
        ({"source": "jsonl:/etc/passwd"}, "passwd"),
        ({"strategy": "careful"}, "is not known"),
        ({"strategy": "canary"}, "nothing a canary could be compared with"),
        ({"options": {"soak": {"seconds": -1}}}, "soak.seconds"),
        ({"source": "live"}, "nothing serves docs yet"),
        ({"collection": "nothing"}, "nothing"),
        ({"collection": "a", "source": "jsonl:docs.jsonl"}, "name one of the two"),
    ],
)
def test_a_plan_refuses_in_the_same_words_what_a_deployment_refuses(
    world: World, asked: dict[str, Any], words: str
) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(10)))
    asked = {"alias": "docs", **asked}
    said = []
    for start in (plan_deployment, partial(_start, world)):
        with pytest.raises((Refused, Unknown)) as refused:
            start(world.services, **asked)  # type: ignore[operator]
        said.append(str(refused.value))
    assert said[0] == said[1]
    assert words in said[0]


def _start(world: World, services: Any, alias: str, **asked: Any) -> str:
    return world.deploy(alias, **asked)


def test_a_plan_of_an_index_that_is_being_deployed_names_the_deployment(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(10)))
    running = world.deploy("docs")
    with pytest.raises(Refused, match=running):
        plan(world)


# --- workers, room, price -------------------------------------------------------------------------


def test_without_a_worker_that_answers_it_says_that_the_deployment_waits(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(10)))
    says(world, CONTROL)
    told = plan(world)["workers"]
    assert (told["queue"], told["names"]) == ("bulk", [])
    assert "waits until one does" in told["note"]
    says(world, BULK)
    assert plan(world)["workers"] == {"queue": "bulk", "names": ["bulk@one"], "note": ""}


def test_the_need_of_disk_stands_beside_what_is_free_and_too_little_is_said(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(100)))
    assert plan(world)["disk"]["free"] is None

    class Full(Failing):
        def room(self) -> Room:
            return Room(disk=1000)

    world.over(Full(world.store))  # type: ignore[arg-type]
    told = plan(world)
    assert (told["disk"]["free"], told["disk"]["needed"]["value"] > 25_600) == (1000, True)
    assert "too little room: at least" in told["warnings"][0]


@pytest.fixture
def provided(world: World) -> Any:
    """A model behind an endpoint, which counts a token for each word."""
    endpoint = Endpoint(counts_tokens=True)
    providers: dict[str, ProviderSpec] = {"loop": ProviderSpec(url=endpoint.url)}

    def declare_price(price: float | None) -> None:
        providers["loop"] = ProviderSpec(url=endpoint.url, price_per_million_tokens=price)

    def read() -> dict[str, ProviderSpec]:
        return providers

    world.change_services(providers=read, embedder=partial(open_embedder, providers=read))
    world.declare(
        "docs",
        source=world.write("docs.jsonl", texts(50)),
        embedding={"model": "loop:words-64", "text": "{text}"},
    )
    yield declare_price, endpoint
    endpoint.close()


def test_the_cost_is_the_declared_price_of_the_tokens(world: World, provided: Any) -> None:
    declare_price, endpoint = provided
    told = plan(world)
    assert (told["tokens"]["value"], told["cost"]["value"]) == (300, None)
    assert "providers.loop.price_per_million_tokens is not declared" in told["cost"]["source"]
    declare_price(2.0)
    assert plan(world)["cost"]["value"] == pytest.approx(300 * 2.0 / 1e6)
    asked = [text for _, body in endpoint.asked for text in body["input"] if text != "dimension"]
    assert len(asked) <= 2 * 32
    declare_price(0)
    assert plan(world)["cost"]["value"] == 0


def test_tokens_that_a_model_does_not_tell_are_not_guessed(world: World, provided: Any) -> None:
    declare_price, endpoint = provided
    declare_price(2.0)
    endpoint.counts_tokens = False
    told = plan(world)
    assert (told["tokens"]["value"], told["cost"]["value"]) == (None, None)
    assert told["tokens"]["source"] == "loop:words-64 does not say its tokens"
    assert told["texts"]["value"] == 50


def test_a_model_that_does_not_answer_leaves_the_plan_without_figures(
    world: World, provided: Any
) -> None:
    _, endpoint = provided
    endpoint.close()
    told = plan(world)
    assert told["way"] is None
    assert told["why"].startswith("not known: embedding model loop:words-64")
    assert told["records"]["value"] is None


# --- time, and what it took -----------------------------------------------------------------------


def test_before_the_first_deployment_only_embedding_is_measured(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(50)))
    told = plan(world)["seconds"]
    assert told["value"] is not None
    assert "embedding alone, measured with 16 texts" in told["source"]


def deploy_in(world: World, seconds: float) -> str:
    """A deployment whose filling takes so long by the clock."""
    deployment = world.deploy("docs")
    world.run(until=world.at(deployment, "populate"))
    world.run(until=lambda: world.step(deployment, "populate")["started_at"] is not None)
    world.clock.move(seconds)
    world.run()
    assert world.status(deployment)["status"] == "live", world.status(deployment)["message"]
    return deployment


def test_the_paces_of_earlier_deployments_say_how_long_the_next_one_takes(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(50)))
    deploy_in(world, 50)
    world.write("docs.jsonl", texts(100, about="threads"))
    alone = plan(world)["seconds"]
    assert alone["source"].startswith("at the pace of the last deployment")
    assert (95 < alone["value"] < 130, alone["high"]) == (True, None)
    deploy_in(world, 200)
    world.write("docs.jsonl", texts(200, about="locks"))
    told = plan(world)["seconds"]
    assert 190 < told["low"] <= told["value"] <= told["high"] < 450


def test_a_deployment_is_compared_with_what_was_expected_of_it(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(50)))
    assert plan(world)["errors"]["plans"] == []
    first = deploy_in(world, 50)
    world.write("docs.jsonl", changed_of(texts(50), 2))
    second = deploy_in(world, 30)
    told = plan(world)["errors"]
    assert [one["deployment_id"] for one in told["plans"]] == [second, first]
    latest = told["plans"][0]
    assert latest["records"] == {"planned": 50, "took": 50, "error": 0, "within": True}
    assert latest["texts"] == {"planned": 25, "took": 25, "error": 0, "within": True}
    assert latest["seconds"]["planned"] > 0
    assert told["plans"][1]["seconds"]["planned"] is None
    assert (told["records"], told["texts"]) == (0, 0)


def test_the_last_ten_plans_are_shown(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(20)), soak={"seconds": 0})
    made = []
    for _ in range(11):
        world.clock.move(1)
        made.append(deploy(world))
    told = plan(world)["errors"]["plans"]
    assert [one["deployment_id"] for one in told] == made[:0:-1]


def test_a_deployment_that_was_rolled_back_after_it_was_filled_is_compared_too(
    world: World,
) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(20)))
    deployment = world.deploy("docs")
    world.run(until=world.at(deployment, "validate"))
    commands.request_action(world.services, deployment, Event.ABORT, actor="anna")
    world.run()
    assert world.status(deployment)["status"] == "rolled_back"
    [one] = plan(world)["errors"]["plans"]
    assert (one["deployment_id"], one["texts"]["took"]) == (deployment, 20)


def test_an_estimate_that_fails_does_not_fail_the_deployment(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(20)))
    deploy(world)
    world.write("docs.jsonl", changed_of(texts(20), 2))

    class Forgetful(Failing):
        """Answers the first look at the live points with an error."""

        failed = False

        def fetch(self, collection: str, ids: Any, *, vectors: bool) -> Any:
            if vectors and not self.failed:
                self.failed = True
                raise Unavailable("no answer")
            return self._store.fetch(collection, ids, vectors=vectors)

    store = Forgetful(world.store)  # type: ignore[arg-type]
    world.over(store)  # type: ignore[arg-type]
    deployment = deploy(world)
    assert store.failed
    assert not any("retry" in one["event"] for one in world.status(deployment)["events"])
    with world.services.sessions() as session:
        assert session.get(PlanRow, deployment) is None
