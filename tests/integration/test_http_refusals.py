"""What the command line refuses, the HTTP API refuses in the same words, and neither changes
anything."""

import pytest
from starlette.testclient import TestClient

from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.interfaces.http.app import make_app
from qdrant_rollouts.wiring import build_services
from tests.shell import Shell, declare, records, write

DOCS = {
    "source": "jsonl:docs/*.jsonl",
    "embedding": {"model": "hashing:64", "text": "{title}: {text}"},
    "validation": {"samples": {"records": 12, "queries": 12}},
    "soak": {"seconds": 0.2, "interval_seconds": 0.1},
    "rebuild": "0 2 * * *",
}
#: What is typed, what is asked, and the status.
REFUSED = {
    "unknown index": (("deploy", "nothing"), "POST", "/deployments", {"alias": "nothing"}, 404),
    "illegal name": (("deploy", "no name"), "POST", "/deployments", {"alias": "no name"}, 422),
    "unknown strategy": (
        ("deploy", "docs", "--strategy", "rainbow"),
        "POST",
        "/deployments",
        {"alias": "docs", "strategy": "rainbow"},
        422,
    ),
    "misspelt option": (
        ("deploy", "docs", "--option", "soak.second=3"),
        "POST",
        "/deployments",
        {"alias": "docs", "options": {"soak": {"second": 3}}},
        422,
    ),
    "code as a source": (
        ("deploy", "docs", "--source", "python:evil"),
        "POST",
        "/deployments",
        {"alias": "docs", "source": "python:evil"},
        409,
    ),
    "files outside": (
        ("deploy", "docs", "--source", "jsonl:/etc/passwd"),
        "POST",
        "/deployments",
        {"alias": "docs", "source": "jsonl:/etc/passwd"},
        409,
    ),
    "no version before": (("rollback", "docs"), "POST", "/indexes/docs/rollback", None, 409),
    "unknown deployment": (("status", "f00"), "GET", "/deployments/f00", None, 404),
    "nothing to promote": (("promote", "{id}"), "POST", "/deployments/{id}/promote", None, 409),
    "no reason": (
        ("promote", "{id}", "--full"),
        "POST",
        "/deployments/{id}/promote",
        {"full": True},
        409,
    ),
    "alias is taken": (
        ("alias", "create", "docs", "other"),
        "POST",
        "/aliases",
        {"alias": "docs", "collection": "other"},
        409,
    ),
    "alias is not there": (
        ("alias", "switch", "nothing", "{green}"),
        "PUT",
        "/aliases/nothing",
        {"collection": "{green}"},
        404,
    ),
    "nothing to keep": (("keep", "other"), "POST", "/collections/other/keep", None, 409),
    "unknown version": (
        ("diff", "docs", "1", "7"),
        "GET",
        "/indexes/docs/diff?one=1&other=7",
        None,
        404,
    ),
    "unknown experiment": (
        ("experiment", "report", "x"),
        "GET",
        "/experiments/x/report",
        None,
        404,
    ),
    "the control is not behind the alias": (
        (
            "experiment",
            "create",
            "x",
            "--control",
            "other",
            "--treatment",
            "{green}",
            "--alias",
            "docs",
        ),
        "POST",
        "/experiments",
        {"name": "x", "control": "other", "treatments": ["{green}"], "alias": "docs"},
        409,
    ),
    "unknown action": (
        ("schedule", "run", "docs", "polish"),
        "POST",
        "/schedules/docs/polish/run",
        None,
        422,
    ),
    "no schedule": (
        ("schedule", "pause", "docs", "verify"),
        "POST",
        "/schedules/docs/verify/pause",
        None,
        404,
    ),
    "no cron line": (
        ("schedule", "set", "docs", "rebuild", "--cron", "often"),
        "PATCH",
        "/schedules/docs/rebuild",
        {"cron": "often"},
        422,
    ),
    "backups need a server": (
        ("backup", "create", "docs"),
        "POST",
        "/backups",
        {"alias": "docs"},
        409,
    ),
    "unknown channel": (
        ("alert", "test", "pager"),
        "POST",
        "/alerts/test",
        {"channel": "pager"},
        404,
    ),
    "unknown alias": (
        ("search", "nothing", "x"),
        "POST",
        "/indexes/nothing/search",
        {"query": "x"},
        404,
    ),
}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """One folder with an index that serves: its shell, and a client of its API that lends the store
    in between."""
    folder = tmp_path_factory.mktemp("both")
    write(folder / "docs" / "a.jsonl", records(12, "one"))
    declare(folder, docs=DOCS)
    shell = Shell(folder)
    live = shell.json("deploy", "docs", "--wait")
    return shell, live


@pytest.fixture
def here(both, monkeypatch):
    shell, live = both
    monkeypatch.chdir(shell.folder)
    services = build_services(Settings())
    app = make_app(services, Settings())
    with TestClient(
        app, base_url="http://localhost", client=("127.0.0.1", 5), raise_server_exceptions=False
    ) as client:
        yield shell, client, services, live
    services.close()


@pytest.mark.parametrize("case", REFUSED)
def test_both_refuse_in_the_same_words(here, case):
    shell, client, services, live = here
    typed, method, path, body, status = REFUSED[case]
    answer = client.request(method, f"/api/v1{_filled(path, live)}", json=_filled(body, live))
    # its threads look at the store, which is one process's at a time
    client.app.state.context.routers.close()
    services.store.close()
    assert answer.status_code == status, answer.text
    result = shell(*_filled(list(typed), live))
    assert result.exit_code == 2, result.output
    said = " ".join(result.stderr.split()).removeprefix("refused: ")
    assert said == " ".join(answer.json()["detail"].split())


def test_nothing_was_changed_by_what_was_refused(here):
    shell, _, services, live = here
    services.store.close()
    deployments, aliases, experiments = shell.facts()
    assert [row["id"] for row in deployments["deployments"]] == [live["id"]]
    assert aliases["aliases"] == {"docs": live["green"]}
    assert experiments["experiments"] == []


def _filled(content, live):
    if isinstance(content, str):
        return content.replace("{id}", live["id"]).replace("{green}", live["green"])
    if isinstance(content, list):
        return [_filled(one, live) for one in content]
    return (
        {key: _filled(one, live) for key, one in content.items()}
        if isinstance(content, dict)
        else content
    )
