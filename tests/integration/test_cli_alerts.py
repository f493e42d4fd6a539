"""``rollouts events`` and ``rollouts alert``: what happened, which alerts were sent, and whether
they arrived."""

import json

import pytest
import yaml

from qdrant_rollouts.adapters.alerts.webhook import sign_body
from tests.receivers import http_receiver
from tests.shell import Shell, records, write

DOCS = {
    "source": "jsonl:docs/*.jsonl",
    "embedding": {"model": "hashing:256", "text": "{title}: {text}"},
    "validation": {"queries": ["python asyncio"], "min_results": 5, "min_top_score": 0.1},
    "soak": {"seconds": 0.2, "interval_seconds": 0.1},
}
KEY = "a key of the test"


def hook(port):
    return {"kind": "webhook", "url": f"http://127.0.0.1:{port}/", "secret": "HOOK_KEY"}


def declare(folder, **channels):
    content = {"indexes": {"docs": DOCS}, "alerts": {"channels": channels}}
    (folder / "rollouts.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


@pytest.fixture
def shell(tmp_path, monkeypatch):
    monkeypatch.setenv("HOOK_KEY", KEY)
    write(tmp_path / "docs" / "a.jsonl", records(40, "one"))
    return Shell(tmp_path)


def test_a_deployment_is_told_to_a_webhook_with_a_dead_channel_beside_it(shell, tmp_path):
    with http_receiver() as gone:
        pass
    with http_receiver() as receiver:
        declare(tmp_path, pager=hook(receiver.port), dead=hook(gone.port))
        assert shell.json("deploy", "docs", "--wait", "--reason", "first")["status"] == "live"
        listed = shell.json("alert", "list", "--alias", "docs")["alerts"]
    told = [json.loads(body) for _, body in receiver.taken]
    assert [one["what"] for one in told] == [one["what"] for one in reversed(listed)]
    assert (told[0]["what"], told[0]["reason"], told[-1]["what"]) == (
        "deployment.created",
        "first",
        "deployment.completed",
    )
    for headers, body in receiver.taken:
        assert headers["webhook-signature"] == sign_body(
            KEY, headers["webhook-id"], headers["webhook-timestamp"], body
        )
    states = {one["channel"]: one["status"] for one in listed[-1]["deliveries"]}
    assert states == {"pager": "sent", "dead": "waiting"}
    assert "did not answer" in shell("alert", "list").stdout
    warned = {
        check["name"]: check for check in shell.json("doctor")["checks"] if check["state"] == "warn"
    }
    assert "rollouts alert test dead" in warned["channel dead"]["advice"]
    assert "channel pager" not in warned


def test_the_test_ends_with_the_code_of_what_it_found(shell, tmp_path):
    with http_receiver() as receiver:
        declare(tmp_path, pager=hook(receiver.port), log={"kind": "log"})
        assert shell.json("alert", "test", "pager") == {
            "channels": {"pager": {"sent": True, "error": ""}}
        }
        receiver.status = 500
        assert shell("alert", "test").exit_code == 3
    assert json.loads(receiver.taken[0][1])["what"] == "alert.test"
    missing = shell("alert", "test", "mail")
    assert missing.exit_code == 2
    assert "channel mail is not declared in the index file; declared: log, pager" in missing.stderr


def test_a_channel_without_an_address_is_refused_before_anything_begins(shell, tmp_path):
    declare(tmp_path, pager={"kind": "webhook", "url": "", "secret": "HOOK_KEY"})
    refused = shell("deploy", "docs", "--wait")
    assert refused.exit_code == 2
    assert "url: found ''; expected http://HOST" in refused.stderr


def test_the_events_say_who_asked_why_and_through_what(shell, tmp_path):
    declare(tmp_path, log={"kind": "log"})
    live = shell.json("deploy", "docs", "--wait", "--reason", "new data")["green"]
    shell.json("alias", "create", "also", live, "--reason", "for the old client")
    newest = shell.json("events", "--alias", "also", "--limit", "1")["events"][0]
    assert newest["event"] == "alias.switched"
    assert newest["actor"].endswith("@cli")
    assert (newest["reason"], newest["source"]) == ("for the old client", "cli")
    rows = shell.json("events", "--alias", "docs", "--limit", "100")["events"]
    assert {row["source"] for row in rows} == {"cli"}
    assert rows[-1]["reason"] == "new data"
    assert "deployment.live" in shell("events").stdout
