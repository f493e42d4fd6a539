"""The pages over a whole installation in this process, requested as by a browser: who gets in, what
a form needs, what is shown for every state, and that no foreign text becomes part of the page."""

import json
import re
from html import unescape
from html.parser import HTMLParser
from urllib.parse import urlencode

import pytest
from sqlalchemy import delete, event
from starlette.testclient import TestClient

from qdrant_rollouts.adapters.qdrant_local import LocalStore
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.database.models import AliasState, Version
from qdrant_rollouts.core.database.schedule_rows import Schedule
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.errors import Unavailable
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.operations.schedules import sweep
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.interfaces.access import tokens
from qdrant_rollouts.interfaces.http.app import make_app
from qdrant_rollouts.interfaces.http.pages.forms import own_path
from qdrant_rollouts.interfaces.http.pages.visits import VISITOR_COOKIE
from qdrant_rollouts.interfaces.http.security import SESSION_COOKIE
from tests.world import World, texts

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
PAGES = (
    "/",
    "/deployments",
    "/experiments",
    "/schedules",
    "/backups",
    "/alerts",
    "/events",
    "/workers",
    "/indexes/docs",
)


class Flaky(LocalStore):
    """Goes away, and comes back."""

    away = False

    def aliases(self):
        if self.away:
            raise Unavailable("Qdrant at http://qdrant:6333 did not answer")
        return super().aliases()


