"""What a plan says of a deployment before it is started, that it changes nothing, and how it is
compared with what the deployment took."""

import gzip
import json
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from rich.console import Console
from sqlalchemy import create_engine, select, text, update

from qdrant_rollouts.adapters.embeddings import open_embedder
from qdrant_rollouts.core.collections.makers import Maker
from qdrant_rollouts.core.collections.stamps import MadeBy
from qdrant_rollouts.core.config.index_file import EmbeddingSpec, ProviderSpec
from qdrant_rollouts.core.database.models import Base, StepRow
from qdrant_rollouts.core.database.plan_rows import PlanRow
from qdrant_rollouts.core.database.slice_rows import SliceRow
from qdrant_rollouts.core.database.step_data import FORM
from qdrant_rollouts.core.deployments import commands, engine
from qdrant_rollouts.core.deployments.commands import plan_figures
from qdrant_rollouts.core.deployments.commands.plan_figures import Outlook
from qdrant_rollouts.core.deployments.commands.planning import plan_deployment
from qdrant_rollouts.core.deployments.steps.estimates import Work
from qdrant_rollouts.core.deployments.steps.source_sample import OF_PLANS, Bounds, read_sample
from qdrant_rollouts.core.errors import (
    Interrupted,
    LeaseLost,
    Limited,
    Refused,
    Unavailable,
    Unknown,
)
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.ports import Room, WrappedSource
from qdrant_rollouts.core.statistics.extrapolation import exactly
from qdrant_rollouts.core.statistics.intervals import Interval
from qdrant_rollouts.interfaces.cli.outlook import render_plan
from tests.contract.test_engine import Failing
from tests.endpoint import Endpoint
from tests.roster import BULK, CONTROL, says
from tests.world import EMBEDDING, World, texts


def plan(world: World, alias: str = "docs", *, seed: int = 7, **asked: Any) -> dict[str, Any]:
    return dict(plan_deployment(world.services, alias, draw=random.Random(seed), **asked))


def printed(told: dict[str, Any]) -> str:
    console = Console(width=300)
    with console.capture() as capture:
        console.print(render_plan(told))  # type: ignore[arg-type]
    return capture.get()


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
    assert told["sample"] == {
        "records": 120,
        "complete": True,
        "spread": True,
        "bad": 0,
        "first_bad": "",
    }


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
    assert 480 < told["sample"]["records"] <= 500
    assert told["texts"]["low"] <= 20 <= told["texts"]["high"] < 100
    assert told["records"]["low"] <= 2_000 <= told["records"]["high"]


def _write_folder(world: World, records: list[dict[str, Any]]) -> str:
    folder = world.folder / "pages"
    folder.mkdir(exist_ok=True)
    for record in records:
        (folder / f"{record['id']:05}.md").write_text(f"{record['text']}\n", encoding="utf-8")
    return "dir:pages"


def _write_parquet(world: World, records: list[dict[str, Any]]) -> str:
    table = pa.Table.from_pylist(records)
    parquet.write_table(table, world.folder / "docs.parquet", row_group_size=50)
    return "parquet:docs.parquet"


def _write_database(world: World, records: list[dict[str, Any]]) -> str:
    """Its ids are texts."""
    engine = create_engine(f"sqlite:///{world.folder / 'shop.db'}")
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS items"))
        connection.execute(text("CREATE TABLE items (id TEXT, text TEXT)"))
        rows = [{"id": f"r{record['id']:05}", "text": record["text"]} for record in records]
        connection.execute(text("INSERT INTO items VALUES (:id, :text)"), rows)
    engine.dispose()
    return "sql:SHOP_URL:SELECT id, text FROM items"


WRITERS: dict[str, Callable[[World, list[dict[str, Any]]], str]] = {
    "jsonl": lambda world, records: world.write("docs.jsonl", records),
    "dir": _write_folder,
    "parquet": _write_parquet,
    "sql": _write_database,
}


