"""Records that applications write over HTTP, on a real Qdrant, while an index is rebuilt."""

import json
import shlex
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from qdrant_rollouts.adapters.celery_returns import GiveBack
from qdrant_rollouts.adapters.embeddings import open_embedder
from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.collections import freezing
from qdrant_rollouts.core.collections.records import MARK_KEY
from qdrant_rollouts.core.collections.stamps import MadeBy, Stamp
from qdrant_rollouts.core.config.index_file import EmbeddingSpec
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.database.journal_rows import JournalRow
from qdrant_rollouts.core.errors import Malformed, Unavailable
from qdrant_rollouts.core.journal import rebuilding
from qdrant_rollouts.core.ports import Point
from qdrant_rollouts.core.ports.naming import point_id
from qdrant_rollouts.interfaces.access import tokens
from qdrant_rollouts.interfaces.http.api import PREFIX
from qdrant_rollouts.interfaces.http.app import make_app
from qdrant_rollouts.interfaces.http.problems import TYPE
from qdrant_rollouts.tasks.commands import COMMANDS
from tests.documented import Documented
from tests.journaled import ALIAS, OurTurn, PlainPoints, Rebuild, open_services, until
from tests.world import EMBEDDING, World, texts

DOCUMENTED = Documented()
PATH = f"/indexes/{ALIAS}/records"
#: The model of the next version.
OTHER = {"model": "hashing:32", "text": "{text}"}
#: So few short texts are too much alike for the small model.
LOOSE = {"min_top_score": -1.0, "checks": {"self_retrieval": False}}


class Api:
    """An application that knows nothing but the address of the API."""

    def __init__(self, world: World) -> None:
        self.app = make_app(world.services, Settings())
        self.client = TestClient(
            self.app,
            base_url="http://localhost:8600",
            client=("127.0.0.1", 5),
            raise_server_exceptions=False,
        )

    def ask(self, method: str, body: Any, path: str = PATH, **headers: str) -> Any:
        return self.client.request(method, PREFIX + path, json=body, headers=headers)

    def write(self, method: str, body: Any, path: str = PATH) -> dict[str, Any]:
        answer = self.ask(method, body, path)
        assert answer.status_code == 200, answer.text
        DOCUMENTED.hold(method, path, answer.json())
        return dict(answer.json())

    def upsert(self, *records: dict[str, Any]) -> dict[str, Any]:
        return self.write("POST", {"records": records})

    def patch(self, *records: dict[str, Any]) -> dict[str, Any]:
        return self.write("PATCH", {"records": records})

    def delete(self, *ids: int | str) -> dict[str, Any]:
        return self.write("DELETE", {"ids": ids})


def declare(world: World, **settings: Any) -> None:
    world.declare(ALIAS, soak={"seconds": 1, "interval_seconds": 1}, validation=LOOSE, **settings)


@pytest.fixture
def world(
    tmp_path: Path, qdrant_url: str, qdrant_grpc_port: int, ready_sqlite_url: str
) -> Iterator[World]:
    made = World(tmp_path, ready_sqlite_url, ServerStore(qdrant_url, "", qdrant_grpc_port))
    made.change_services(times=replace(made.services.times, ready_look=0.1))
    yield made
    made.close()


def deploy(world: World, **settings: Any) -> str:
    """Returns the collection that serves."""
    declare(world, **settings)
    deployment = world.deploy(ALIAS)
    world.run()
    status = world.status(deployment)
    assert status["status"] == "live", status["message"]
    return str(status["green"])


@pytest.fixture
def live(world: World) -> str:
    return deploy(world, source=world.write("docs.jsonl", texts(12)))


@pytest.fixture
def api(world: World) -> Iterator[Api]:
    made = Api(world)
    with made.client:
        yield made


def fetch(world: World, collection: str, *ids: int | str) -> dict[Any, Point]:
    found = world.store.fetch(collection, [point_id(one) for one in ids], vectors=True)
    return {point.id: point for point in found}


def vector(text: str, embedding: dict[str, Any] = EMBEDDING) -> list[float]:
    [made] = open_embedder(EmbeddingSpec.model_validate(embedding)).documents([text])
    return pytest.approx([float(number) for number in made], abs=1e-5)