class Page(HTMLParser):
    """Tags with their attributes, and what a person reads."""

    def __init__(self, answer):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(answer.text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def buttons(self):
        """Verbs that can be asked for."""
        found = [
            attrs for tag, attrs in self.tags if tag == "input" and attrs.get("name") == "verb"
        ]
        return [attrs["value"] for attrs in found]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """docs has two versions and one that its gate rejected, all with hostile words; held is paused;
    new is unbuilt."""
    folder = tmp_path_factory.mktemp("world")
    made = World(folder, f"sqlite:///{folder / 'state.db'}", Flaky(":memory:"))
    records = [{**record, "text": f"{record['text']} {HOSTILE}"} for record in texts(30)]
    made.declare("docs", source=made.write("docs.jsonl", records), rebuild="0 2 * * *")
    made.declare(
        "held",
        source=made.write("held.jsonl", texts(5)),
        soak={"seconds": 600, "interval_seconds": 5},
    )
    made.declare("new", source="jsonl:held.jsonl")
    for _ in range(2):
        made.deploy("docs", reason=HOSTILE)
        made.run()
    bad = made.write(
        "bad.jsonl", [{**record, "text": f"other words {HOSTILE}"} for record in records]
    )
    made.deploy(
        "docs",
        source=bad,
        queries=["python asyncio"],
        options={"validation": {"min_top_score": 0.9}},
    )
    made.run()
    sweep.take_over_declared(made.services)
    held = made.deploy("held")
    made.run(until=made.at(held, "soak"))
    yield made
    made.close()


def browser(world, host="127.0.0.1", **settings):
    app = make_app(world.services, Settings(_env_file=None, **settings))
    return TestClient(
        app, base_url="http://localhost", client=(host, 50000), follow_redirects=False
    )


@pytest.fixture
def local(world):
    """The operator at this machine, where no token was ever made."""
    return browser(world)


@pytest.fixture
def guarded(tmp_path, ready_sqlite_url):
    """An installation that asks for a token, and one with each scope."""
    made = World(tmp_path, ready_sqlite_url)
    made.declare("docs", source=made.write("docs.jsonl", texts(5)))
    scopes = ("read", "deploy")
    made.tokens = {
        scope: tokens.create_token(made.services, scope, [scope], actor="anna")["token"]
        for scope in scopes
    }
    yield made
    made.close()


def csrf(client, path):
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', client.get(path).text)
    assert found, f"{path} has no form"
    return found[1]


def sign_in(client, token, onward="/"):
    form = {"csrf": csrf(client, "/login"), "token": token, "next": onward}
    return client.post("/login", data=form)


def deployment(world, alias):
    return queries.list_deployments(world.services, alias, 1)[0]["id"]


# --- what is shown --------------------------------------------------------------------------------


def test_every_page_is_shown_under_a_strict_policy_and_takes_hostile_words_as_words(world, local):
    paths = [
        *PAGES,
        *(f"/deployments/{row['id']}" for row in queries.list_deployments(world.services)),
    ]
    shown = ""
    asked = f"/indexes/docs/ask?{urlencode({'query': HOSTILE})}"
    for path in (*paths, "/indexes/docs/compare?one=1&other=2", asked, "/indexes/docs/judged"):
        answer = local.get(path)
        assert answer.status_code == 200, f"{path}: {answer.text}"
        assert (
            "default-src 'none'; script-src 'self'; style-src 'self'"
            in answer.headers["content-security-policy"]
        )
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        for tag, attrs in Page(answer).tags:
            assert "style" not in attrs
            assert not any(name.startswith("on") for name in attrs), f"{path}: {tag} {attrs}"
            assert tag not in ("script", "img") or (attrs.get("src") or "").startswith(
                ("/static/", "data:image/svg")
            )
        shown += Page(answer).text
    assert shown.count(HOSTILE) > 5


def test_home_begins_with_what_needs_somebody(local):
    page = Page(local.get("/"))
    links = [
        attrs["href"]
        for tag, attrs in page.tags
        if tag == "a" and attrs["href"].startswith("/indexes/")
    ]
    assert list(dict.fromkeys(links)) == ["/indexes/docs", "/indexes/held", "/indexes/new"]
    assert "the last deployment was rolled back" in page.text
    assert "not built yet" in page.text
    assert "0 2 * * *" in page.text


def test_home_leads_to_why_a_rebuild_is_not_live_since_when_one_serves_and_the_way_back(
    world, local
):
    """The three questions of a morning, each with one click."""
    home = local.get("/").text
    rejected = deployment(world, "docs")
    row = home[home.index('class="stack indexes"') :]
    row = row[row.index("docs") : row.index("/indexes/held")]
    assert f'href="/deployments/{rejected}"' in row
    assert "validate failed: " in row
    assert "(min_top_score 0 against 0.9, n=1)" in row, "the words of the other pages"
    assert "Next: Look at the answers" in row
    assert "min_top_score ✖ block" in Page(local.get(f"/deployments/{rejected}")).text
    assert re.search(r"v2\s*</span>\s*<span class=\"soft\">for <time[^>]* title=\"since 20", row)
    index = local.get("/indexes/docs")
    assert "rollback_to" in Page(index).buttons()
    assert "Roll back to it…" in index.text


def test_a_rejected_gate_shows_each_check_with_its_bound_and_the_worst_queries(world, local):
    page = Page(local.get(f"/deployments/{deployment(world, 'docs')}"))
    assert "rolled back" in page.text
    blocked = page.text[page.text.index("min_top_score ✖ block") :]
    assert "queries have no answer that scores 0.9" in blocked, "in words"
    assert blocked.index("The best answers are no better") < blocked.index(
        "What to do: Look at the answers"
    )
    assert blocked.index("What to do:") < blocked.index("found 0, wanted ≥ 0.9, n 1; at least"), (
        "figures stand behind"
    )
    assert page.text.index("min_top_score ✖ block") < page.text.index("✔ pass"), (
        "what blocked stands first"
    )
    assert "checks passed" in page.text
    assert "Worst queries" in page.text
    assert page.buttons() == []


def answers(page_text, *questions):
    """What stands behind each question of the first screen."""
    places = [page_text.index(f" {question} ") for question in questions]
    assert places == sorted(places), "in this order"
    return [page_text[begin:end] for begin, end in zip(places, [*places[1:], None], strict=True)]


def test_the_first_screen_of_a_rejected_version_says_why_and_what_to_do(world, local):
    page = Page(local.get(f"/deployments/{deployment(world, 'docs')}"))
    now, since, ended, needed = answers(page.text, "Now", "Since", "Ended", "Needed of you")
    assert "It did not go live: validate failed: " in now
    assert "have no answer that scores 0.9" in now
    assert "(min_top_score 0 against 0.9, n=1)" in now
    assert "docs is served by version 2, as before." in now
    assert "the run began at Mon 2 Nov 02:00" in since or "the run began at 02:0" in since
    assert "after" in ended
    assert "Correct the cause before the next deployment." in needed
    assert needed.index("What to do: Look at the answers") < needed.index(" Plan ")
    assert ("a", {"href": "#gate-h"}) in page.tags


def test_the_first_screen_of_a_watch_says_how_far_it_is_and_what_each_button_does(world, local):
    page = Page(local.get(f"/deployments/{deployment(world, 'held')}"))
    now, since, _, needed = answers(page.text, "Now", "Since", "Until", "Needed of you")
    assert now.startswith(" Now Watching version 1, which serves held")
    assert "the whole run since" in since
    assert "Nothing: it goes on by itself." in needed
    assert "Abort… " in needed
    assert "held is removed again, then held_2026" in needed
    assert "Then: undo soak" in needed or "Then: undo switch" in needed
    assert needed.index("Abort… ") < needed.index("Not possible now: Retry, Resume")


def test_the_worst_queries_say_what_became_of_each_answer(world, local):
    page = Page(local.get(f"/deployments/{deployment(world, 'docs')}"))
    worst = page.text[page.text.index("Worst queries") : page.text.index("Audit events newest")]
    assert worst.index(" Live ") < worst.index(" New ")
    assert "at the same place" in worst or "places up" in worst or "lost" in worst
    opened = [attrs for tag, attrs in page.tags if tag == "details" and "open" in attrs]
    assert 0 < len([one for one in opened if (one.get("id") or "").startswith("worst-")]) <= 3


def test_the_first_screen_of_an_index_says_what_serves_and_why_the_last_rebuild_does_not(local):
    page = Page(local.get("/indexes/docs"))
    serves, last, back = answers(page.text, "Serves", "Last rebuild", "Rollback")
    assert "Version 2 serves since" in serves
    assert "by deployment" in serves
    assert "rolled back" in last
    assert "It did not go live: validate failed: " in last
    assert "(min_top_score 0 against 0.9, n=1)" in last
    assert "A rollback goes to version 1." in back
    links = [attrs.get("href") or "" for tag, attrs in page.tags if tag == "a"]
    assert any(link.endswith("#gate-h") for link in links), "why"
    assert "#versions-h" in links


def test_each_version_says_on_which_days_it_served_and_when_it_was_built(local):
    text = Page(local.get("/indexes/docs")).text
    versions = text[text.index(" Versions ") : text.index(" Compare ")]
    newest, live, first = (versions[versions.index(f" {name} ") :] for name in ("v3", "v2", "v1"))
    assert "never" in newest[: newest.index(" v2 ")]
    assert re.search(r"Mon 2 Nov 02:0\d until now", live)
    assert re.search(r"Mon 2 Nov 02:0\d until Mon 2 Nov 02:0\d", first)
    assert "Roll back to it…" in first


# --- its log --------------------------------------------------------------------------------------


def log_of(page):
    return page.text[page.text.index(" Log ") :]


def test_the_log_of_a_deployment_is_folded_and_filtered_by_its_address(world, local):
    path = f"/deployments/{deployment(world, 'docs')}"
    page = Page(local.get(path))
    closed = next(attrs for tag, attrs in page.tags if attrs.get("id") == "log")
    assert "open" not in closed
    assert "populate done -> validate" in log_of(page)
    filtered = Page(local.get(f"{path}?level=warning"))
    opened = next(attrs for tag, attrs in filtered.tags if attrs.get("id") == "log")
    assert "open" in opened
    assert "⚠ warning" in log_of(filtered)
    assert "populate done" not in log_of(filtered)
    assert "No line of level error was logged" in log_of(Page(local.get(f"{path}?level=error")))
    refused = local.get(f"{path}?level=loud")
    assert refused.status_code == 422
    assert "known: info, warning, error" in Page(refused).text


def test_the_log_is_a_file_of_text_and_an_answer_of_the_api(world, local):
    id = deployment(world, "docs")
    file = local.get(f"/deployments/{id}/log.txt?level=info")
    assert file.headers["content-type"] == "text/plain; charset=utf-8"
    assert file.headers["content-disposition"] == f'attachment; filename="{id}.log.txt"'
    assert file.headers["x-content-type-options"] == "nosniff"
    assert re.search(r"Z info    hand create done -> populate \(", file.text)
    answer = local.get(f"/api/v1/deployments/{id}/log?level=warning").json()
    assert answer["deployment_id"] == id
    assert answer["lines"]
    assert {line["level"] for line in answer["lines"]} == {"warning"}
    assert local.get(f"/api/v1/deployments/{id}/log?level=loud").status_code == 422
    assert local.get("/deployments/nosuch/log.txt").status_code == 404


def test_the_way_back_says_what_it_rests_on(local):
    page = Page(local.get("/indexes/docs"))
    assert "rollback ready" in page.text
    assert "its gate said pass when it was built" in page.text
    assert "deploy" in page.buttons()
    assert "rollback" in page.buttons()
    first = Page(local.get("/indexes/held")).text
    assert "no version before this one went live here" in first


def test_an_act_that_is_not_possible_is_no_form_and_says_why(world, local):
    page = Page(local.get(f"/deployments/{deployment(world, 'held')}"))
    assert page.buttons() == ["promote", "promote_full", "pause", "abort_keep", "abort"]
    assert "Resume : resume is not possible: the deployment is running" in page.text
    assert f"rollouts abort {deployment(world, 'held')} --reason" in page.text


def test_qdrant_away_is_said_and_nothing_else_is_missing(world):
    world.store.away = True
    try:
        client = browser(world)
        for path in PAGES:
            assert client.get(path).status_code == 200
        home = Page(client.get("/")).text
        assert "Qdrant cannot be asked since" in home
        assert "http://qdrant:6333 did not answer" in home
        assert "docs_20261102" in home
        assert "not certain" in Page(client.get("/indexes/docs")).text
    finally:
        world.store.away = False


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/deployments/nosuch", 404),
        ("/indexes/nosuch", 404),
        ("/experiments/nosuch", 404),
        ("/deployments?page=0", 422),
        ("/deployments?outcome=perhaps", 422),
        ("/events?before=x", 422),
        (f"/indexes/docs/compare?one=1&other={'9' * 300}", 404),
        ("/indexes/nosuch/ask", 404),
        ("/indexes/docs/ask?query=+", 422),
        (f"/indexes/docs/ask?query={'x' * 1001}", 422),
        ("/indexes/docs/ask?query=x&right=held_20261102_020000", 404),
        ("/indexes/docs/ask?query=x&limit=7", 422),
        ("/indexes/nosuch/judged", 404),
        ("/indexes/docs/judged?page=0", 422),
    ],
)
def test_what_makes_no_sense_is_a_page_in_words(local, path, status):
    answer = local.get(path)
    assert answer.status_code in (status, 409)
    assert answer.headers["content-type"].startswith("text/html")
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("path", ["/?sort=name", "/deployments", "/schedules"])
def test_a_page_asks_the_database_as_often_for_fifty_indexes_as_for_three(world, local, path):
    few = statements(world, lambda: local.get(path))
    with world.services.sessions.begin() as session:
        session.add_all(
            row for number in range(50) for row in rows_of(f"more-{number}", world.clock.moment)
        )
    assert "25 of 53" in local.get("/").text
    assert statements(world, lambda: local.get(path)) == few < 18
    with world.services.sessions.begin() as session:
        for table in (Schedule, Version, AliasState):
            session.execute(delete(table).where(table.alias.startswith("more-")))


