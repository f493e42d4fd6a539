"""A server that is stopped, hangs, comes back, refuses, is too old or is not Qdrant: what the store
does."""

import base64
import json
import logging
import traceback

import pytest

from qdrant_rollouts.adapters.qdrant import open_store
from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.errors import Misconfigured, Refused, Unavailable
from qdrant_rollouts.core.ports import Health
from tests.own_time import Stopwatch
from tests.qdrants import answering, plain, points, wait_until
from tests.servers import Qdrant, free_ports
from tests.shell import Shell, declare
from tests.world import EMBEDDING


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.server(),
        lambda store: store.aliases(),
        lambda store: store.collections(),
        lambda store: store.schema("docs"),
        lambda store: store.point_alias("alias", "docs"),
        lambda store: store.drop("docs"),
        lambda store: store.upsert("docs", points(1)),
        lambda store: store.copy("docs", "docs2", None, 1),
        lambda store: store.search("docs", [1, 2, 3, 4], 1),
    ],
)
def test_a_server_that_is_away_is_unavailable_by_its_address_and_without_its_secrets(ask):
    http_port, grpc_port = free_ports(2)
    store = ServerStore(
        f"http://user:s3cret-password@127.0.0.1:{http_port}", "s3cret-key", grpc_port
    )

    with pytest.raises(
        Unavailable, match=f"Qdrant at http://127.0.0.1:{http_port} did not answer"
    ) as caught:
        ask(store)

    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_credentials_are_sent_and_never_logged(caplog):
    caplog.set_level(logging.DEBUG)
    sent = []
    with answering(lambda path: (200, '{"result": {"aliases": []}}'), sent.append) as url:
        store = ServerStore(url.replace("://", "://user:s3cret-password@"), "s3cret-key")
        store.aliases()
        store.close()

    assert sent[0]["authorization"] == f"Basic {base64.b64encode(b'user:s3cret-password').decode()}"
    assert sent[0]["api-key"] == "s3cret-key"
    assert caplog.text
    assert "s3cret" not in caplog.text


def test_a_server_that_hangs_is_unavailable_within_the_time_a_call_may_take(own_qdrant):
    store = ServerStore(own_qdrant.url, "", own_qdrant.grpc_port)
    store.create("docs", plain(), {})
    store.upsert("docs", points(1))
    calls = [
        (lambda: store.point_alias("alias", "docs"), 5),
        (lambda: store.upsert("docs", points(1)), 10),
    ]
    with own_qdrant.frozen():
        for call, seconds in calls:
            with Stopwatch() as watch:
                with pytest.raises(Unavailable):
                    call()
                assert watch.read() < seconds + 1

    store.close()


def test_a_server_that_comes_back_is_used_again(own_qdrant):
    store = ServerStore(own_qdrant.url, "", own_qdrant.grpc_port)
    store.create("docs", plain(), {})
    store.upsert("docs", points(5))
    with own_qdrant.stopped(), pytest.raises(Unavailable):
        store.upsert("docs", points(10))

    def written():
        try:
            store.upsert("docs", points(10))
        except Unavailable:
            return False
        return True

    wait_until(written, 10)

    assert store.count("docs") == 10
    store.close()


def test_a_wrong_api_key_is_refused_with_the_setting_to_look_at_and_not_shown():
    with Qdrant(api_key="right") as server:
        store = ServerStore(server.url, "s3cret-wrong", server.grpc_port)

        for ask in (store.aliases, lambda: store.upsert("docs", points(1))):
            with pytest.raises(Refused, match="check ROLLOUTS_QDRANT_API_KEY") as caught:
                ask()
            assert "s3cret" not in "".join(traceback.format_exception(caught.value))
        store.close()


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:6333",
        "http://",
        "ftp://127.0.0.1",
        "qdrant",
        "http://user:s3cret/@host:x",
        "http://host:99999",
    ],
)
def test_what_is_no_url_is_refused_without_repeating_it(url):
    with pytest.raises(
        Refused, match="ROLLOUTS_QDRANT_URL is not a server's URL: expected http://HOST:6333"
    ) as caught:
        open_store(url, "", 6334, "").server()

    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("end", ["/?api-key=s3cret", "?x", "#s3cret"])
def test_a_url_with_a_query_is_refused_for_paths_would_be_written_behind_it(end):
    with pytest.raises(
        Refused, match="ROLLOUTS_QDRANT_URL has a query or a fragment; write it without"
    ) as caught:
        open_store(f"http://127.0.0.1:6333{end}", "", 6334, "").aliases()

    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("body", ["{}", '{"title": "another", "version": "1"}'])