def problem(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix(TYPE)


# --- what is written ------------------------------------------------------------------------------


def test_a_record_is_written_with_a_vector_of_the_model_that_serves(
    world: World, live: str, api: Api
) -> None:
    answer = api.upsert({"id": 3, "text": "new words", "tags": ["a"]}, {"id": "k-7", "text": "b"})

    assert answer == {"alias": ALIAS, "written": 2, "deleted": 0, "not_found": []}
    found = fetch(world, live, 3, "k-7")
    assert found[3].payload == {"id": 3, "text": "new words", "tags": ["a"]}
    assert list(found[3].vector) == vector("new words")
    assert list(found[point_id("k-7")].vector) == vector("b")
    assert world.store.count(live) == 13


def test_it_has_no_mark_so_that_no_older_value_is_ever_written_over_it(
    world: World, live: str, api: Api
) -> None:
    before = fetch(world, live, 1, 2)
    assert all(MARK_KEY in point.payload for point in before.values())

    api.upsert({**before[1].payload, "text": "read from a search and written back"})
    api.patch({"id": 2, "colour": "red"})

    after = fetch(world, live, 1, 2)
    assert [MARK_KEY in after[id].payload for id in (1, 2)] == [False, False]


def test_a_patch_changes_only_the_fields_that_it_names(world: World, live: str, api: Api) -> None:
    api.upsert({"id": 1, "text": "first words", "a": 1, "b": 2})
    before = fetch(world, live, 1)[1]

    answer = api.patch({"id": 1, "a": {"x": 1}, "b": None}, {"id": 99, "a": 1})

    assert answer == {"alias": ALIAS, "written": 1, "deleted": 0, "not_found": [99]}
    found = fetch(world, live, 1, 99)
    assert found.keys() == {1}
    assert found[1].payload == {"id": 1, "text": "first words", "a": {"x": 1}}
    assert list(found[1].vector) == list(before.vector)


def test_a_patch_of_a_text_makes_its_vector_again(world: World, live: str, api: Api) -> None:
    api.patch({"id": 1, "text": "other words"})

    found = fetch(world, live, 1)[1]
    assert found.payload == {"id": 1, "text": "other words"}
    assert list(found.vector) == vector("other words")


def test_deleted_ids_are_those_of_the_source(world: World, live: str, api: Api) -> None:
    api.upsert({"id": "https://example.com/a", "text": "a"})

    answer = api.delete("https://example.com/a", 5, "https://example.com/b", 77)

    expected = {"written": 0, "deleted": 2, "not_found": ["https://example.com/b", 77]}
    assert answer == {"alias": ALIAS, **expected}
    assert fetch(world, live, 5, "https://example.com/a") == {}
    assert world.store.count(live) == 11


def test_what_was_done_can_be_repeated(world: World, live: str, api: Api) -> None:
    for _ in range(2):
        assert api.upsert({"id": 1, "text": "again"})["written"] == 1
        assert api.patch({"id": 1, "text": "and again"})["written"] == 1
    assert [api.delete(1)["deleted"] for _ in range(2)] == [1, 0]


def test_the_embedded_default_takes_records_too(tmp_path: Path, ready_sqlite_url: str) -> None:
    world = World(tmp_path, ready_sqlite_url)
    with closing(world):
        collection = deploy(world, source=world.write("docs.jsonl", texts(12)))
        api = Api(world)
        with api.client:
            api.upsert({"id": 50, "text": "embedded words", "a": 1})
            api.patch({"id": 50, "text": "changed words", "a": None}, {"id": 51, "a": 1})
            api.delete(1)
        found = fetch(world, collection, 1, 50, 51)
        assert found[50].payload == {"id": 50, "text": "changed words"}
        assert list(found[50].vector) == vector("changed words")
        assert found.keys() == {50}


def test_an_index_without_a_model_takes_given_vectors(world: World, api: Api) -> None:
    rows = [{**row, "vector": [float(row["id"]), 1.0, 0.5]} for row in texts(12)]
    settings = {"embedding": None, "vectors": {}, "collection": {"distance": "Dot"}}
    collection = deploy(world, source=world.write("docs.jsonl", rows), **settings)

    api.upsert({"id": 1, "vector": [1.0, 2.0, 3.0], "a": 1})
    api.patch({"id": 1, "a": 2}, {"id": 2, "vector": [3.0, 2.0, 1.0]})

    found = fetch(world, collection, 1, 2)
    assert found[1].payload == {"id": 1, "a": 2}
    assert list(found[1].vector) == [1.0, 2.0, 3.0]
    assert list(found[2].vector) == [3.0, 2.0, 1.0]
    answer = api.ask("POST", {"records": [{"id": 1, "a": 1}]})
    assert problem(answer) == (422, "malformed")
    assert "records[0]: vector: missing; expected a list of numbers" in answer.text


def test_vectors_of_every_kind_follow_the_rules_of_the_index(world: World, api: Api) -> None:
    """One is made, one must be brought, one stays as it is, and one may be missing."""
    vectors = {"image": "given", "words": "optional", "old": "carried"}
    sizes = {"size": 2, "distance": "Dot"}
    params = {
        "vectors": {"": {"size": 64, "distance": "Cosine"}, "image": sizes, "old": sizes},
        "sparse_vectors": {"words": {}},
    }
    spec = EmbeddingSpec.model_validate(EMBEDDING)
    made = MadeBy(open_embedder(spec).identity, embedding=spec)
    stamp = Stamp("d", ALIAS, 1, vectors={"": made.as_metadata()})
    world.store.create("kinds", {"params": params}, stamp.as_metadata())
    world.store.point_alias(ALIAS, "kinds")
    words = {"indices": [3], "values": [1.0]}
    brought = {"image": [1.0, 2.0], "words": words, "old": [5.0, 6.0]}
    declare(world, vectors=vectors)

    api.upsert({"id": 1, "text": "x", "vector": brought})
    api.upsert({"id": 1, "text": "x", "a": 1, "vector": {"image": [3.0, 4.0]}})
    api.patch({"id": 1, "text": "y"})

    found = fetch(world, "kinds", 1)[1]
    assert {name: list(found.vector[name]) for name in ("", "image", "old")} == {
        "": vector("y"),
        "image": [3.0, 4.0],
        "old": [5.0, 6.0],
    }
    assert found.vector.keys() == {"", "image", "old"}
    answer = api.ask("POST", {"records": [{"id": 2, "text": "x"}]})
    assert "records[0]: vector.image: missing" in answer.text
    answer = api.ask("POST", {"records": [{"id": 2, "text": "x", "vector": {"image": [1, 2]}}]})
    assert problem(answer) == (409, "refused")
    assert "vector old of 2 is carried over" in answer.text


def test_a_vector_that_the_server_makes_is_made_for_records_too(world: World, api: Api) -> None:
    made = {"d": EMBEDDING, "words": {"server": "qdrant/bm25", "text": "{text}"}}
    collection = deploy(
        world, source=world.write("docs.jsonl", texts(12)), embedding=None, vectors=made
    )

    api.upsert({"id": 50, "text": "alpha beta"}, {"id": 51, "text": "gamma"})
    before = fetch(world, collection, 50, 51)
    api.patch({"id": 51, "text": "alpha beta"})

    after = fetch(world, collection, 51)[51].vector
    assert len(before[50].vector["words"]["indices"]) == 2
    assert len(before[51].vector["words"]["indices"]) == 1
    assert set(after["words"]["indices"]) == set(before[50].vector["words"]["indices"])
    assert list(after["d"]) == vector("alpha beta")


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "body", "words"),
    [
        ("POST", {}, "request: records: missing"),
        ("POST", {"records": []}, "request: records: found []"),
        ("POST", {"records": [5]}, "request: records.0: found 5"),
        ("POST", {"records": [{"id": 1, "text": "x"}] * 257}, "at most 256 items"),
        ("POST", {"records": [{"text": "x"}]}, "records[0]: id: missing"),
        ("POST", {"records": [{"id": True, "text": "x"}]}, "records[0]: id: is True; expected"),
        (
            "POST",
            {"records": [{"id": 50, "text": "x"}, {"id": 51}]},
            "nothing was written: 1 of 2 records do not fit the index",
        ),
        ("POST", {"records": [{"id": 50, "text": "x"}, {"id": 51}]}, "records[1]: text: missing"),
        ("POST", {"records": [{"id": 50, "text": "  "}]}, "records[0]: text: empty"),
        (
            "POST",
            {"records": [{"id": 50, "text": "x", "vector": [1.0]}]},
            "records[0]: vector: has 1 numbers; the collection's vectors have 64",
        ),
        (
            "POST",
            {"records": [{"id": 50, "text": "x"}, {"id": 50, "text": "y"}]},
            "records[1]: id: is that of records[0] too",
        ),
        (
            "POST",
            {"records": [{"id": 50, "text": "x", MARK_KEY: "mine"}]},
            f"records[0]: {MARK_KEY}: is a payload key of this program",
        ),
        ("POST", {"records": [{"id": 2**70, "text": "x"}]}, "beyond 64 bits"),
        ("PATCH", {"records": [{"id": 1, "text": None}]}, "records[0]: text: leaves no text"),
        ("PATCH", {"records": [{"id": 1, "text": " "}]}, "records[0]: text: leaves no text"),
        ("PATCH", {"records": [{"text": "x"}]}, "records[0]: id: missing"),
        ("PATCH", {"records": [{"id": 1, "vector": [1.0]}]}, "have 64"),
        ("DELETE", {"ids": []}, "request: ids: found []"),
        ("DELETE", {"ids": list(range(1001))}, "at most 1000 items"),
        ("DELETE", {"ids": [1, ""]}, "ids[1]: id: is ''; expected a non-empty string"),
        ("DELETE", {"ids": [True]}, "request: ids.0"),
        ("DELETE", {"records": [{"id": 1}]}, "request: records: unknown key"),
    ],
)
def test_a_bad_request_writes_nothing_and_says_what_is_wrong(
    world: World, live: str, api: Api, method: str, body: Any, words: str
) -> None:
    before = fetch(world, live, *range(60))

    answer = api.ask(method, body)

    assert problem(answer) == (422, "malformed")
    assert words in answer.json()["detail"]
    after = fetch(world, live, *range(60))
    assert {id: one.payload for id, one in after.items()} == {
        id: one.payload for id, one in before.items()
    }