def rows_of(alias, now):
    spec = {"cron": "0 2 * * *", "zone": "UTC"}
    yield AliasState(alias=alias, desired=f"{alias}_1", settled=True, changed_at=now)
    yield Version(collection=f"{alias}_1", alias=alias, number=1, created_at=now)
    yield Schedule(
        alias=alias, action="rebuild", spec=spec, declared=spec, next_at=now, waiting_since=now
    )


def statements(world, work):
    work()  # the caller is looked up once a second
    seen = []
    heard = (world.engine, "before_cursor_execute", lambda *args: seen.append(args[2]))
    event.listen(*heard)
    work()
    event.remove(*heard)
    return len([one for one in seen if "sessions" not in one and "tokens" not in one])


def ask_path(query="asyncio python", **given):
    return f"/indexes/docs/ask?{urlencode({'query': query, **given})}"


def test_two_versions_answer_side_by_side_and_the_ranks_that_moved_are_words(local):
    page = Page(local.get(ask_path(limit=5)))
    assert "5 of 5 in both" in page.text
    assert "live v2" in page.text
    assert "retained v1" in page.text or "deletion due v1" in page.text
    assert page.text.count("same rank") == 10
    assert page.text.count("embedded in") == 2
    boxes = [attrs for _, attrs in page.tags if attrs.get("type") == "checkbox"]
    assert len(boxes) == 5
    assert not any("checked" in box for box in boxes), "a person marks what is relevant"