def test_json_of_another_server_is_told_from_qdrants(body):
    with answering(lambda _: (200, body)) as url:
        store = ServerStore(url)
        with pytest.raises(Misconfigured, match="is not a Qdrant server"):
            store.aliases()
        store.close()


def test_a_search_in_words_says_2_for_a_wrong_setting_and_3_for_silence(tmp_path, qdrant_url):
    declare(tmp_path, docs={"embedding": EMBEDDING})
    with Qdrant(api_key="right") as closed:
        for url, code, words in (
            (qdrant_url.replace("http://", "https://"), 2, "speaks no TLS; write http://"),
            (closed.url, 2, "check ROLLOUTS_QDRANT_API_KEY"),
            ("http://127.0.0.1:1", 3, "did not answer"),
        ):
            result = Shell(tmp_path)("search", "docs", "python", ROLLOUTS_QDRANT_URL=url)
            assert (result.exit_code, words in result.stderr) == (code, True), result.stderr


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://h", "http://h:6333"),
        ("https://user:secret@h:443/", "https://h"),
        ("http://h:80/qdrant/", "http://h/qdrant"),
        ("http://[::1]:7000", "http://[::1]:7000"),
    ],
)
def test_an_address_is_shown_with_its_port_and_without_its_credentials(url, address):
    assert str(ServerStore(url)._rest).removeprefix("Qdrant at ") == address


def test_a_server_too_old_for_metadata_is_refused_with_the_version_that_has_it():
    answers = {
        "/": {"title": "qdrant", "version": "1.14.1"},
        "/cluster": {"status": "ok", "result": {}},
    }
    with answering(lambda path: (200, json.dumps(answers[path]))) as url:
        store = ServerStore(url)

        for ask in (
            lambda: store.metadata("docs"),
            lambda: store.create("docs", plain(), {"by": "us"}),
        ):
            with pytest.raises(
                Refused, match=r"metadata needs Qdrant 1\.15\.4 or newer, .* is 1\.14\.1"
            ):
                ask()
        store.close()


def test_what_newer_servers_tell_of_their_queues_is_in_the_health():
    """As the API reference of 1.18 describes it; the tests' own server is older."""
    progress = {
        "name": "Segment Optimizing",
        "started_at": "…",
        "children": [{"name": "main_graph", "done": 5}],
    }
    queue = {"length": 12, "deferred_points": 3}
    counts = {"points_count": 9, "indexed_vectors_count": 4, "segments_count": 2}
    answers = {
        "/": {"title": "qdrant", "version": "1.18.2"},
        "/cluster": {"result": {"status": "enabled", "peers": {"1": {}, "2": {}, "3": {}}}},
        "/collections/docs": {
            "result": {
                "status": "yellow",
                "optimizer_status": {"error": "disk full"},
                "update_queue": queue,
                **counts,
            }
        },
        "/collections/docs/optimizations": {
            "result": {
                "summary": {"queued_optimizations": 2},
                "running": [{"uuid": "…", "progress": progress}],
            }
        },
    }
    with answering(lambda path: (200, json.dumps(answers[path]))) as url:
        store = ServerStore(url)

        assert store.server().peers == 3
        assert store.health("docs") == Health(
            "yellow",
            "disk full",
            9,
            4,
            2,
            optimizing=3,
            worked=6,
            queued=12,
            deferred=3,
            whole=False,
        )
        store.close()


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (200, "<html>welcome</html>", Unavailable, "is not a Qdrant server .HTTP 200"),
        (404, "<html>not here</html>", Unavailable, "HTTP 404"),
        (503, "", Unavailable, "HTTP 503"),
        (
            429,
            '{"status": {"error": "Rate limiting exceeded"}}',
            Unavailable,
            "Rate limiting exceeded",
        ),
        (500, '{"status": {"error": "shard not found"}}', Unavailable, "HTTP 500, shard not found"),
        (400, '{"status": {"error": "Wrong input: x"}}', Refused, "Wrong input: x"),
    ],
)
def test_an_answer_means_refused_only_if_qdrant_itself_said_no(status, body, error, words):
    with answering(lambda path: (status, body)) as url:
        store = ServerStore(url)
        with pytest.raises(error, match=words):
            store.aliases()
        store.close()


def test_a_server_of_another_kind_is_refused():
    with answering(lambda path: (200, '{"name": "elsewhere"}')) as url:
        store = ServerStore(url)
        with pytest.raises(Refused, match="is not a Qdrant server"):
            store.server()
        store.close()