def test_many_faults_are_named_up_to_ten(live: str, api: Api) -> None:
    answer = api.ask("POST", {"records": [{"id": one} for one in range(40)]})

    errors = answer.json()["errors"]
    assert "40 of 40 records" in errors[0]
    assert errors[1].startswith("records[0]: text: missing")
    assert (len(errors), errors[-1]) == (12, "… and 30 more")


def test_values_are_not_quoted_at_length(live: str, api: Api) -> None:
    answer = api.ask("POST", {"records": [{"id": 1, "text": "x", "vector": [1.0, "s" * 5000]}]})
    assert answer.status_code == 422
    assert len(answer.text) < 2000


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_an_index_that_is_not_known_has_no_records(world: World, api: Api, method: str) -> None:
    body = {"ids": [1]} if method == "DELETE" else {"records": [{"id": 1, "text": "x"}]}

    assert problem(api.ask(method, body, "/indexes/nobody/records")) == (404, "not-found")
    declare(world, source=world.write("docs.jsonl", texts(3)))
    answer = api.ask(method, body)
    assert problem(answer) == (409, "refused")
    assert f"`rollouts deploy {ALIAS}`" in answer.text


def test_a_collection_whose_model_nobody_wrote_down_takes_no_records(
    world: World, api: Api
) -> None:
    world.store.create("theirs", {"params": {"vectors": {"size": 64, "distance": "Cosine"}}}, {})
    world.store.point_alias(ALIAS, "theirs")
    body = {"records": [{"id": 1, "text": "x"}]}

    assert problem(api.ask("POST", body)) == (404, "not-found")
    declare(world, source=world.write("docs.jsonl", texts(3)))
    answer = api.ask("POST", body)
    assert problem(answer) == (409, "refused")
    assert f"`rollouts adopt {ALIAS}`" in answer.text