def test_the_boxes_of_an_index_and_of_a_deployment_lead_to_its_own_versions(world, local):
    run = queries.list_deployments(world.services, "docs", 3)[1]
    fields = {
        attrs["name"]: attrs.get("value")
        for tag, attrs in Page(local.get(f"/deployments/{run['id']}")).tags
        if tag == "input" and "name" in attrs
    }
    assert (fields["left"], fields["right"]) == (run["blue"], run["green"])
    shown = Page(local.get(ask_path(left=run["blue"], right=run["green"])))
    assert shown.text.index("v1") < shown.text.index("live v2")
    options = [attrs for tag, attrs in Page(local.get(ask_path())).tags if tag == "option"]
    assert [one["value"] for one in options if "value" in one] == ["", "2", "1"] * 2, (
        "the gate stopped version 3, and its collection is gone"
    )
    assert Page(local.get("/indexes/docs")).text.count("Ask both") == 2


def test_what_is_marked_is_a_line_that_can_be_downloaded_and_taken_out(world, local):
    path = "/indexes/docs/ask"
    token = csrf(local, ask_path())
    first = next(
        attrs["value"]
        for _, attrs in Page(local.get(ask_path(HOSTILE))).tags
        if attrs.get("name") == "relevant-1"
    )
    marked = {"csrf": token, "verb": "judge", "relevant-1": first, "relevant-4": '"four"'}
    form = {**marked, "query": HOSTILE, "reason": "it fits"}
    before = len(world.list_events("docs", 1000))
    for _ in range(2):
        answer = local.post(path, data=form)
        assert answer.headers["location"] == "/indexes/docs/judged?did=judge"
    assert len(world.list_events("docs", 1000)) == before + 1
    shown = Page(local.get("/indexes/docs/judged")).text
    assert HOSTILE in shown
    assert f"{first}, four" in shown
    assert "it fits" in shown
    again = Page(local.get(ask_path(HOSTILE))).text
    assert "In the proposal since" in again
    assert "✔ judged relevant" in again
    file = local.get("/indexes/docs/judged.jsonl")
    assert json.loads(file.text) == {"query": HOSTILE, "relevant": [int(first), "four"]}
    assert file.headers["content-disposition"] == 'attachment; filename="proposal.jsonl"'
    out = {"csrf": token, "verb": "take_out", "query": HOSTILE}
    answer = local.post("/indexes/docs/judged", data=out)
    assert answer.headers["location"] == "/indexes/docs/judged?did=take_out"
    assert local.get("/indexes/docs/judged.jsonl").text == ""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"reason": ""}, "has a reason"),
        ({"relevant-1": "[1]"}, "no id of a record"),
        ({"relevant-1": None}, "mark at least one"),
        ({"query": "x" * 1001}, "at most 1,000"),
    ],
)
def test_a_judgment_out_of_bounds_is_a_page_in_words(local, given, said):
    token = csrf(local, ask_path())
    form = {"csrf": token, "query": "x", "reason": "r", "relevant-1": "3", **given}
    answer = local.post("/indexes/docs/ask", data={k: v for k, v in form.items() if v is not None})
    assert answer.status_code == 422
    assert said in Page(answer).text