def _change_late(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        record if record["id"] < 600 else {**record, "text": f"new {record['text']}"}
        for record in records
    ]


@pytest.mark.parametrize("kind", WRITERS)
def test_a_change_at_the_end_of_a_large_source_is_seen(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("SHOP_URL", f"sqlite:///{world.folder / 'shop.db'}")
    records = texts(1_000)
    world.declare("docs", source=WRITERS[kind](world, records), soak={"seconds": 0})
    deploy(world)
    WRITERS[kind](world, _change_late(records))
    told = plan(world)
    assert (told["sample"]["complete"], told["sample"]["spread"]) == (False, True)
    assert told["texts"]["low"] <= 400 <= told["texts"]["high"]


def test_the_points_of_a_collection_are_counted(world: World) -> None:
    for alias in ("docs", "other"):
        world.declare(alias, source=world.write("docs.jsonl", texts(1_000)), soak={"seconds": 0})
        deploy(world, alias)
    source = f"collection:{world.store.aliases()['other']}"
    world.declare(
        "docs", source=source, collection={"distance": "Dot"}, writes="none", id_field=None
    )
    told = plan(world)
    assert told["sample"]["complete"] is False
    assert (told["records"]["value"], told["records"]["source"]) == (1_000, "counted")


def test_chunks_are_counted_though_a_place_ends_inside_a_document(world: World) -> None:
    words = " ".join(f"word{number}" for number in range(300))
    records = [{"id": number, "text": f"{number} {words}"} for number in range(200)]
    world.declare(
        "docs",
        source=world.write("docs.jsonl", records),
        embedding={**EMBEDDING, "chunk": {"max_tokens": 20}},
    )
    told = [plan(world, seed=seed)["records"] for seed in range(5)]
    deploy(world)
    number = world.store.count(world.store.aliases()["docs"])
    assert number > 2_000
    for one in told:
        assert one["low"] <= number <= one["high"]
        assert one["value"] == pytest.approx(number, rel=0.1)


def test_where_nothing_is_live_every_record_is_embedded(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(2_000)))
    told = plan(world)
    assert told["texts"] | {"source": ""} == told["records"] | {"source": ""}
    assert told["why"].endswith("because nothing is live")


def test_what_was_appended_to_a_large_source_is_read_like_the_rest(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(2_000)), soak={"seconds": 0})
    deploy(world)
    world.write("docs.jsonl", texts(2_040))
    found = [plan(world, seed=seed)["texts"] for seed in range(12)]
    assert any(one["value"] > 0 for one in found)
    assert sum(one["low"] <= 40 <= one["high"] for one in found) >= 11


def test_a_source_of_long_documents_is_sampled_without_being_read_whole(world: World) -> None:
    long = "long " * 100_000
    records = [{"id": number, "text": f"{number} {long}"} for number in range(40)]
    source = world.services.source(world.write("docs.jsonl", records))
    sample = read_sample(source, OF_PLANS, random.Random(7))
    assert sum(len(row.fields["text"]) for row in sample.rows) < 8_000_000 + 2 * len(long)
    assert (sample.spread, sample.complete) == (True, False)
    assert sample.records is not None
    assert sample.records.value == pytest.approx(40, rel=0.01)


def test_a_source_that_was_slow_is_not_asked_for_places_all_over_it(world: World) -> None:
    """Such as a query that the database has to sort for each of them."""

    class Slow(WrappedSource):
        asked = 0

        def read(self, cursor: Any) -> Any:
            for row in self._source.read(cursor):
                time.sleep(0.02)
                yield row

        def list_places(self, fractions: Sequence[float]) -> Sequence[Any]:
            self.asked += 1
            return ()

    slow = Slow(world.services.source(world.write("docs.jsonl", texts(1_000))))
    sample = read_sample(slow, Bounds(500, 0.01), random.Random(7))
    assert (len(sample.rows), slow.asked) == (1, 0)