def test_an_index_of_chunks_takes_no_records_and_says_what_to_do(world: World, api: Api) -> None:
    deploy(
        world,
        source=world.write("docs.jsonl", texts(12)),
        embedding={**EMBEDDING, "chunk": {"max_tokens": 64}},
    )
    for method, body in (("POST", {"records": [{"id": 1, "text": "x"}]}), ("DELETE", {"ids": [1]})):
        answer = api.ask(method, body)
        assert problem(answer) == (409, "refused")
        assert "write it to the source and deploy the index" in answer.text


def test_a_model_that_is_another_by_now_writes_nothing(world: World, live: str, api: Api) -> None:
    def open_changed(spec: EmbeddingSpec) -> Any:
        class Changed:
            identity = "another revision"
            dimension = 64

        return Changed()

    world.change_services(embedder=open_changed)
    changed = Api(world)
    with changed.client:
        answer = changed.ask("POST", {"records": [{"id": 50, "text": "x"}]})
    assert problem(answer) == (409, "refused")
    assert "another revision: bring the model back" in answer.text
    assert fetch(world, live, 50) == {}


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_only_the_scope_write_writes(world: World, live: str, api: Api, method: str) -> None:
    body = {"ids": [1]} if method == "DELETE" else {"records": [{"id": 1, "text": "x"}]}

    def status(*scopes: str) -> int:
        made = tokens.create_token(world.services, "-".join(scopes), scopes, actor="anna")
        answer = api.ask(method, body, Authorization=f"Bearer {made['token']}")
        return int(answer.status_code)

    assert status("read", "search", "feedback", "deploy") == 403
    assert status("write") == 200
    assert status("admin") == 200