def test_who_may_read_asks_and_downloads_and_judges_nothing(guarded):
    guarded.deploy("docs")
    guarded.run()
    client = browser(guarded)
    for path in ("/indexes/docs/judged.jsonl", ask_path()):
        assert client.get(path).headers["location"].startswith("/login")
    sign_in(client, guarded.tokens["read"])
    page = Page(client.get(ask_path()))
    assert "has no other version to ask" in page.text
    assert "judging needs the scope deploy" in page.text
    assert page.buttons() == []
    assert client.get("/indexes/docs/judged.jsonl").status_code == 200
    form = {"csrf": csrf(client, "/"), "query": "x", "reason": "r", "relevant-1": "3"}
    for path in ("ask", "judged"):
        assert client.post(f"/indexes/docs/{path}", data=form).status_code == 403
    by_token = browser(guarded).get(
        "/indexes/docs/judged.jsonl",
        headers={"Authorization": f"Bearer {guarded.tokens['read']}"},
    )
    assert by_token.status_code == 200


def test_deployments_can_be_filtered_and_paged(local):
    assert "docs_2026" not in local.get("/deployments?alias=held").text
    rejected = Page(local.get("/deployments?outcome=rolled_back")).text
    assert "1\N{EN DASH}1 of 1" in rejected
    beyond = Page(local.get("/deployments?outcome=rolled_back&page=9")).text
    assert "1\N{EN DASH}1 of 1" in beyond, "the last page stands for one that is not there any more"


