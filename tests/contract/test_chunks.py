"""Documents that are longer than a model reads, from the source to the gate."""

import json
from itertools import pairwise

import pytest

from qdrant_rollouts.adapters.embeddings import open_embedder
from qdrant_rollouts.adapters.sources import open_source
from qdrant_rollouts.core.collections.chunks import ChunkedSource, chunk_source
from qdrant_rollouts.core.collections.makers import Maker
from qdrant_rollouts.core.collections.records import MARK_KEY
from qdrant_rollouts.core.collections.stamps import MadeBy
from qdrant_rollouts.core.config.index_file import EmbeddingSpec
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports.naming import chunk_id
from tests.world import FEW, World

CHUNKS = {"model": "hashing:64", "text": "{title}\n{text}", "chunk": {"max_tokens": 20}}


def document(id, sentences, about="asyncio"):
    text = " ".join(
        f"Sentence {number} of document {id} is about {about} number {number}."
        for number in range(sentences)
    )
    return {"id": id, "title": f"Document {id}", "text": text, "lang": "en"}


DOCUMENTS = [document(1, 1), document("two", 12), document(3, 5), document("1", 2)]


@pytest.fixture
def opened(tmp_path):
    def open_(records, **chunk):
        content = "".join(json.dumps(record) + "\n" for record in records)
        if not (tmp_path / "docs.jsonl").exists():
            (tmp_path / "docs.jsonl").write_text(content)
        embedding = EmbeddingSpec.model_validate({**CHUNKS, "chunk": {"max_tokens": 20, **chunk}})
        source = open_source("jsonl:docs.jsonl", (tmp_path,), None)
        embedder = open_embedder(embedding)
        found = chunk_source(
            source, {"": Maker(MadeBy(embedder.identity, embedding=embedding), embedder)}
        )
        assert isinstance(found, ChunkedSource)
        return found

    return open_


def fields(source):
    return [row.fields for row in source.read(None)]


# --- the source of chunks -------------------------------------------------------------------------


def test_a_chunk_is_its_document_with_a_piece_of_the_text_and_says_whose_piece(opened):
    whole = {document["id"]: document for document in DOCUMENTS}
    for chunk in fields(opened(DOCUMENTS)):
        place = chunk["chunk"]
        of = whole[place["document"]]
        assert chunk["text"] == of["text"][place["start"] : place["end"]]
        assert (chunk["title"], chunk["lang"]) == (of["title"], of["lang"])
        assert chunk["id"] == chunk_id(place["document"], place["number"])
    numbers = [
        (chunk["chunk"]["document"], chunk["chunk"]["number"])
        for chunk in fields(opened(DOCUMENTS))
    ]
    assert len(set(numbers)) == len(numbers)
    assert {
        chunk["chunk"]["of"]
        for chunk in fields(opened(DOCUMENTS))
        if chunk["chunk"]["document"] == 1
    } == {1}
    assert len(numbers) > 10


def test_ids_are_the_same_every_time_and_never_those_of_another_document(opened):
    ids = [chunk["id"] for chunk in fields(opened(DOCUMENTS))]
    assert ids == [chunk["id"] for chunk in fields(opened(DOCUMENTS))]
    assert len(set(ids)) == len(ids)
    assert chunk_id(1, 0) == "79536ded-1116-58a5-ae7e-2858872c4b05"


def test_reading_on_from_any_cursor_equals_reading_in_one_go(opened):
    whole = list(opened(DOCUMENTS).read(None))
    for at, row in enumerate(whole):
        assert list(opened(DOCUMENTS).read(json.loads(json.dumps(row.cursor)))) == whole[at + 1 :]
    done = [row.cursor["done"] for row in whole]
    assert done == sorted(done)
    assert done[-1] == opened(DOCUMENTS).size()
    assert len({row.where for row in whole}) == len(whole)


def test_chunks_overlap_if_asked_to(opened):
    chunks = [
        chunk["chunk"] for chunk in fields(opened([document(1, 20)], max_tokens=60, overlap=20))
    ]
    assert any(later["start"] < earlier["end"] for earlier, later in pairwise(chunks))


def test_another_field_of_the_template_can_be_the_one_that_is_cut(opened):
    record = {"id": 1, "title": "word " * 100, "text": "stays"}
    chunks = fields(opened([record], field="title"))
    assert len(chunks) > 3
    assert {chunk["text"] for chunk in chunks} == {"stays"}


def test_what_is_no_document_stays_as_it_is(opened):
    odd = [
        {"id": 1, "text": ""},
        {"text": "no id"},
        {"id": 2, "vector": [1.0], "text": "x " * 99},
        {"id": 3, "text": 4},
    ]
    assert fields(opened(odd)) == odd