def test_a_sample_that_a_rate_limit_ended_is_not_the_whole_source(world: World) -> None:
    class Limiting(WrappedSource):
        def read(self, cursor: Any) -> Any:
            yield from islice(self._source.read(cursor), 10)
            raise Limited("no more reads for now")

    source = Limiting(world.services.source(world.write("docs.jsonl", texts(100))))
    sample = read_sample(source, OF_PLANS, random.Random(7))
    assert (len(sample.rows), sample.complete) == (10, False)


def test_records_that_all_take_as_much_are_still_not_counted(world: World) -> None:
    records = [{"id": f"r{number:05}", "text": f"text {number:05}"} for number in range(1_000)]
    world.declare("docs", source=world.write("docs.jsonl", records))
    told = plan(world)["records"]
    assert (told["low"], told["value"], told["high"]) == pytest.approx((1_000,) * 3, rel=1e-6)
    assert told["source"].startswith("by the size of ")


# --- what a sample cannot know --------------------------------------------------------------------


@pytest.mark.parametrize(("number", "value"), [(900, None), (90, 90)])
def test_a_compressed_file_says_how_many_records_it_has_only_at_its_end(
    world: World, number: int, value: int | None
) -> None:
    world.declare("docs", source=_pack(world, texts(number)))
    told = plan(world)
    assert (told["sample"]["records"], told["sample"]["complete"]) == (
        min(number, 500),
        bool(value),
    )
    assert (told["records"]["value"], told["texts"]["value"]) == (value, value)
    if value is None:
        words = "a compressed file does not say how many records it has"
        assert told["records"]["source"] == words