# --- what is done ---------------------------------------------------------------------------------


def test_a_form_leaves_the_wish_with_actor_reason_and_the_way_it_came(world, local):
    path = f"/deployments/{deployment(world, 'held')}"
    form = {"csrf": csrf(local, path), "verb": "pause", "reason": "lunch"}
    answer = local.post(path, data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{path}?did=pause")
    world.run(until=lambda: world.read_status(deployment(world, "held")) == "paused")
    asked = next(
        one
        for one in world.status(deployment(world, "held"))["events"]
        if one["event"] == "pause.requested"
    )
    assert asked["actor"].endswith("@web")
    assert (asked["reason"], asked["source"]) == ("lunch", "page")


def read_field(client, path, name):
    found = re.search(rf'name="{name}" value="([^"]*)"', client.get(path).text)
    assert found, f"{path} has no field {name}"
    return unescape(found[1])


def test_what_goes_on_is_refused_from_an_old_page_and_what_stops_is_not(world, local):
    id = deployment(world, "held")
    path = f"/deployments/{id}"

    def press(verb, place):
        return local.post(path, data={"csrf": csrf(local, path), "verb": verb, "place": place})

    if world.read_status(id) != "paused":
        commands.request_action(world.services, id, Event.PAUSE, actor="anna")
        world.run(until=lambda: world.read_status(id) == "paused")
    old = read_field(local, path, "place")
    assert press("resume", old).status_code == 303
    world.run(until=lambda: world.read_status(id) == "running")
    refused = press("promote", old)
    assert refused.status_code == 409
    assert "has moved on since you looked" in Page(refused).text
    assert press("pause", old).status_code == 303
    world.run(until=lambda: world.read_status(id) == "paused")


def test_a_rollback_leads_where_the_page_said_or_nowhere(world, local):
    path = "/indexes/docs"
    form = {"csrf": csrf(local, path), "verb": "rollback"}
    assert read_field(local, path, "collection") in world.store.collections()
    refused = local.post(path, data={**form, "collection": "docs_of_an_old_page"})
    assert refused.status_code == 409
    assert "docs has moved since you looked" in Page(refused).text


def test_a_version_is_marked_and_gone_back_to_on_its_index_page(world, local):
    path = "/indexes/docs"
    assert {"rollback_to", "mark_bad"} <= set(Page(local.get(path)).buttons())
    form = {"csrf": csrf(local, path), "version": "1", "reason": HOSTILE}
    answer = local.post(path, data={**form, "verb": "mark_bad"})
    assert answer.headers["location"] == f"{path}?did=mark_bad"
    page = Page(local.get(path))
    assert "marked bad by" in page.text
    assert {"rollback_to_bad", "mark_good"} <= set(page.buttons())
    refused = local.post(path, data={**form, "verb": "rollback_to"})
    assert "--force" in refused.text
    answer = local.post(path, data={**form, "verb": "mark_good"})
    assert answer.headers["location"] == f"{path}?did=mark_good"
    assert "marked bad by" not in Page(local.get(path)).text


@pytest.mark.parametrize("given", [{}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": "ß"}])
def test_a_form_of_another_page_changes_nothing(world, local, given):
    path = f"/deployments/{deployment(world, 'held')}"
    csrf(local, path)
    before = world.list_events()
    answer = local.post(path, data={**given, "verb": "abort"})
    assert answer.status_code == 403
    assert world.list_events() == before


def test_a_form_taken_from_one_browser_is_worth_nothing_in_another(world, local):
    path = f"/deployments/{deployment(world, 'held')}"
    stolen = csrf(local, path)
    other = browser(world)
    other.get("/")
    assert other.post(path, data={"csrf": stolen, "verb": "abort"}).status_code == 403


def test_another_site_is_refused_whatever_it_knows(world, local):
    path = f"/deployments/{deployment(world, 'held')}"
    form = {"csrf": csrf(local, path), "verb": "abort"}
    assert local.post(path, data=form, headers={"Origin": "http://evil.example"}).status_code == 403
    assert local.post(path, data=form, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_a_refusal_is_shown_in_the_words_of_the_command(world, local):
    path = "/indexes/held"
    answer = local.post(path, data={"csrf": csrf(local, "/indexes/docs"), "verb": "deploy"})
    assert answer.status_code == 409
    assert "one at a time" in Page(answer).text
    unknown = local.post(path, data={"csrf": csrf(local, "/indexes/docs"), "verb": "explode"})
    assert unknown.status_code == 422


# --- who gets in ----------------------------------------------------------------------------------


def test_nobody_sees_anything_without_a_token(guarded):
    client = browser(guarded)
    for path in (*PAGES, "/deployments/x", "/deployments/x/log.txt"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["location"]) == (
            303,
            f"/login?next={path.replace('/', '%2F')}",
        )
    assert client.get("/live").status_code == 401
    assert client.post("/indexes/docs", data={"verb": "deploy"}).headers["location"] == "/login"


def test_a_session_is_a_cookie_no_script_and_no_other_site_gets_and_holds_no_token(guarded):
    client = browser(guarded)
    token = guarded.tokens["deploy"]
    answer = sign_in(client, token, "/indexes/docs")
    assert (answer.status_code, answer.headers["location"]) == (303, "/indexes/docs")
    set_cookie = next(
        one for one in answer.headers.get_list("set-cookie") if one.startswith(SESSION_COOKIE)
    )
    assert "HttpOnly" in set_cookie
    assert "samesite=strict" in set_cookie.lower()
    assert "Max-Age=43200" in set_cookie
    page = client.get("/indexes/docs")
    assert page.status_code == 200
    secret = token.rpartition("_")[2]
    assert secret not in page.text + set_cookie + unescape(client.get("/events").text)
    assert secret not in str(guarded.list_events())


def test_a_wrong_token_is_told_so_and_gets_no_session(guarded):
    client = browser(guarded)
    answer = sign_in(client, "rlt_nobody_nothing")
    assert answer.status_code == 401
    assert "unknown, or was revoked" in Page(answer).text
    assert SESSION_COOKIE not in client.cookies


def test_signing_in_needs_this_browsers_form(guarded):
    client = browser(guarded)
    csrf(client, "/login")
    answer = client.post("/login", data={"csrf": "0" * 64, "token": guarded.tokens["read"]})
    assert answer.status_code == 403
    assert SESSION_COOKIE not in client.cookies


def test_who_may_read_sees_no_form_and_can_do_nothing(guarded):
    client = browser(guarded)
    sign_in(client, guarded.tokens["read"])
    page = client.get("/indexes/docs")
    assert Page(page).buttons() == []
    assert "actions need the scope deploy" in Page(page).text
    answer = client.post("/indexes/docs", data={"csrf": csrf(client, "/"), "verb": "deploy"})
    assert answer.status_code == 403
    assert queries.list_deployments(guarded.services) == []


def test_who_may_deploy_deploys_under_his_name(guarded):
    client = browser(guarded)
    sign_in(client, guarded.tokens["deploy"])
    answer = client.post(
        "/indexes/docs", data={"csrf": csrf(client, "/"), "verb": "deploy", "reason": "new manual"}
    )
    assert answer.headers["location"].startswith("/deployments/")
    (row,) = queries.list_deployments(guarded.services)
    assert (row["actor"], row["message"]) == ("token:deploy", "new manual")


def test_a_session_ends_with_its_token_with_time_and_when_it_is_ended(guarded):
    ended, revoked, old = (browser(guarded) for _ in range(3))
    for client, scope in ((ended, "deploy"), (revoked, "read"), (old, "deploy")):
        sign_in(client, guarded.tokens[scope])
        assert client.get("/").status_code == 200
    stolen = ended.cookies[SESSION_COOKIE]
    assert ended.post("/logout", data={"csrf": csrf(ended, "/")}).headers["location"] == "/login"
    assert SESSION_COOKIE not in ended.cookies
    tokens.revoke_token(guarded.services, "read", actor="anna")
    guarded.clock.move(13 * 3600)
    for secret in (stolen, revoked.cookies[SESSION_COOKIE], old.cookies[SESSION_COOKIE]):
        fresh = browser(guarded)
        fresh.cookies.set(SESSION_COOKIE, secret)
        assert fresh.get("/").status_code == 303


def test_signing_out_needs_a_form_too(guarded):
    client = browser(guarded)
    sign_in(client, guarded.tokens["read"])
    assert client.post("/logout", data={}).status_code == 403
    assert client.get("/").status_code == 200


@pytest.mark.parametrize(
    "path",
    ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:x", "", "/\r\nx"],
)
def test_after_signing_in_one_is_led_to_no_other_site(path):
    assert own_path(path) == "/"


def test_a_visitor_gets_one_secret_and_keeps_it(guarded):
    client = browser(guarded)
    client.get("/login")
    secret = client.cookies[VISITOR_COOKIE]
    assert "set-cookie" not in client.get("/login").headers
    assert client.cookies[VISITOR_COOKIE] == secret
