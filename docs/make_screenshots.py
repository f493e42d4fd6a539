"""Photographs the pages of a running system: ``python -m docs.make_screenshots`` writes
``docs/images/page-*.png``.

Needs Debian's chromium and the Qdrant of ``make tools``. The system itself did everything that is
shown, on the texts of Python's own documentation; the users who search are simulated.
"""

import contextlib
import json
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from playwright.sync_api import Browser, Page, StorageState, sync_playwright

from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.deployments import backups, commands
from qdrant_rollouts.core.experiments import commands as experiment_commands
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.routing import Router
from qdrant_rollouts.interfaces.access import tokens
from qdrant_rollouts.interfaces.demo import texts
from qdrant_rollouts.interfaces.demo.texts import Text
from qdrant_rollouts.interfaces.demo.versions import QUERIES
from qdrant_rollouts.interfaces.embedded import Embedded
from qdrant_rollouts.interfaces.http import serving
from qdrant_rollouts.interfaces.http.app import make_app
from tests.servers import Qdrant

IMAGES = Path(__file__).parent / "images"
_WIDE = {"width": 1240, "height": 860}
_PHONE = {"width": 390, "height": 844}
_LOW = 420
_EMBEDDING = {"model": "hashing:384", "text": "{title}\n{text}"}
_VALIDATION = {
    "queries": list(QUERIES),
    "min_top_score": 0.1,
    "samples": {"records": 100, "queries": 100},
}
_CANARY = {
    "look_seconds": 2,
    "extension": 30,
    "min_searches": 40,
    "min_users": 10,
    "margins": {"p95": 1.5, "error_rate": 0.2},
}
_LOGIN = "Your session has expired. Sign in to continue reading."


@dataclass(frozen=True, slots=True)
class Simulation:
    """How much people do before the photographs are taken."""

    documents: int = 700
    #: Minutes of each of the two canary stages before the one that is shown.
    stage_minutes: float = 0.15
    #: Seconds for which the shown stage is observed.
    observed_seconds: float = 25.0
    #: Users of the experiment, one every 40 ms.
    cooks: int = 600


def main(folder: Path, simulation: Simulation = Simulation()) -> None:
    with _folder(), Qdrant() as qdrant:
        settings = Settings.model_construct(
            qdrant_url=qdrant.url, qdrant_grpc_port=qdrant.grpc_port
        )
        known = texts.collect_texts()[: simulation.documents]
        _declare(known, simulation)
        with _running(settings) as (system, address), sync_playwright() as playwright:
            stage = Stage(system, known, simulation)
            shown = stage.set_up()
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            token = tokens.create_token(system.services, "anna", ["deploy"], actor="ben@cli")[
                "token"
            ]
            camera = Camera(browser, address, token, folder)
            with stage.searched():
                stage.canary()
                for name, path in shown.items():
                    camera.photograph(path, name)
                canary = f"/deployments/{stage.under_way}"
                camera.photograph(canary, "deployment")
                camera.photograph(canary, "deployment-dark", scheme="dark")
                camera.photograph("/", "home-phone", size=_PHONE)
                camera.photograph(canary, "deployment-phone", size=_PHONE)
            browser.close()


@contextlib.contextmanager
def _folder() -> Iterator[None]:
    """The pages show the paths of sources, so this path belongs to no machine and no other run."""
    with tempfile.TemporaryDirectory(prefix="rollouts-") as folder, contextlib.chdir(folder):
        yield


@contextlib.contextmanager
def _running(settings: Settings) -> Iterator[tuple[Embedded, str]]:
    """Starts what ``rollouts up`` starts."""
    system = Embedded(settings)
    with contextlib.ExitStack() as stack:
        door = stack.enter_context(serving.bind_socket(system.services, settings, "127.0.0.1", 0))
        stack.enter_context(system)
        stack.enter_context(serving.serve_beside(make_app(system.services, settings), door))
        yield system, serving.socket_url(door)
    system.services.close()


