"""The pages in a real browser, for an installation with names of maximum length: nothing leaves its
place, on a desk and on a phone, and numbers are readable."""

import re
import shutil
from contextlib import ExitStack
from urllib.parse import urlencode

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright
from starlette.testclient import TestClient

from qdrant_rollouts.core.alerts.outbox import Alert, record_alert, resolve_alerts
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.models import Deletion
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.experiments import commands as experiment_commands
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.operations.asking import judgments
from qdrant_rollouts.core.operations.schedules import sweep
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.routing.traffic import TrafficKey, write_tallies
from qdrant_rollouts.interfaces.access import tokens
from qdrant_rollouts.interfaces.http import serving
from qdrant_rollouts.interfaces.http.app import make_app
from tests.contract.test_canary import Users
from tests.contract.test_traffic import searches
from tests.world import World, texts

#: A name of ours whose collections' names are as long as ours may be, and one of somebody else's;
#: neither has a place to break at.
OURS = "x" * 110
THEIRS = "y" * 255
STAGES = [{"percentage": 5, "duration_minutes": 2}, {"percentage": 100, "duration_minutes": 0}]
SIZES = {"desk": (1280, 900), "phone": (390, 800)}
QUERY = 'what\'s <new> in asyncio & "python"?'


class Crowded(World):
    """``docs`` is in a canary with six searches, ``held`` is paused, and one with the longest name
    was built twice."""

    def __init__(self, folder):
        super().__init__(folder, f"sqlite:///{folder / 'state.db'}")
        source = self.write("docs.jsonl", texts(30))
        asked = {"queries": [QUERY], "min_top_score": 0.01, "min_results": 1}
        self.declare(OURS, source=source, rebuild="0 2 * * *", validation=asked)
        self.declare(
            "docs", source=source, canary={"stages": STAGES, "extension": 4.0, "min_searches": 200}
        )
        self.declare("held", source=source, soak={"seconds": 600, "interval_seconds": 5})
        for alias in (OURS, OURS, "docs", "held"):
            self.deploy(alias, reason=f"because of {OURS}")
            self.run()
        self.store.create(THEIRS, self.store.schema(self.live(OURS)), {})
        self.store.point_alias(f"{THEIRS[:-1]}z", THEIRS)
        sweep.take_over_declared(self.services)
        self.experiment = experiment_commands.create_experiment(
            self.services, OURS, self.live(OURS), [self.older(OURS)], actor="anna", split=0.5
        )
        judgments.add_judgment(self.services, OURS, QUERY, [THEIRS, 7], actor="anna", reason=THEIRS)
        self.observe()
        self.clock.move(133.787)
        self.notice()
        self.canary = self.deploy("docs", strategy="canary")
        self.run(until=self.at(self.canary, "shift"))
        self.shift()
        self.paused = self.deploy("held")
        self.run(until=self.at(self.paused, "soak"))
        commands.request_action(self.services, self.paused, Event.PAUSE, actor="anna", reason=OURS)
        self.run(until=lambda: self.read_status(self.paused) == "paused")

    def live(self, alias):
        return self.store.aliases()[alias]

    def older(self, alias):
        return next(
            row["green"]
            for row in queries.list_deployments(self.services, alias)
            if row["green"] != self.live(alias)
        )

    def observe(self):
        """Searches of a collection that is no version, and of two that are."""
        named = {f"{THEIRS[:-1]}z": [THEIRS], OURS: [self.live(OURS), self.older(OURS)]}
        tallies = {
            TrafficKey(alias, "", "live", "real", collection): searches(20)
            for alias, collections in named.items()
            for collection in collections
        }
        write_tallies(self.services.sessions, self.clock, "one", 1, tallies)

    def notice(self):
        with self.services.sessions.begin() as session:
            now = self.services.clock.now(session)
            record_alert(session, now, Alert(OURS, "deletion.no_final_backup", OURS, actor="anna"))
            events.record_event(
                session, now, "deployment.live", THEIRS, actor=OURS, alias=OURS, reason=OURS
            )
            row = {"due_elapsed": 0.0, "actor": "anna", "created_at": now}
            session.add(Deletion(collection=THEIRS, alias=OURS, due_at=now, reason=THEIRS, **row))

    def shift(self):
        """All the looks of a stage, with six searches in each arm."""
        users = Users(self, searches=6)
        for number in range(8):
            if number == 0:
                self.run(until=lambda: bool(self.step(self.canary, "shift")["progress"]))
                users.search()
            knock = self.broker.take_next()
            if knock is not None:
                self.turn(knock)


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    made = Crowded(tmp_path_factory.mktemp("crowded"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def browser(crowded):
    with ExitStack() as stack:
        settings = Settings(_env_file=None)
        door = stack.enter_context(serving.bind_socket(crowded.services, settings, "127.0.0.1", 0))
        stack.enter_context(serving.serve_beside(make_app(crowded.services, settings), door))
        chromium = stack.enter_context(sync_playwright()).chromium
        made = chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        stack.callback(made.close)
        context = made.new_context(base_url=serving.socket_url(door), java_script_enabled=True)
        yield context.new_page()


def pages(crowded):
    rows = queries.list_deployments(crowded.services, limit=100)
    return {
        "home": "/",
        "home-narrowed": "/?q=x&state=attention&sort=points&group=prefix",
        "alerts-narrowed": f"/alerts?index={OURS}&severity=warn&alert=deletion",
        "events-narrowed": f"/events?alias={OURS}&event=deployment&text={OURS[:9]}",
        "index": f"/indexes/{OURS}",
        "theirs": f"/indexes/{THEIRS[:-1]}z",
        "compare": f"/indexes/{OURS}/compare?one=1&other=2",
        "ask": f"/indexes/{OURS}/ask?{urlencode({'query': f'python {THEIRS}'})}",
        "judged": f"/indexes/{OURS}/judged",
        "deployments": "/deployments",
        **{
            f"deployment-{row['alias'][:5]}-{row['status']}": f"/deployments/{row['id']}"
            for row in rows
        },
        "experiments": "/experiments",
        "experiment": f"/experiments/{crowded.experiment}",
        "schedules": "/schedules",
        "backups": "/backups",
        "alerts": "/alerts",
        "events": "/events",
        "login": "/login",
        "nowhere": f"/{OURS}",
    }


#: What is wider than its place: the page, a table within its frame, or a word within its cell.
OUTSIDE = """() => {
  const wide = document.documentElement.clientWidth, found = []
  const told = one => `${one.tagName} ${one.className}: ${one.textContent.trim().slice(0, 30)}`
  const page = document.documentElement.scrollWidth
  if (page > wide) found.push(`page ${page}`)
  for (const one of document.querySelectorAll('.scroll:not(figure)'))
    if (one.scrollWidth > one.clientWidth + 1) found.push(`table: ${told(one)}`)
  const placed = 'figure, thead, .hidden, .skip'
  for (const one of document.querySelectorAll('main *, header *'))
    if (one.getBoundingClientRect().right > wide + 1 && !one.closest(placed))
      found.push(told(one))
  const cut = 'td, dd, h1, .tile, .note, .steps > li > *, .head p, code, summary'
  for (const one of document.querySelectorAll(cut))
    if (one.clientWidth && one.scrollWidth > one.clientWidth + 2) found.push(`within ${told(one)}`)
  return found.slice(0, 5)
}"""

#: Those among some elements that are wider inside than outside.
WIDER = """all => all
  .filter(one => one.scrollWidth > one.clientWidth + 2)
  .map(one => one.textContent.trim().slice(0, 30))"""


@pytest.mark.parametrize("opened", [False, True], ids=["closed", "opened"])
@pytest.mark.parametrize("size", list(SIZES))
def test_no_name_breaks_a_page(crowded, browser, size, opened):
    """With every form closed, and with every form open."""
    width, height = SIZES[size]
    browser.set_viewport_size({"width": width, "height": height})
    found = {}
    for name, path in pages(crowded).items():
        browser.goto(path)
        browser.evaluate(
            f"document.querySelectorAll('details').forEach(one => one.open = {str(opened).lower()})"
        )
        found[name] = browser.evaluate(OUTSIDE)
    assert {name: faults for name, faults in found.items() if faults} == {}


@pytest.mark.parametrize("width", [870, 1000, 1120])
def test_the_versions_and_their_forms_fit_a_narrow_desk(crowded, browser, width):
    browser.set_viewport_size({"width": width, "height": 900})
    browser.goto(f"/indexes/{OURS}")
    browser.evaluate("document.querySelectorAll('#versions details')[0].open = true")
    cut = "#versions .scroll, #versions td, #versions summary"
    assert browser.locator(cut).evaluate_all(WIDER) == []
    form = browser.locator("#versions .action[open] > form").first.bounding_box()
    table = browser.locator("#versions .scroll").bounding_box()
    assert table["x"] <= form["x"], "it begins within the table"
    assert form["x"] + form["width"] <= table["x"] + table["width"]


def test_no_page_shows_raw_numbers_or_escapes(crowded, browser):
    raw = re.compile(
        r"\d\.\d{5,}|\\u[0-9a-fA-F]{4}|&#\d+;|\d\.\d+e[-+]?\d+|\bNone\b(?! yet)"
        r"|\bTrue\b|\bundefined\b|[{\[]['\"]"
    )
    found = {}
    for name, path in pages(crowded).items():
        browser.goto(path)
        browser.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        found[name] = raw.findall(browser.locator("main").inner_text())
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_the_bar_of_a_canary_is_as_full_as_its_evidence(crowded, browser):
    browser.goto(f"/deployments/{crowded.canary}")
    bar = browser.locator("#d-steps li[aria-current] progress")
    assert (bar.get_attribute("value"), bar.get_attribute("max")) == ("6", "200")
    step = browser.locator("#d-steps li[aria-current]").inner_text()
    assert "6 of 200 searches" in step
    assert "100 %" not in step.replace("\N{NO-BREAK SPACE}", " ")
    browser.goto("/")
    assert "6 of 200 searches" in browser.locator("#home").inner_text()


def test_a_pause_has_no_end_that_anybody_knows(crowded, browser):
    browser.goto(f"/deployments/{crowded.paused}")
    shown = browser.locator("main").inner_text()
    assert "paused" in shown
    assert "Ends between" not in shown
    assert "≈" not in shown
    browser.goto(f"/deployments/{crowded.canary}")
    assert "Ends between" in browser.locator("main").inner_text()


def test_declared_queries_stand_as_they_were_written(crowded, browser):
    browser.goto(f"/indexes/{OURS}")
    assert QUERY in browser.locator("main").inner_text()


def test_an_experiment_tells_its_time_in_units_of_people(crowded, browser):
    browser.goto(f"/experiments/{crowded.experiment}")
    shown = browser.locator(".head").inner_text()
    assert re.search(r"\d+ minutes of at least 3 days", shown)


# --- lists that are narrowed ----------------------------------------------------------------------


def aliases(browser):
    return browser.locator("#home td[data-label=Index] a").all_inner_texts()


def test_an_index_is_found_by_keyboard_and_the_way_back_leads_to_all(crowded, browser):
    browser.set_viewport_size({"width": 1280, "height": 900})
    browser.goto("/")
    every = aliases(browser)
    browser.locator("#home-q").focus()
    browser.keyboard.type("HEL")
    browser.keyboard.press("Enter")
    browser.wait_for_url("**/?q=HEL*")
    assert aliases(browser) == ["held"]
    browser.keyboard.press("Tab")
    browser.locator("#home-states a", has_text="running or paused").focus()
    browser.keyboard.press("Enter")
    browser.wait_for_url("**state=running*")
    assert aliases(browser) == ["held"]
    assert browser.locator("#home-states a[aria-current]").inner_text().startswith("running")
    browser.go_back()
    browser.go_back()
    assert aliases(browser) == every


def test_the_order_and_the_groups_are_chosen_in_the_form(browser):
    browser.set_viewport_size({"width": 1280, "height": 900})
    browser.goto("/?state=serves")
    browser.locator("#home-sort").select_option("name")
    browser.locator("#home-group").check()
    browser.get_by_role("button", name="Show", exact=True).click()
    browser.wait_for_url("**sort=name*")
    assert {"state=serves", "group=prefix"} <= set(browser.url.partition("?")[2].split("&"))
    assert aliases(browser) == sorted(aliases(browser))
    assert browser.locator("#home-group").is_checked()


def test_on_a_phone_the_filters_are_folded_and_on_a_desk_they_are_not(browser):
    browser.set_viewport_size({"width": 1280, "height": 900})
    for path, id in (("/", "#home-filters"), ("/alerts", "#a-filters"), ("/events", "#e-filters")):
        browser.goto(path)
        fold, summary = browser.locator(f"{id} .choices"), browser.locator(f"{id} > summary")
        assert (fold.is_visible(), summary.is_visible()) == (True, False), path
        browser.set_viewport_size({"width": 390, "height": 800})
        assert (fold.is_visible(), summary.is_visible()) == (False, True), path
        summary.focus()
        browser.keyboard.press("Enter")
        assert fold.is_visible(), path
        browser.set_viewport_size({"width": 1280, "height": 900})


def test_what_is_typed_stays_while_the_list_is_replaced(crowded, browser):
    browser.goto("/")
    badge = browser.locator("#nav-calling .badge")
    before = int(badge.inner_text())
    browser.locator("#home-q").type("not y")
    browser.locator("#home-group").check()
    calls = Alert("docs", "deployment.no_progress", "no worker takes it")
    with crowded.services.sessions.begin() as session:
        now = crowded.services.clock.now(session)
        record_alert(session, now, calls)
        events.record_event(session, now, "test.changed")
    expect(badge).to_have_text(str(before + 1))
    expect(browser.locator("#home-first")).to_contain_text("no worker takes it")
    browser.locator("#home-q").press("End")
    browser.keyboard.type("et")
    assert browser.locator("#home-q").input_value() == "not yet"
    assert browser.locator("#home-group").is_checked()
    with crowded.services.sessions.begin() as session:
        resolve_alerts(session, now, "docs", [calls.what], "over")


@pytest.mark.parametrize("width", [1280, 390])
def test_without_a_script_a_filter_is_a_form_and_a_page_a_link(crowded, browser, width):
    context = browser.context.browser.new_context(
        base_url=browser.evaluate("location.origin"),
        java_script_enabled=False,
        viewport={"width": width, "height": 800},
    )
    page = context.new_page()
    page.goto("/events")
    if width == 390:
        page.locator("#e-filters > summary").click()
    page.locator("#e-event").fill("deployment.live")
    page.locator("#e-filters button").click()
    assert "event=deployment.live" in page.url
    kinds = page.locator("td[data-label=Event]").all_inner_texts()
    assert set(kinds) == {"deployment.live"}
    page.goto("/alerts")
    if width == 390:
        page.locator("#a-filters > summary").click()
    page.locator("#a-severity").select_option("warn")
    page.locator("#a-show").select_option("open")
    page.locator("#a-filters button").click()
    assert "severity=warn" in page.url
    assert page.locator("#a-told").count() == 0
    assert page.locator("#a-open .note.warn").count() > 0
    context.close()


@pytest.mark.parametrize("size", list(SIZES))
def test_two_versions_are_asked_and_judged_by_keyboard(crowded, browser, size):
    width, height = SIZES[size]
    browser.set_viewport_size({"width": width, "height": height})
    browser.goto(f"/indexes/{OURS}")
    browser.locator("#ask-query").focus()
    browser.keyboard.type("text about python")
    browser.keyboard.press("Enter")
    browser.wait_for_url("**/ask?*")
    assert "of 10 in both" in browser.locator(".outcome").inner_text()
    (left, right) = (
        browser.locator(f"section[aria-labelledby={id}-h]") for id in ("left", "right")
    )
    assert [side.locator("li").count() for side in (left, right)] == [10, 10]
    beside = right.bounding_box()["y"] < left.bounding_box()["y"] + left.bounding_box()["height"]
    assert beside == (size == "desk"), "one under the other on a phone"
    assert violations(browser) == []
    browser.locator("#relevant-1").focus()
    browser.keyboard.press("Space")
    browser.locator("#judge-why").focus()
    browser.keyboard.type(f"seen on a {size}")
    browser.keyboard.press("Enter")
    browser.wait_for_url("**/judged?*")
    assert "The query is in the proposal" in browser.locator("main").inner_text()
    assert violations(browser) == []
    row = browser.locator("tr", has_text=f"seen on a {size}")
    row.get_by_role("button", name="Take out text about python").press("Enter")
    browser.wait_for_url("**/judged?did=take_out")
    assert browser.locator("tr", has_text=f"seen on a {size}").count() == 0


def violations(browser):
    found = Axe().run(browser).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:80]}" for one in found]


