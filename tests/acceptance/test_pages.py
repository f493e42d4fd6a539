"""The pages of a running system in a real browser: what people see and press, with and without
JavaScript."""

import contextlib
import json
import shutil
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.database.models import TrafficRow
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.experiments import commands as experiment_commands
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.interfaces.embedded import Embedded
from qdrant_rollouts.interfaces.http import serving
from qdrant_rollouts.interfaces.http.app import make_app
from tests.contract.test_traffic import searches
from tests.world import EMBEDDING, FEW, texts

PATIENCE = 60_000
VALIDATION = {
    "queries": ["text asyncio python"],
    "min_top_score": 0.1,
    "samples": FEW,
    "live_searches_per_second": 1e6,
}
STAY = {"soak": {"seconds": 600, "interval_seconds": 0.5}}
LISTS = (
    "/",
    "/deployments",
    "/experiments",
    "/schedules",
    "/backups",
    "/alerts",
    "/events",
    "/workers",
    "/?q=o&state=attention&sort=last&group=prefix",
    "/alerts?severity=warn&alert=deployment",
    "/events?event=deployment&actor=nobody",
)


class System:
    """The processes of ``rollouts up``, and a browser that remembers errors."""

    def __init__(self, services, address, browser):
        self.services = services
        self.address = address
        self.browser = browser
        self.faults: list[str] = []

    @contextmanager
    def page(self, **options):
        context = self.browser.new_context(base_url=self.address, **options)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on(
            "console",
            lambda said: said.type in ("error", "warning") and self.faults.append(said.text),
        )
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", lambda asked: self._look(asked.url))
        yield page
        context.close()

    def _look(self, url):
        parts = urlsplit(url)
        if parts.scheme != "data" and f"{parts.scheme}://{parts.netloc}" != self.address:
            self.faults.append(f"asked {url}")

    def deploy(self, alias, **arguments):
        return commands.start_deployment(self.services, alias, actor="anna", **arguments)

    def ended(self, page, id, status):
        page.goto(f"/deployments/{id}")
        expect(page.locator("#d-head .pill")).to_contain_text(status, timeout=PATIENCE)


@pytest.fixture(autouse=True)
def _own_folder(system):
    """Changes to the system's own folder, so no test of this file may use another one."""


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    with contextlib.chdir(folder), ExitStack() as stack:
        declare(folder)
        settings = Settings(_env_file=None)
        runner = Embedded(settings)
        stack.callback(runner.services.engine.dispose)
        stack.callback(runner.services.store.close)
        door = stack.enter_context(serving.bind_socket(runner.services, settings, "127.0.0.1", 0))
        stack.enter_context(runner)
        stack.enter_context(serving.serve_beside(make_app(runner.services, settings), door))
        browsers = stack.enter_context(sync_playwright()).chromium
        browser = browsers.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        stack.callback(browser.close)
        yield System(runner.services, serving.socket_url(door), browser)


def declare(folder):
    """Declares two indexes with good records, and a source whose records are about another
    subject."""
    spec = {
        "embedding": EMBEDDING,
        "validation": VALIDATION,
        "soak": {"seconds": 1, "interval_seconds": 0.2},
    }
    bad = [{**record, "text": f"cooking {record['id']}"} for record in texts(30)]
    for name, records in (("docs", texts(30)), ("other", texts(30)), ("bad", bad)):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, records)))
    indexes = {
        name: {**spec, "source": f"jsonl:{name}.jsonl", "rebuild": "0 2 * * *"}
        for name in ("docs", "other")
    }
    (folder / "rollouts.yaml").write_text(json.dumps({"indexes": indexes}))


@pytest.fixture
def browse(system):
    """Opens a page. At the end, no error may have occurred in it, and it may have sent no request
    to other servers."""
    system.faults.clear()
    with system.page() as page:
        yield page
    assert system.faults == []


def press(page, verb, reason):
    page.locator(f"#{verb} > summary").click()
    page.locator(f"#{verb}-why").fill(reason)
    page.locator(f"#{verb} form button").click()


def test_a_deployment_is_watched_from_start_to_live_without_a_reload(system, browse):
    browse.goto("/indexes/docs")
    press(browse, "deploy", "the first one")
    browse.wait_for_url("**/deployments/*")
    browse.evaluate("window.here = true")
    expect(browse.locator("#d-head .pill")).to_contain_text("live", timeout=PATIENCE)
    assert browse.locator("#d-steps .hidden").all_inner_texts() == [": done"] * 6
    assert browse.evaluate("window.here") is True
    expect(browse.locator("#d-events")).to_contain_text("the first one")
    expect(browse.locator("#d-gate")).to_contain_text("✔")