def _declare(known: Sequence[Text], simulation: Simulation) -> None:
    _write("manual.jsonl", known)
    _write("early.jsonl", [text for text in known if text.share < 80])
    _write("crawled.jsonl", [text._replace(body=_LOGIN) for text in known])
    spec: dict[str, Any] = {"embedding": _EMBEDDING, "validation": _VALIDATION}
    spec["soak"] = {"seconds": 2, "interval_seconds": 1}
    before = simulation.stage_minutes
    stages = [(10, before), (25, before), (50, 30), (100, 0)]
    canary = {
        **_CANARY,
        "stages": [{"percentage": share, "duration_minutes": minutes} for share, minutes in stages],
    }
    indexes = {
        "documentation": {
            **spec,
            "source": "jsonl:manual.jsonl",
            "rebuild": "0 2 * * *",
            "canary": canary,
        },
        "support": {
            **spec,
            "source": "jsonl:early.jsonl",
            "rebuild": {"cron": "30 3 * * *", "zone": "Europe/Berlin"},
        },
        "recipes": {**spec, "source": "jsonl:early.jsonl", "retention": {"versions": 3}},
        "releases": {**spec, "source": "jsonl:manual.jsonl"},
    }
    Path("rollouts.yaml").write_text(
        yaml.safe_dump({"indexes": indexes}, sort_keys=False), encoding="utf-8"
    )


def _write(name: str, known: Sequence[Text]) -> None:
    records = [{"id": text.name, "title": text.name, "text": text.body[:600]} for text in known]
    Path(name).write_text(
        "".join(json.dumps(record) + "\n" for record in records), encoding="utf-8"
    )


class Stage:
    """Brings the system into the states that are shown."""

    def __init__(self, system: Embedded, known: Sequence[Text], simulation: Simulation) -> None:
        self._simulation = simulation
        self._services = system.services
        self._known = known
        self._router = Router(system.services)
        self.under_way = ""

    def set_up(self) -> dict[str, str]:
        """Returns path by name of the picture."""
        self._through("documentation", source="jsonl:early.jsonl")
        self._through("support")
        self._through("recipes")
        rejected = self._through("support", source="jsonl:crawled.jsonl", actor="nightly@beat")
        experiment = self._experiment()
        first = backups.create_backup(
            self._services, "documentation", actor="anna", reason="before the new encoder"
        )
        self._until(first, "live")
        checked = backups.verify_backup(self._services, backup=first, actor="anna")
        self._until(checked, "live")
        return {
            "home": "/",
            "rejected": f"/deployments/{rejected}",
            "deployments": "/deployments",
            "index": "/indexes/documentation?period=1h",
            "compare": "/indexes/recipes/compare?one=1&other=2",
            "ask": "/indexes/recipes/ask?query=run+tasks+at+once&left=1&right=2",
            "experiments": "/experiments",
            "experiment": f"/experiments/{experiment}",
            "schedules": "/schedules",
            "backups": "/backups",
            "alerts": "/alerts",
            "events": "/events",
        }

    def canary(self) -> None:
        """A canary in its third stage; and another index paused by a person."""
        held = commands.start_deployment(
            self._services,
            "releases",
            actor="ben@cli",
            options={"soak": {"seconds": 600, "interval_seconds": 5}},
        )
        self.under_way = commands.start_deployment(
            self._services,
            "documentation",
            actor="anna@cli",
            strategy="canary",
            reason="release 3.14 of the manual",
        )
        _until(
            lambda: any(step["started_at"] for step in self._steps(held) if step["name"] == "soak")
        )
        commands.request_action(
            self._services,
            held,
            Event.PAUSE,
            actor="ben@cli",
            reason="the release notes are not out yet",
        )
        _until(
            lambda: any(
                (step["progress"] or {}).get("set") == 50 for step in self._steps(self.under_way)
            )
        )
        threading.Event().wait(self._simulation.observed_seconds)

    @contextlib.contextmanager
    def searched(self) -> Iterator[None]:
        """Users search the documentation until the end of the block."""
        stopped = threading.Event()
        crowd = [
            threading.Thread(target=self._search, args=(stopped, seed), daemon=True)
            for seed in range(3)
        ]
        for one in crowd:
            one.start()
        try:
            yield
        finally:
            stopped.set()
            for one in crowd:
                one.join()
            self._router.close()

    def _search(self, stopped: threading.Event, seed: int) -> None:
        drawn = random.Random(seed)
        while not stopped.wait(0.01):
            text = drawn.choice(self._known)
            self._router.search("documentation", text.name, f"user-{drawn.randrange(2000)}", 5)

    def _through(self, alias: str, actor: str = "anna@cli", **arguments: Any) -> str:
        started = commands.start_deployment(self._services, alias, actor=actor, **arguments)
        self._until(started, "live", "rolled_back")
        return started

    def _until(self, id: str, *ends: str) -> None:
        _until(lambda: queries.get_deployment(self._services, id)["status"] in ends)

    def _steps(self, id: str) -> list[dict[str, Any]]:
        steps: list[dict[str, Any]] = queries.get_deployment(self._services, id)["steps"]
        return steps

    def _experiment(self) -> str:
        """The shorter recipes compared with the whole, by users who click a little more on the
        whole."""
        control = queries.list_aliases(self._services)["recipes"]
        self._through("recipes", source="jsonl:manual.jsonl")
        treatment = queries.list_aliases(self._services)["recipes"]
        commands.switch_alias(
            self._services, "recipes", control, actor="anna@cli", reason="to compare the two"
        )
        options = {"look_minutes": 0.1, "n_star": 2000, "min_days": 0, "max_days": 1}
        started = experiment_commands.create_experiment(
            self._services,
            "whole-manual",
            control,
            [treatment],
            actor="anna@cli",
            metrics=["clicks"],
            options=options,
        )
        drawn = random.Random(5)
        pace = threading.Event()
        for user in range(self._simulation.cooks):
            answer = self._router.search(
                "recipes", drawn.choice(self._known).name, f"cook-{user}", 5
            )
            if drawn.random() < (0.42 if answer.variant == "treatment" else 0.36):
                self._router.track_feedback(
                    started, answer.variant, "clicks", 1.0, user_id=f"cook-{user}"
                )
            pace.wait(0.04)
        return started