def _pack(world: World, records: list[dict[str, Any]]) -> str:
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (world.folder / "docs.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    return "jsonl:docs.jsonl.gz"


def write_table(world: World, records: list[dict[str, Any]]) -> str:
    lines = ["id,text", *(f"{record['id']:05},{record['text']}" for record in records)]
    (world.folder / "docs.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return "csv:docs.csv"


def test_the_first_records_of_a_source_say_nothing_of_the_rest(world: World) -> None:
    records = texts(1_000)
    world.declare("docs", source=write_table(world, records))
    deploy_in(world, 50)
    late = [{**one, "text": f"new {one['text']}"} if one["id"] >= 500 else one for one in records]
    write_table(world, late)
    told = plan(world)
    assert told["sample"] | {"bad": 0} == {
        "records": 500,
        "complete": False,
        "spread": False,
        "bad": 0,
        "first_bad": "",
    }
    assert (told["records"]["low"], told["records"]["high"]) == (500, None)
    assert told["records"]["source"] == "by the size of the first 500 records"
    for name in ("texts", "tokens"):
        assert (told[name]["value"], told[name]["low"]) == (0, 0)
    assert told["texts"]["source"] == "of the first 500 records, texts to embed: 0"
    assert [told[name]["high"] for name in ("texts", "tokens", "seconds")] == [None] * 3
    assert told["disk"]["needed"]["high"] is None
    assert ", at least 500 (by the size of the first 500 records)" in printed(told)


def test_too_little_room_is_said_only_of_what_is_surely_needed(world: World) -> None:
    world.declare("docs", source=write_table(world, texts(1_000)))
    needed = plan(world)["disk"]["needed"]

    class Small(Failing):
        free = 0.0

        def room(self) -> Room:
            return Room(disk=int(self.free))

    store = Small(world.store)  # type: ignore[arg-type]
    world.over(store)  # type: ignore[arg-type]
    store.free = (needed["low"] + needed["value"]) / 2
    assert plan(world)["warnings"] == []
    store.free = needed["low"] * 0.9
    [warning] = plan(world)["warnings"]
    assert "for 500 points" in warning


def test_where_no_text_of_the_sample_is_missing_the_others_are_not_free(
    world: World, provided: Any
) -> None:
    declare_price, _ = provided
    declare_price(2.0)
    world.write("docs.jsonl", texts(1_000))
    deploy(world)
    told = plan(world)
    assert (told["texts"]["value"], told["tokens"]["value"], told["cost"]["value"]) == (0, 0, 0)
    assert told["texts"]["high"] > 0
    assert told["tokens"]["high"] == pytest.approx(6 * told["texts"]["high"], rel=0.01)
    assert told["cost"]["high"] == pytest.approx(told["tokens"]["high"] * 2.0 / 1e6)
    assert told["tokens"]["source"] == "texts in which they were counted: 16"


def test_where_no_sampled_record_has_a_text_nothing_is_said_of_those_of_others(
    world: World,
) -> None:
    embedding = EmbeddingSpec.model_validate(EMBEDDING)
    embedder = open_embedder(embedding)
    maker = Maker(MadeBy(embedder.identity, embedding=embedding), embedder)
    nothing: dict[str, list[str]] = {"": []}
    work = Work(exactly(1_000), {"": Interval(0, 0, 50)}, examples=nothing, others=nothing)
    outlook = Outlook(makers={"": maker}, work=work)
    told, by_vector = plan_figures.estimate_tokens(world.services, outlook)
    assert (told["value"], by_vector) == (None, {})
    assert told["source"].startswith("no sampled record has a text to embed")


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


def test_more_bad_records_than_may_be_left_out_are_said_to_end_the_deployment(
    world: World,
) -> None:
    records = [*texts(40), *({"id": number} for number in range(100, 103))]
    world.declare(
        "docs",
        source=world.write("docs.jsonl", records),
        on_bad_record="skip",
        max_bad_records=1,
    )
    [warning] = plan(world)["warnings"]
    assert "would end there, because the source has about 3 and at least 3" in warning
    assert "max_bad_records is 1" in warning
    [warning] = plan(world, options={"max_bad_records": 3})["warnings"]
    assert "they are left out (on_bad_record: skip)" in warning


def test_a_bad_record_in_a_sample_warns_of_those_that_were_not_read(world: World) -> None:
    records = [{"id": one["id"]} if one["id"] % 5 == 0 else one for one in texts(2_000)]
    source = world.write("docs.jsonl", records)
    world.declare("docs", source=source, on_bad_record="skip", max_bad_records=100)
    [warning] = plan(world)["warnings"]
    assert "would end there, because the source has about" in warning


def test_a_record_with_the_id_of_an_earlier_one_is_a_bad_record(world: World) -> None:
    records = [*texts(20), {"id": 3, "text": "another"}]
    world.declare("docs", source=world.write("docs.jsonl", records))
    told = plan(world)
    assert (told["texts"]["value"], told["sample"]["bad"]) == (20, 1)
    assert "docs.jsonl:21: id: 3 is not unique, " in told["warnings"][0]


def test_a_source_that_cannot_be_cut_has_one_slice_whatever_is_declared(world: World) -> None:
    for source in (write_table(world, texts(60)), _pack(world, texts(60))):
        world.declare("docs", source=source, populate={"parallel": 8})
        assert plan(world)["slices"] == 1


def test_a_plan_says_by_how_many_slices_the_source_would_be_filled(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(50)), populate={"parallel": 3})
    told = plan(world)
    assert told["slices"] == 3
    assert "at most 3 at once, each by a worker" in printed(told)
    deployment = deploy(world)
    with world.services.sessions() as session:
        mine = SliceRow.deployment_id == deployment
        assert len(session.scalars(select(SliceRow).where(mine)).all()) == told["slices"]
    world.declare("docs", source="live", populate={"parallel": 3})
    assert (plan(world)["way"], plan(world)["slices"]) == ("copy", 1)
    world.declare("docs", source=world.write("docs.jsonl", texts(50)))
    told = plan(world)
    assert told["slices"] == 1
    assert "slices" not in printed(told)


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


def test_a_function_that_fails_later_is_named_with_the_place_and_without_its_message(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(world.folder)
    (world.folder / "failing_records.py").write_text(
        "def read():\n"
        "    yield {'id': 1, 'text': 'text about asyncio'}\n"
        "    raise ValueError('hunter2 is no number')\n"
    )
    world.declare("docs", source="python:failing_records:read")
    with pytest.raises(Refused) as refused:
        plan(world)
    assert str(refused.value) == (
        "python:failing_records:read failed while a sample was read: "
        "ValueError at failing_records.py:3"
    )


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
    """It asks for more patience than a turn has. One that is away is unavailable, too, but only
    after all tries."""
    _, endpoint = provided
    endpoint.answers.extend([(503, {"Retry-After": "120"}, "")] * 10)
    told = plan(world)
    assert told["way"] is None
    assert told["why"].startswith("not known: embedding model loop:words-64")
    assert told["records"]["value"] is None


# --- time, and what it took -----------------------------------------------------------------------


def test_before_the_first_deployment_only_embedding_is_measured(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(50)))
    told = plan(world)["seconds"]
    assert told["value"] is not None
    assert "embedding alone, measured with 12 texts" in told["source"]


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
    assert (75 < alone["value"] < 130, alone["high"]) == (True, None)
    deploy_in(world, 200)
    world.write("docs.jsonl", texts(200, about="locks"))
    told = plan(world)["seconds"]
    assert 100 < told["low"] <= told["value"] <= told["high"] < 450


def test_the_paces_are_those_of_the_way_however_often_another_was_taken_since(
    world: World,
) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(50)), soak={"seconds": 0})
    deploy_in(world, 50)
    world.declare("docs", source="live", soak={"seconds": 0})
    for _ in range(6):
        world.clock.move(1)
        assert world.step(deploy(world), "populate")["output"]["way"] == "copy"
    world.declare("docs", source=world.write("docs.jsonl", texts(50, about="threads")))
    told = plan(world)["seconds"]
    assert told["source"].startswith("at the pace of the last deployment")