def test_promote_is_pressed_and_the_soak_is_over(system, browse):
    started = system.deploy("docs", options=STAY)
    browse.goto(f"/deployments/{started}")
    expect(browse.locator("#promote > summary")).to_be_visible(timeout=PATIENCE)
    press(browse, "promote", "seen enough")
    expect(browse.locator("#d-head .pill")).to_contain_text("live", timeout=PATIENCE)
    expect(browse.locator("#d-light")).to_contain_text(
        "rollback ready", timeout=PATIENCE
    )  # Qdrant is only checked now and then
    expect(browse.locator("#d-collections")).to_contain_text("will be deleted at")


def test_abort_by_keyboard_alone(system, browse):
    started = system.deploy("docs", options=STAY)
    browse.goto(f"/deployments/{started}")
    browse.keyboard.press("Tab")
    assert browse.evaluate("document.activeElement.className") == "skip"
    browse.keyboard.press("Enter")
    expect(browse.locator("#promote > summary")).to_be_visible(timeout=PATIENCE)
    for _ in range(30):
        browse.keyboard.press("Tab")
        if browse.evaluate("document.activeElement.textContent.trim()") == "Abort…":
            break
    outline = browse.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    browse.keyboard.press("Enter")
    browse.keyboard.press("Tab")
    browse.keyboard.type("by keyboard")
    browse.keyboard.press("Enter")
    expect(browse.locator("#d-head .pill")).to_contain_text("rolled back", timeout=PATIENCE)
    assert outline == "solid"
    assert "by keyboard" in str(queries.get_deployment(system.services, started)["events"])


def test_what_is_being_written_survives_a_change_of_the_page(system, browse):
    started = system.deploy("docs", options=STAY)
    browse.goto(f"/deployments/{started}")
    browse.locator("#abort > summary").click()
    browse.locator("#abort-why").type("not y")
    expect(browse.locator("#promote > summary")).to_be_visible(timeout=PATIENCE)
    browse.keyboard.type("et")
    assert browse.locator("#abort-why").input_value() == "not yet"
    browse.keyboard.press("Enter")
    expect(browse.locator("#d-head .pill")).to_contain_text("rolled back", timeout=PATIENCE)


def test_a_press_that_began_before_a_change_of_the_page_counts(system, browse):
    started = system.deploy("docs", options=STAY)
    browse.goto(f"/deployments/{started}")
    # From here on no new button moves the others away from under the pointer.
    keep = browse.locator("summary", has_text="Abort, keep it serving")
    expect(keep).to_be_visible(timeout=PATIENCE)
    browse.locator("#abort > summary").hover()
    with browse.expect_response(f"**/deployments/{started}") as fresh:
        browse.mouse.down()
    fresh.value.finished()
    browse.wait_for_timeout(100)
    browse.mouse.up()
    expect(browse.locator("#abort-why")).to_be_visible()
    browse.locator("#abort-why").fill("enough")
    browse.keyboard.press("Enter")
    expect(browse.locator("#d-head .pill")).to_contain_text("rolled back", timeout=PATIENCE)


def test_a_rejected_gate_is_read(system, browse):
    options = {"validation": {"min_top_score": 0.9}}
    system.ended(
        browse, system.deploy("docs", source="jsonl:bad.jsonl", options=options), "rolled back"
    )
    row = browse.locator("#d-gate tr", has_text="min_top_score")
    expect(row).to_contain_text("≥ 0.9")
    expect(row).to_contain_text("✖")
    expect(browse.locator("#d-gate")).to_contain_text("cooking")


def test_three_clicks_from_home_lead_to_why_and_since_when_and_to_the_way_back(system, browse):
    """The walk of a person who has never seen the pages, after the test before."""
    browse.goto("/")
    browse.locator("#home a[href='/indexes/docs']").first.click()
    first = browse.locator("#i-head")
    expect(first).to_contain_text("serves since")
    expect(first).to_contain_text("It did not go live: validate failed: ")
    first.get_by_role("link", name="Why, and what to do").click()
    browse.wait_for_url("**/deployments/*#gate-h")
    expect(browse.locator("#d-head")).to_contain_text("What to do:")
    expect(browse.locator("#gate-h")).to_be_in_viewport()
    browse.go_back()
    first.get_by_role("link", name="Choose another version").click()
    expect(browse.locator("#versions-h")).to_be_in_viewport()
    row = browse.locator("#versions tr", has_text="a rollback goes here")
    expect(row).to_contain_text("until")
    row.locator("summary", has_text="Roll back to it").click()
    expect(row.locator("form").first).to_contain_text("nothing is rebuilt")