# --- what has to wait -----------------------------------------------------------------------------


def test_too_many_at_once_are_told_to_repeat(world: World, live: str, api: Api) -> None:
    admit = api.app.state.context.record_writes.admit
    held = [admit() for _ in range(8)]
    for one in held:
        one.__enter__()
    answer = api.ask("DELETE", {"ids": [1]})
    for one in held:
        one.__exit__(None, None, None)

    assert problem(answer) == (429, "too-many-writes")
    assert int(answer.headers["retry-after"]) >= 1
    assert api.delete(1)["deleted"] == 1


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("POST", {"records": [{"id": 1, "text": "x"}]}),
        ("PATCH", {"records": [{"id": 1, "a": 1}]}),
        ("PATCH", {"records": [{"id": 1, "text": "y"}]}),
        ("DELETE", {"ids": [1]}),
    ],
)
def test_a_frozen_collection_takes_writes_later(
    world: World, live: str, api: Api, method: str, body: Any
) -> None:
    freezing.freeze_collection(world.services, live, "d", 30)
    # One write a minute passes a freeze.
    answers = [api.ask(method, body) for _ in range(2)]
    freezing.lift_freeze(world.services, live, "d")

    assert problem(answers[-1]) == (429, "too-many-writes")
    assert int(answers[-1].headers["retry-after"]) >= 1
    api.write(method, body)


class Interrupted:
    """A store in which ``meets`` is called before or after a call of one method."""

    def __init__(
        self, store: Any, method: str, before: Callable[[], None], after: Callable[[], None]
    ) -> None:
        self._store = store
        self._method = method
        self._before = before
        self._after = after

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name != self._method:
            return found

        def call(*given: Any, **named: Any) -> Any:
            self._before()
            result = found(*given, **named)
            self._after()
            return result

        return call


def nothing() -> None:
    pass


def fail() -> None:
    raise Unavailable("Qdrant did not answer in time")


@pytest.mark.parametrize(("before", "after"), [(fail, nothing), (nothing, fail)])
def test_a_write_without_an_answer_must_be_repeated_and_says_so(
    world: World, live: str, before: Callable[[], None], after: Callable[[], None]
) -> None:
    world.over(Interrupted(world.store, "upsert", before, after))
    api = Api(world)
    with api.client:
        answer = api.ask("POST", {"records": [{"id": 1, "text": "x"}]})

    assert problem(answer) == (503, "outcome-unknown")
    assert "may or may not be applied; repeat it" in answer.json()["detail"]
    assert int(answer.headers["retry-after"]) >= 1


def test_a_server_that_is_away_before_anything_was_sent_is_unavailable(
    world: World, live: str
) -> None:
    world.over(Interrupted(world.store, "aliases", fail, nothing))
    api = Api(world)
    with api.client:
        answer = api.ask("POST", {"records": [{"id": 1, "text": "x"}]})

    assert problem(answer) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1


# --- somebody else writes at the same moment ------------------------------------------------------


def meanwhile(world: World, method: str, *acts: Callable[[], Any]) -> None:
    """Each call of the store's method is followed by one of the acts, as long as there are any."""
    left = list(acts)

    def act() -> None:
        if left:
            left.pop(0)()

    world.over(Interrupted(world.store, method, nothing, act))