# --- astray ---------------------------------------------------------------------------------------


@pytest.fixture
def client(crowded):
    return TestClient(
        make_app(crowded.services, Settings(_env_file=None)),
        base_url="http://localhost",
        client=("127.0.0.1", 1),
    )


def test_a_browser_at_an_unknown_path_gets_a_page_with_the_way_back(browser):
    answer = browser.goto("/nosuch/page")
    assert (answer.status, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is no page /nosuch/page" in browser.locator("main").inner_text()
    assert browser.locator("nav a").count() > 5
    browser.locator("nav a", has_text="Deployments").click()
    assert browser.url.endswith("/deployments")


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/nosuch", "*/*"),
        ("/nosuch", "application/json"),
        ("/nosuch", ""),
        ("/api/v1/nosuch", "text/html"),
        ("/api/nosuch", "text/html"),
        ("/static/nosuch.js", "text/html"),
    ],
)
def test_a_program_gets_a_problem_document(client, path, accept):
    answer = client.get(path, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["status"] == 404


def test_what_a_page_does_not_take_is_a_page_too(client):
    answer = client.request("PUT", "/deployments", headers={"Accept": "text/html,*/*;q=0.8"})
    assert (answer.status_code, answer.headers["content-type"]) == (405, "text/html; charset=utf-8")
    assert "/deployments does not take PUT" in answer.text
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_hostile_paths_are_words_and_end_somewhere(client):
    answer = client.get("/<script>alert(1)</script>" + "x" * 5000, headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "<script>alert" not in answer.text
    assert len(answer.text) < 10_000


def test_who_is_not_known_sees_no_navigation(tmp_path, ready_sqlite_url):
    made = World(tmp_path, ready_sqlite_url)
    tokens.create_token(made.services, "ci", ["read"], actor="anna")
    app = make_app(made.services, Settings(_env_file=None))
    stranger = TestClient(app, base_url="http://localhost", client=("127.0.0.1", 1))
    answer = stranger.get("/nosuch", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "<nav" not in answer.text
    made.close()