def test_what_cannot_be_chunked_is_a_row_with_a_problem(opened):
    clash = {**document(1, 1), "chunk": 7}
    long = {"id": 2, "title": "", "text": "x " * 500_001}
    rows = list(opened([clash, long, document(3, 1)]).read(None))
    assert [row.fields is None for row in rows] == [True, True, False]
    assert "has a field 'chunk' of its own" in rows[0].problem
    assert "text has 1,000,002 characters, at most 1,000,000 can be chunked" in rows[1].problem


def test_a_field_that_is_not_in_the_template_is_refused(world: World):
    world.declare("docs", source=world.write("docs.jsonl", DOCUMENTS))
    with pytest.raises(Refused, match=r"chunk\.field is 'body'; expected a field of text: text"):
        world.deploy("docs", options={"embedding": {"chunk": {"field": "body"}}})


# --- deployments ----------------------------------------------------------------------------------


def deployed(world, records=DOCUMENTS, **settings):
    world.declare(
        "docs", **{"source": world.write("docs.jsonl", records), "embedding": CHUNKS, **settings}
    )
    deployment = world.deploy("docs")
    world.run()
    return world.status(deployment)


def populated(status):
    return next(step for step in status["steps"] if step["name"] == "populate")["output"]


def test_an_index_of_chunks_passes_the_gate_which_counts_and_compares_chunks(world: World):
    status = deployed(world)
    assert status["status"] == "live"
    checks = {check["name"]: check for check in status["gate"]["checks"]}
    assert checks["count"]["verdict"] == checks["round_trip"]["verdict"] == "pass"
    points, _ = world.store.scroll(status["green"], None, 100)
    assert (
        checks["count"]["value"] == len(points) == populated(status)["written"] > len(DOCUMENTS) * 2
    )
    assert checks["round_trip"]["n"] == FEW["records"]
    assert {point.payload["chunk"]["document"] for point in points} == {1, "two", 3, "1"}
    assert all(point.id == point.payload["id"] for point in points)


def test_unchanged_chunks_take_their_vectors_over(world: World):
    first = populated(deployed(world))
    changed = [*DOCUMENTS[:2], {**DOCUMENTS[2], "title": "Renamed"}, DOCUMENTS[3]]
    second = populated(deployed(world, changed))
    of_the_third = len([1 for chunk in chunks_of(world) if chunk["document"] == 3])
    assert second["embedded"] == of_the_third > 1
    assert second["reused"] == first["embedded"] - of_the_third


def test_the_chunks_of_a_shorter_document_are_gone(world: World):
    before = populated(deployed(world))["written"]
    after = populated(deployed(world, [DOCUMENTS[0], document("two", 3), *DOCUMENTS[2:]]))[
        "written"
    ]
    assert after < before


def test_chunks_of_another_size_are_other_texts_and_embedded_anew(world: World):
    deployed(world)
    output = populated(deployed(world, embedding={**CHUNKS, "chunk": {"max_tokens": 40}}))
    assert output["written"] < 12
    assert output.get("reused", 0) <= 1  # a document of one sentence is one chunk either way


def test_a_document_of_many_turns_goes_on_in_its_middle(world: World):
    status = deployed(world, [document(1, 600)])
    assert status["status"] == "live"
    assert [
        chunk["number"] for chunk in sorted(chunks_of(world), key=lambda chunk: chunk["number"])
    ] == list(range(populated(status)["written"]))


def test_a_bad_document_is_one_bad_record(world: World):
    records = [*DOCUMENTS, {"id": 9, "title": "no text"}, {"title": "no id", "text": "x " * 200}]
    status = deployed(world, records, on_bad_record="skip")
    assert status["status"] == "live"
    assert populated(status)["bad"] == 2


def test_a_document_that_comes_twice_is_refused_by_its_place(world: World):
    status = deployed(world, [*DOCUMENTS, DOCUMENTS[0]])
    assert status["status"] == "rolled_back"
    assert "docs.jsonl:5, chunk 1: id" in status["message"]


def test_a_collection_of_chunks_is_copied_but_not_cut_again(world: World):
    green = deployed(world)["green"]
    copied = deployed(world, source=f"collection:{green}")
    assert copied["status"] == "live"
    assert populated(copied)["way"] == "copy"
    other = deployed(
        world, source=f"collection:{green}", embedding={**CHUNKS, "chunk": {"max_tokens": 40}}
    )
    assert other["status"] == "rolled_back"
    assert f"{green} holds points, not documents" in other["message"]


def chunks_of(world):
    points, _ = world.store.scroll(world.store.aliases()["docs"], None, 10_000)
    assert all(point.payload[MARK_KEY]["hash"] for point in points)
    return [point.payload["chunk"] for point in points]