def test_a_patch_brings_no_point_back_that_somebody_deletes_meanwhile(
    world: World, live: str
) -> None:
    store = world.store
    meanwhile(world, "fetch", lambda: store.delete(live, [1]))
    api = Api(world)
    with api.client:
        api.patch({"id": 1, "text": "changed"}, {"id": 2, "text": "changed too"})

    found = fetch(world, live, 1, 2)
    assert found.keys() == {2}
    assert list(found[2].vector) == vector("changed too")


def test_a_vector_is_of_the_whole_text_although_others_change_a_part_of_it_meanwhile(
    world: World,
) -> None:
    both = {"model": "hashing:64", "text": "{title} {text}"}
    rows = [{**row, "title": "a title"} for row in texts(12)]
    collection = deploy(world, source=world.write("docs.jsonl", rows), embedding=both)
    store = world.store
    other = Point(1, {}, {"title": "another title"})
    meanwhile(world, "fetch", lambda: store.patch_points(collection, [other]))
    api = Api(world)
    with api.client:
        api.patch({"id": 1, "text": "changed"})

    found = fetch(world, collection, 1)[1]
    assert list(found.vector) == vector("another title changed")


def test_a_record_written_after_the_switch_stays_although_a_late_write_came_to_the_old_collection(
    world: World, live: str, api: Api
) -> None:
    declare(
        world,
        source="live",
        embedding=OTHER,
        accept_new_model=True,
        writes={"fence_seconds": 20},
    )
    deployment = world.deploy(ALIAS)
    world.run(until=world.at(deployment, "soak"))
    green = world.store.aliases()[ALIAS]
    assert green != live

    api.upsert({"id": 1, "text": "written to what serves"}, {"id": 70, "text": "new there"})
    late = [Point(id, [1.0] * 64, {"id": id, "text": "late"}) for id in (1, 2)]
    world.store.upsert(live, late)
    world.run()

    status = world.status(deployment)
    assert status["status"] == "live", status["message"]
    found = {id: point.payload["text"] for id, point in fetch(world, green, 1, 2, 70).items()}
    assert found == {1: "written to what serves", 2: "late", 70: "new there"}


# --- another collection leads ---------------------------------------------------------------------


def create_other(world: World, blue: str) -> str:
    """An empty collection of the other model."""
    spec = EmbeddingSpec.model_validate(OTHER)
    made = MadeBy(open_embedder(spec).identity, embedding=spec)
    stamp = Stamp(
        deployment="d",
        alias=ALIAS,
        number=2,
        vector="",
        embedding=spec.model_dump(mode="json"),
        identity=made.identity,
        vectors={"": made.as_metadata()},
    )
    name = f"{blue}_next"
    params = {"vectors": {"size": 32, "distance": "Cosine"}}
    world.store.create(name, {"params": params}, stamp.as_metadata())
    return name


def test_an_alias_that_moves_while_vectors_are_made_gets_vectors_of_its_new_model(
    world: World, live: str
) -> None:
    green = create_other(world, live)
    open_before = world.services.embedder

    def open_moving(spec: EmbeddingSpec) -> Any:
        world.store.point_alias(ALIAS, green)
        return open_before(spec)

    world.change_services(embedder=open_moving)
    api = Api(world)
    with api.client:
        assert api.upsert({"id": 50, "text": "moving words"})["written"] == 1

    assert fetch(world, live, 50) == {}
    assert list(fetch(world, green, 50)[50].vector) == vector("moving words", OTHER)


@pytest.mark.parametrize("at", ["before", "after"])
def test_so_does_one_that_moves_at_the_very_moment_of_the_write(
    world: World, live: str, at: str
) -> None:
    green = create_other(world, live)

    def move() -> None:
        world.store.point_alias(ALIAS, green)

    world.over(
        Interrupted(
            world.store,
            "upsert",
            move if at == "before" else nothing,
            move if at == "after" else nothing,
        )
    )
    api = Api(world)
    with api.client:
        assert api.upsert({"id": 50, "text": "moving words"})["written"] == 1

    assert list(fetch(world, green, 50)[50].vector) == vector("moving words", OTHER)


class ModelChange(Rebuild):
    """The next version has another model, so its points are made from the texts."""

    @property
    def catcher(self) -> Any:
        return rebuilding.open_catcher(
            self.services, self.points, ALIAS, self.make, OurTurn(), self.bounds
        )

    def make(self, points: Any) -> list[Point]:
        embedder = open_embedder(EmbeddingSpec.model_validate(OTHER))
        made = embedder.documents([point.payload["text"] for point in points])
        return [
            Point(point.id, [float(number) for number in one], point.payload)
            for point, one in zip(points, made, strict=True)
        ]

    def backfill(self) -> None:
        found, _ = self.points.client.scroll(self.blue, limit=10_000, with_vectors=True)
        self.points.upsert(
            self.green, self.make([Point(one.id, {}, one.payload or {}) for one in found])
        )