def test_what_a_newer_release_has_written_stands_in_the_way_of_no_plan(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(20)))
    newer = deploy(world)
    with world.services.sessions.begin() as session:
        mine = StepRow.deployment_id == newer, StepRow.name == "populate"
        output = {"form": FORM + 1, "of_another_release": True}
        session.execute(update(StepRow).where(*mine).values(output=output))
    told = plan(world)
    assert (told["texts"]["value"], told["errors"]["plans"]) == (0, [])
    latest = deploy(world)
    assert [one["deployment_id"] for one in plan(world)["errors"]["plans"]] == [latest]


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


class CutShort(Failing):
    """The first look at the live points ends the turn."""

    def __init__(self, world: World, error: type[Exception]) -> None:
        super().__init__(world.store)  # type: ignore[arg-type]
        self.world = world
        self.raised = error
        self.deployment = ""
        self.saved: list[str | None] = []

    def fetch(self, collection: str, ids: Any, *, vectors: bool) -> Any:
        if vectors and not self.saved:
            mine = StepRow.deployment_id == self.deployment, StepRow.name == "populate"
            with self.world.services.sessions() as session:
                state = session.scalars(select(StepRow.state).where(*mine)).one()
            self.saved.append(state.get("way"))
            raise self.raised("in the middle")
        return self._store.fetch(collection, ids, vectors=vectors)


@pytest.mark.parametrize("error", [Interrupted, LeaseLost])
def test_a_turn_that_ends_within_the_estimate_is_not_repeated(
    world: World, error: type[Exception]
) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(20)))
    deploy(world)
    world.write("docs.jsonl", changed_of(texts(20), 2))
    store = CutShort(world, error)
    world.over(store)  # type: ignore[arg-type]
    store.deployment = deployment = world.deploy("docs")
    for _ in range(2):  # whoever finds the turn overdue knocks for it again
        with suppress(LeaseLost):
            world.run()
        world.clock.move(world.services.times.lease + 1)
        engine.knock_overdue_turns(world.services)
    world.run()
    assert world.status(deployment)["status"] == "live", world.status(deployment)["message"]
    assert store.saved == ["records"]
    with world.services.sessions() as session:
        assert session.get(PlanRow, deployment) is None
