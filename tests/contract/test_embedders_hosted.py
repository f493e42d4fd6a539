"""Models behind an HTTP endpoint: what is sent, how errors are handled, and that the key goes
nowhere else."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial

import numpy as np
import pytest
from pydantic import ValidationError

from qdrant_rollouts.adapters.embedding_hosted import HostedEmbedder
from qdrant_rollouts.adapters.embeddings import open_embedder
from qdrant_rollouts.core.collections.records import content_hash
from qdrant_rollouts.core.config.index_file import (
    EmbeddingSpec,
    IndexFile,
    ProviderSpec,
    validate_as,
)
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.wiring import build_services
from tests.endpoint import Endpoint
from tests.own_time import Stopwatch
from tests.world import World, texts

TEXTS = [f"text number {number}" for number in range(10)]


@pytest.fixture
def endpoint():
    started = Endpoint()
    yield started
    started.close()


@pytest.fixture
def hosted(endpoint, monkeypatch):
    monkeypatch.setenv("LOOP_KEY", "sesame")
    return HostedEmbedder(
        "words-64", ProviderSpec(url=endpoint.url, key="LOOP_KEY", batch=4), "loop"
    )


@pytest.mark.parametrize("concurrency", [1, 3])
def test_so_many_requests_are_under_way_at_once_and_vectors_keep_their_order(endpoint, concurrency):
    provider = ProviderSpec(url=endpoint.url, batch=2, concurrency=concurrency)
    endpoint.seconds = 0.05
    made = HostedEmbedder("words-64", provider, "loop").documents(TEXTS)
    assert np.array_equal(made, open_embedder(EmbeddingSpec(model="hashing:64")).documents(TEXTS))
    assert endpoint.most_at_once == concurrency


def test_an_answer_that_is_refused_ends_the_other_requests(endpoint):
    provider = ProviderSpec(url=endpoint.url, batch=1, concurrency=2)
    embedder = HostedEmbedder("words-64", provider, "loop")
    assert embedder.dimension == 64
    endpoint.answers.append((400, {}, {"error": {"message": "no"}}))
    with pytest.raises(Refused, match="answers 400"):
        embedder.documents(TEXTS)
    assert len(endpoint.asked) < 1 + len(TEXTS)


def test_texts_go_in_batches_with_the_model_and_the_key(hosted, endpoint):
    made = hosted.documents(TEXTS)
    assert np.array_equal(made, open_embedder(EmbeddingSpec(model="hashing:64")).documents(TEXTS))
    first, *rest = [body["input"] for _, body in endpoint.asked]
    assert first == ["dimension"]
    assert sorted(rest) == sorted([TEXTS[:4], TEXTS[4:8], TEXTS[8:]])
    assert {(body["path"], body["model"]) for _, body in endpoint.asked} == {
        ("/v1/embeddings", "words-64")
    }
    assert {headers["Authorization"] for headers, _ in endpoint.asked} == {"Bearer sesame"}


def test_the_tokens_of_a_text_are_those_that_the_endpoint_counts_if_it_does(hosted, endpoint):
    assert hosted.count_tokens("three words here") is None
    endpoint.counts_tokens = True
    assert hosted.count_tokens("three words here") == 3
    endpoint.answers.append((200, {}, {"data": [], "usage": {"total_tokens": -1}}))
    assert hosted.count_tokens("three words here") is None
    assert {headers["Authorization"] for headers, _ in endpoint.asked} == {"Bearer sesame"}


def test_half_a_surrogate_pair_is_embedded_like_any_text(hosted):
    assert hosted.query("half \ud800").shape == (64,)


def test_without_a_key_none_is_sent(endpoint):
    HostedEmbedder("words-8", ProviderSpec(url=f"{endpoint.url}/"), "loop").query("x")
    assert all(
        "Authorization" not in headers and body["path"] == "/v1/embeddings"
        for headers, body in endpoint.asked
    )


def test_a_host_that_no_resolver_takes_is_refused_with_the_index_file():
    with pytest.raises(ValidationError, match="its host is not a valid name"):
        ProviderSpec(url="http://embeddings..lan/v1")


def test_a_key_that_is_not_set_is_refused_by_the_name_of_its_variable(endpoint, monkeypatch):
    monkeypatch.delenv("LOOP_KEY", raising=False)
    with pytest.raises(
        Refused, match=r"providers\.loop\.key: the environment variable LOOP_KEY is not set"
    ):
        HostedEmbedder("words-8", ProviderSpec(url=endpoint.url, key="LOOP_KEY"), "loop").query("x")
    assert endpoint.asked == []


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_trouble_that_passes_is_waited_for_with_growing_waits(hosted, endpoint, status):
    assert hosted.dimension == 64
    endpoint.answers.extend([(status, {}, "busy")] * 2)
    with Stopwatch() as watch:
        started = time.monotonic()
        assert hosted.documents(TEXTS[:2]).shape == (2, 64)
        assert time.monotonic() - started >= 0.25 + 0.5
        assert watch.read() < 5
    assert len(endpoint.asked) == 4


def test_retry_after_is_kept_in_seconds_and_as_a_date(hosted, endpoint):
    assert hosted.dimension == 64
    for asked, least in (("1", 1.0), (None, 0.9)):
        in_two = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
        endpoint.answers.append((429, {"Retry-After": asked or in_two}, ""))
        with Stopwatch() as watch:
            started = time.monotonic()
            hosted.documents(TEXTS[:1])
            assert least <= time.monotonic() - started
            assert watch.read() < 4


def test_more_patience_than_a_turn_has_is_left_to_the_engine(hosted, endpoint):
    assert hosted.dimension == 64
    endpoint.answers.append((429, {"Retry-After": "120"}, ""))
    with Stopwatch() as watch:
        with pytest.raises(
            Unavailable, match=f"loop:words-64 at {endpoint.url} answers 429 and asks to wait 120 s"
        ):
            hosted.documents(TEXTS[:1])
        assert watch.read() < 2


def test_a_query_gives_up_soon_because_a_person_waits(hosted, endpoint):
    assert hosted.dimension == 64
    endpoint.answers.extend([(503, {}, "")] * 50)
    with Stopwatch() as watch:
        with pytest.raises(Unavailable, match="answers 503"):
            hosted.query("x")
        assert watch.read() < 4


def test_an_endpoint_that_is_away_is_unavailable(hosted, endpoint):
    assert hosted.dimension == 64
    endpoint.close()
    with pytest.raises(Unavailable, match=f"{endpoint.url} does not answer"):
        hosted.query("x")


@pytest.mark.parametrize(
    ("status", "content", "said"),
    [
        (
            401,
            {"error": {"message": "Incorrect API key provided: sesame."}},
            r"401: Incorrect API key provided: \*\*\*",
        ),
        (404, {"error": "no such model"}, "404: no such model"),
        (400, "this text is too long", "400: this text is too long"),
        (302, "", "302"),
        (200, "<html>", "does not answer as an embeddings endpoint"),
        (200, {"data": [{"index": 0}]}, "does not answer as an embeddings endpoint"),
        (200, {"data": []}, "answers 0 vectors"),
        (200, {"data": [{"index": 1, "embedding": [1.0] * 64}]}, "answers 1 vectors of shape"),
        (
            200,
            {"data": [{"index": 0, "embedding": [1.0] * 63}]},
            "answers vectors of 63 numbers; before it was 64",
        ),
        (200, '{"data": [{"index": 0, "embedding": [' + "NaN," * 63 + "1]}]}", "not finite"),
    ],
)
def test_an_answer_that_no_waiting_mends_is_refused_at_once_and_without_the_key(
    hosted, endpoint, status, content, said
):
    assert hosted.dimension == 64
    endpoint.answers.append((status, {}, content))
    with pytest.raises(Refused, match=said) as refused:
        hosted.documents(TEXTS[:1])
    assert "sesame" not in str(refused.value)
    assert len(endpoint.asked) == 2


def test_the_identity_speaks_for_model_and_endpoint_and_asks_nobody(hosted, endpoint):
    other = HostedEmbedder("words-64", ProviderSpec(url="http://elsewhere/v1"), "loop")
    assert (
        hosted.identity
        == HostedEmbedder("words-64", ProviderSpec(url=endpoint.url), "again").identity
    )
    assert content_hash(hosted.identity, "x") != content_hash(other.identity, "x")
    assert "sesame" not in hosted.identity
    assert endpoint.asked == []


# --- a deployment ---------------------------------------------------------------------------------


def test_an_index_is_filled_searched_and_rebuilt_through_an_endpoint(
    world: World, endpoint, monkeypatch
):
    monkeypatch.setenv("LOOP_KEY", "sesame")
    providers = {"loop": ProviderSpec(url=endpoint.url, key="LOOP_KEY")}
    world.services = replace(
        world.services, embedder=partial(open_embedder, providers=lambda: providers)
    )
    world.declare(
        "docs",
        source=world.write("docs.jsonl", texts(20)),
        embedding={"model": "loop:words-32", "text": "{text}"},
    )
    for embedded in (20, 0):
        endpoint.asked.clear()
        deployment = world.deploy("docs")
        world.run()
        status = world.status(deployment)
        assert status["status"] == "live"
        populated = next(step for step in status["steps"] if step["name"] == "populate")["output"]
        assert populated.get("embedded", 0) == embedded
    assert "sesame" not in json.dumps(status) + json.dumps(world.store.metadata(status["green"]))


def test_an_endpoint_that_is_away_delays_a_deployment_and_does_not_fail_it(world: World, endpoint):
    providers = {"loop": ProviderSpec(url=endpoint.url)}
    world.services = replace(
        world.services, embedder=partial(open_embedder, providers=lambda: providers)
    )
    world.declare(
        "docs", source=world.write("docs.jsonl", texts(5)), embedding={"model": "loop:words-16"}
    )
    deployment = world.deploy("docs")
    world.run(until=world.at(deployment, "populate"))
    endpoint.answers.extend([(429, {"Retry-After": "90"}, "")] * 2)
    world.run()
    assert world.status(deployment)["status"] == "live"
    assert not endpoint.answers


def test_wiring_takes_providers_from_the_index_file(endpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rollouts.yaml").write_text(f"providers: {{loop: {{url: '{endpoint.url}'}}}}\n")
    services = build_services(Settings(_env_file=None))
    assert services.embedder(EmbeddingSpec(model="loop:words-16")).dimension == 16
    services.close()


# --- the index file -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("providers", "said"),
    [
        ({"openai": {"url": "ftp://host/v1"}}, r"expected http\(s\)://HOST/v1"),
        ({"openai": {"url": "https://anna:secret@host/v1"}}, "without user, password or query"),
        ({"openai": {"url": "https://host/v1?key=x"}}, "without user, password or query"),
        ({"openai": {"url": "https://host/v1", "batch": 0}}, "providers.openai.batch"),
        ({"hashing": {"url": "https://host/v1"}}, "hashing is served on this machine"),
    ],
)
def test_a_provider_that_is_none_is_refused_and_shows_no_password(providers, said):
    with pytest.raises(Refused, match=said) as refused:
        validate_as(IndexFile, {"providers": providers}, "rollouts.yaml")
    assert "secret" not in str(refused.value)


def test_a_model_of_a_provider_has_neither_revision_nor_another_dtype(endpoint):
    providers = {"loop": ProviderSpec(url=endpoint.url)}
    for more in ({"revision": "main"}, {"dtype": "bfloat16"}):
        with pytest.raises(Refused, match="no revision and only dtype float32"):
            open_embedder(EmbeddingSpec(model="loop:words-8", **more), lambda: providers)


def test_a_provider_that_the_index_file_does_not_declare_is_refused_with_those_it_does():
    with pytest.raises(
        Refused, match=r"hashing:…, loop:…, a plain .* or a provider that the index file declares"
    ):
        open_embedder(
            EmbeddingSpec(model="other:m"), lambda: {"loop": ProviderSpec(url="http://host/v1")}
        )