@pytest.fixture
def rebuild(
    world: World, live: str, qdrant_url: str, ready_sqlite_url: str
) -> Iterator[ModelChange]:
    points = PlainPoints(qdrant_url)
    with closing(open_services(ready_sqlite_url)) as services, closing(points.client):
        yield ModelChange(services, points, live, create_other(world, live))


def ids_in_journal(rebuild: Rebuild) -> list[Any]:
    with rebuild.services.sessions() as session:
        rows = session.scalars(select(JournalRow).order_by(JournalRow.seq))
        return [one for row in rows for one in row.point_ids]


def test_while_a_rebuild_captures_every_write_has_its_row(
    world: World, api: Api, rebuild: ModelChange
) -> None:
    rebuild.capture()

    api.upsert({"id": 50, "text": "x"}, {"id": "k", "text": "y"})
    api.patch({"id": 1, "a": 1}, {"id": 99, "a": 1})
    api.delete(2)

    assert ids_in_journal(rebuild) == [50, point_id("k"), 1, 2]
    rebuild.backfill()
    rebuild.catch_up()
    found = fetch(world, rebuild.green, 1, 2, 50, "k")
    assert found.keys() == {1, 50, point_id("k")}
    assert found[1].payload["a"] == 1


def test_a_write_in_a_closed_fence_waits_and_goes_to_the_new_leader_with_its_vectors(
    world: World, api: Api, rebuild: ModelChange
) -> None:
    rebuild.capture()
    rebuild.backfill()
    rebuild.catch_up()
    until(lambda: rebuild.close_writes().decided)
    answers: list[dict[str, Any]] = []
    writing = threading.Thread(
        target=lambda: answers.append(api.upsert({"id": 50, "text": "words in the fence"}))
    )
    writing.start()
    time.sleep(0.5)
    assert (answers, fetch(world, rebuild.blue, 50)) == ([], {})

    rebuild.finish(rebuild.green)
    writing.join(30)

    assert [one["written"] for one in answers] == [1]
    assert fetch(world, rebuild.blue, 50) == {}
    found = fetch(world, rebuild.green, 50)[50]
    assert list(found.vector) == vector("words in the fence", OTHER)
    assert found.payload == {"id": 50, "text": "words in the fence"}


def test_a_fence_that_stays_closed_is_answered_with_unavailable(
    world: World, api: Api, rebuild: ModelChange
) -> None:
    rebuild.capture()
    rebuild.backfill()
    rebuild.catch_up()
    until(lambda: rebuild.close_writes().decided)

    answer = api.ask("POST", {"records": [{"id": 50, "text": "x"}]})

    assert problem(answer) == (503, "unavailable")
    assert "the write was not sent; repeat it" in answer.json()["detail"]
    assert int(answer.headers["retry-after"]) >= 1
    assert fetch(world, rebuild.blue, 50) == fetch(world, rebuild.green, 50) == {}
    rebuild.finish(rebuild.green)
    assert api.upsert({"id": 50, "text": "x"})["written"] == 1


class Application(threading.Thread):
    """Writes all the time, and remembers what it wrote. It repeats what it is told to repeat."""

    def __init__(self, api: Api, ids: range) -> None:
        super().__init__()
        self._api = api
        self._ids = ids
        self._enough = threading.Event()
        self.truth: dict[int, str | None] = {}
        self.faults: list[str] = []
        self.writes = 0

    def stop(self) -> None:
        self._enough.set()
        self.join(60)

    def run(self) -> None:
        while not self._enough.is_set():
            for id in self._ids:
                self._write(id)
                if self._enough.is_set():
                    return

    def _write(self, id: int) -> None:
        self.writes += 1
        text = f"version {self.writes} of {id} about python"
        known = self.truth.get(id)
        if self.writes % 7 == 0:
            self._repeat("DELETE", {"ids": [id]})
            self.truth[id] = None
        elif known is not None and self.writes % 3 == 0:
            self._repeat("PATCH", {"records": [{"id": id, "text": text}]})
            self.truth[id] = text
        else:
            self._repeat("POST", {"records": [{"id": id, "text": text}]})
            self.truth[id] = text

    def _repeat(self, method: str, body: Any) -> None:
        while True:
            answer = self._api.ask(method, body)
            if answer.status_code == 200:
                return
            if answer.status_code not in (429, 503) or "retry-after" not in answer.headers:
                self.faults.append(answer.text)
                return
            self._enough.wait(0.05)