def _until(found: Callable[[], object], seconds: float = 180) -> None:
    pause = threading.Event()
    ends = time.monotonic() + seconds
    while not found():
        if time.monotonic() > ends:
            raise TimeoutError("the system did not come into the state that was to be shown")
        pause.wait(0.2)


class Camera:
    """Signed in by token, like every user except at the machine itself."""

    def __init__(self, browser: Browser, address: str, token: str, folder: Path) -> None:
        self._browser = browser
        self._address = address
        self._folder = folder
        self._session: StorageState | None = None
        self.photograph("/login", "login", height=_LOW)
        with self._page() as page:
            page.goto(f"{address}/login")
            page.get_by_label("Token").fill(token)
            page.get_by_role("button", name="Sign in").click()
            page.get_by_role("heading", name="Indexes").wait_for()
            self._session = page.context.storage_state()

    def photograph(
        self, path: str, name: str, size: Any = _WIDE, scheme: Any = "light", height: int = 0
    ) -> None:
        with self._page(viewport=size, color_scheme=scheme) as page:
            page.goto(self._address + path)
            page.wait_for_load_state("load")
            tall = height or min(
                page.evaluate("document.documentElement.scrollHeight"), 2 * size["height"]
            )
            clip = {"x": 0, "y": 0, "width": size["width"], "height": tall}
            page.screenshot(path=str(self._folder / f"page-{name}.png"), full_page=True, clip=clip)
        print(f"{self._folder.name}/page-{name}.png  {path}")

    @contextlib.contextmanager
    def _page(self, **options: Any) -> Iterator[Page]:
        with contextlib.closing(
            self._browser.new_context(
                locale="en-GB", timezone_id="UTC", storage_state=self._session, **options
            )
        ) as context:
            yield context.new_page()


if __name__ == "__main__":
    main(IMAGES)