def test_the_log_is_opened_filtered_and_downloaded_by_keyboard(system, browse):
    rejected = next(
        row["id"]
        for row in queries.list_deployments(system.services, "docs")
        if row["status"] == "rolled_back" and "validate failed" in row["message"]
    )
    browse.goto(f"/deployments/{rejected}")
    browse.locator("#log > summary").focus()
    browse.keyboard.press("Enter")
    expect(browse.locator("#d-log")).to_contain_text("populate done -> validate")
    browse.keyboard.press("Tab")
    browse.keyboard.press("w")
    browse.keyboard.press("Tab")
    browse.keyboard.press("Enter")
    browse.wait_for_url("**/deployments/*?level=warning#log-h")
    expect(browse.locator("#d-log td .word")).to_have_text(["⚠warning"])
    expect(browse.locator("#d-log")).not_to_contain_text("populate done")
    with browse.expect_download() as saved:
        browse.get_by_role("link", name="log.txt").press("Enter")
    assert "validate failed" in saved.value.path().read_text()
    assert saved.value.suggested_filename == f"{rejected}.log.txt"


def test_without_javascript_the_same_buttons_work(system):
    with system.page(java_script_enabled=False) as page:
        page.goto("/indexes/other")
        press(page, "deploy", "without a script")
        page.wait_for_url("**/deployments/*")
        address = page.url
        for _ in range(300):
            page.goto(address)
            if "live" in page.locator("#d-head .pill").inner_text():
                break
            page.wait_for_timeout(200)
        assert "live" in page.locator("#d-head .pill").inner_text()
        page.goto("/schedules")
        press(page, "other-rebuild-pause", "no nights")
        expect(page.locator("#s-list")).to_contain_text("no nights")


def observe_searches(services, *collections):
    """Searches of two versions in several intervals of the charts, whatever minute it is, so that
    these have lines."""
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        session.add_all(
            TrafficRow(
                alias="docs",
                stage="",
                variant="live",
                kind="real",
                collection=collection,
                process=f"one {number}",
                sequence=1,
                at=now - timedelta(minutes=number),
                tally=searches(5 + number).to_json(),
            )
            for collection in collections
            for number in range(2, 60, 8)
        )


def test_no_page_hides_anything_from_anybody_light_or_dark(system):
    """Checks every page with axe, with every form open."""
    control, treatment = [
        row["green"]
        for row in queries.list_deployments(system.services, "docs")
        if row["status"] == "live"
    ][:2]
    live = queries.list_aliases(system.services)["docs"]
    other = treatment if live == control else control
    experiment = experiment_commands.create_experiment(
        system.services, "clicks-anew", live, [other], actor="anna"
    )
    observe_searches(system.services, live, other)
    system.faults.clear()
    started = [
        f"/deployments/{row['id']}" for row in queries.list_deployments(system.services, limit=2)
    ]
    paths = [
        *LISTS,
        *started,
        f"{started[0]}?level=info",
        "/indexes/docs",
        "/indexes/docs/ask?query=python",
        "/indexes/docs/judged",
        f"/experiments/{experiment}",
        "/login",
        "/deployments/nosuch",
    ]
    found = []
    with system.page() as page:
        page.goto("/indexes/docs")
        assert page.locator('[data-chart="p95"] svg.plot path.course').count() > 0
        for path in (*paths, "/indexes/docs/compare?one=1&other=2"):
            page.goto(path)
            page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
            for scheme, rules in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
                page.emulate_media(color_scheme=scheme)
                answer = Axe().run(page, options=rules).response
                found += [
                    f"{path} {scheme}: {fault['id']} "
                    f"{[node['html'][:120] for node in fault['nodes'][:3]]}"
                    for fault in answer["violations"]
                ]
    assert found == []
    assert [
        fault
        for fault in system.faults
        if "status of 404" not in fault and "status of 409" not in fault
    ] == []