def test_applications_write_through_a_change_of_the_model_and_never_learn_which_one_serves(
    world: World, api: Api, rebuild: ModelChange
) -> None:
    applications = [Application(api, range(1000 * n, 1000 * n + 8)) for n in (1, 2, 3)]
    for application in applications:
        application.start()
    until(lambda: min(one.writes for one in applications) > 8)
    rebuild.capture()
    rebuild.backfill()
    rebuild.switch(rebuild.green)
    at_switch = [one.writes for one in applications]
    until(
        lambda: all(
            one.writes > before + 8 for one, before in zip(applications, at_switch, strict=True)
        )
    )
    for application in applications:
        application.stop()

    assert [one.faults for one in applications] == [[], [], []]
    assert world.store.aliases()[ALIAS] == rebuild.green
    truth = {id: text for one in applications for id, text in one.truth.items()}
    found = fetch(world, rebuild.green, *truth)
    assert {id: point.payload["text"] for id, point in found.items()} == {
        id: text for id, text in truth.items() if text is not None
    }
    for point in found.values():
        assert list(point.vector) == vector(point.payload["text"], OTHER)


# --- as the page says -----------------------------------------------------------------------------


def test_the_requests_of_the_page_work_as_they_stand(world: World, api: Api) -> None:
    docs = Path(__file__).parents[2] / "docs"
    page = (docs / "howto" / "write-records.md").read_text(encoding="utf-8")
    lines = page.partition("```sh")[2].partition("```")[0]
    commands = [
        shlex.split(line, comments=True) for line in lines.replace("\\\n", " ").splitlines()
    ]
    rows = [{**row, "title": "a title"} for row in texts(12)]
    deploy(
        world,
        source=world.write("docs.jsonl", rows),
        embedding={**EMBEDDING, "text": "{title}\n{text}"},
    )
    answers = []
    for words in (words for words in commands if words[:1] == ["curl"]):
        method = words[words.index("-X") + 1] if "-X" in words else "POST"
        answers.append(api.write(method, json.loads(words[words.index("-d") + 1])))

    assert [one["written"] for one in answers] == [1, 1, 0]
    shown = json.loads(page.partition("It says what was done:")[2].split("```")[1][4:])
    assert answers[2] == {**shown, "alias": ALIAS}


# --- by a message ---------------------------------------------------------------------------------


def send(world: World, **arguments: Any) -> Any:
    return COMMANDS["indexes.write_records"](world.services, alias_name=ALIAS, **arguments)


def test_a_message_does_what_a_request_does(world: World, live: str) -> None:
    assert send(world, records=[{"id": 50, "text": "x"}])["written"] == 1
    patch = [{"id": 50, "a": 1}, {"id": 51, "a": 1}]
    assert send(world, action="patch", records=patch)["not_found"] == [51]
    assert fetch(world, live, 50)[50].payload == {"id": 50, "text": "x", "a": 1}
    assert send(world, action="delete", ids=[50, 51])["deleted"] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"ids": [1]},
        {"records": [{"id": 1, "text": "x"}], "ids": [1]},
        {"action": "delete", "records": [{"id": 1}]},
        {"records": [{"id": 1}]},
        {"records": []},
    ],
)
def test_a_message_that_makes_no_sense_is_refused_and_writes_nothing(
    world: World, live: str, arguments: Any
) -> None:
    before = fetch(world, live, 1)[1].payload
    with pytest.raises(Malformed):
        send(world, **arguments)
    assert fetch(world, live, 1)[1].payload == before


def test_a_message_goes_back_to_its_queue_while_a_server_is_away(world: World, live: str) -> None:
    world.over(Interrupted(world.store, "upsert", fail, nothing))
    with pytest.raises(GiveBack, match="repeat it") as given:
        send(world, records=[{"id": 50, "text": "x"}])
    assert given.value.counted
