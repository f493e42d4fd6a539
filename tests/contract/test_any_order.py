"""Whatever a broker, a clock and operators do, in any order, the index is served and the deployment
ends well."""

import os
import random
import tempfile
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from qdrant_rollouts.core.collections.deletion import deletions
from qdrant_rollouts.core.deployments import claims, commands, engine
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.lifecycle import Event
from tests.databases import SqlitePool
from tests.world import World, texts

_FINAL = ("live", "rolled_back")


@pytest.fixture(scope="module", autouse=True)
def _databases(sqlite_pool: SqlitePool) -> None:
    Deployments.databases = sqlite_pool


class Deployments(RuleBasedStateMachine):
    """Rules are what the surroundings may do; the engine has to cope with any sequence of them."""

    databases: ClassVar[SqlitePool]

    @initialize()
    def start(self) -> None:
        self.stack = ExitStack()
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        database = self.stack.enter_context(self.databases.lend())
        self.world = self.stack.enter_context(closing(World(folder, database)))
        self.world.declare(
            "docs", source=self.world.write("docs.jsonl", texts(20)), grace_period_minutes=1
        )
        self.world.deploy("docs")
        self.world.run()
        self.files = 0
        self.deployments: list[str] = []
        self.asked_to_stop: set[str] = set()
        self.deaths: Counter[str] = Counter()
        self.ended: dict[str, Any] = {}

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        with self.stack:
            self._end_all()

    def _end_all(self) -> None:
        for _ in range(100):
            if all(self.status(id)["status"] in _FINAL for id in self.deployments):
                break
            self._release()
            self.world.clock.move(self.world.services.times.lease + 16)
            engine.knock_overdue_turns(self.world.services)
            self.world.run()
        for deployment in self.deployments:
            self.check_end(self.status(deployment))

    def status(self, deployment: str) -> dict[str, Any]:
        return self.world.status(deployment)

    def check_end(self, status: dict[str, Any]) -> None:
        # A turn that kills so many workers in a row ends its deployment, and says so.
        most = self.world.services.times.crashes
        told = f"died or was stopped {most} times in the middle of the same piece"
        killed = self.deaths[status["id"]] >= most and told in status["message"]
        may_end = status["id"] in self.asked_to_stop or killed
        allowed = _FINAL if may_end else ("live",)
        assert status["status"] in allowed, status["message"]
        switched = [row for row in status["events"] if row["event"] == "alias.switched"]
        if status["status"] == "live":
            assert len(switched) == 1
        else:
            assert len(switched) in (0, 2)
            assert status["green"] not in self.world.store.collections()

    def _release(self) -> None:
        for deployment in self.deployments:
            status = self.status(deployment)
            if status["status"] == "paused" and status["requested"] is None:
                held = self.world.step(deployment, "validate")["status"] == "waiting"
                wish = Event.PROMOTE if held else Event.RESUME
                commands.request_action(self.world.services, deployment, wish, actor="anna")

    @rule(count=strategies.integers(1, 40))
    def deploy(self, count: int) -> None:
        self.files += 1
        source = self.world.write(f"docs-{self.files}.jsonl", texts(count))
        try:
            self.deployments.append(self.world.deploy("docs", source=source))
        except Refused:
            assert self.status(self.deployments[-1])["status"] not in _FINAL

    @rule()
    def deliver(self) -> None:
        knock = self.world.broker.take_next()
        if knock:
            self.world.turn(knock)

    @rule(seed=strategies.integers(0, 1000))
    def deliver_another_first(self, seed: int) -> None:
        random.Random(seed).shuffle(self.world.broker.waiting)
        if self.world.broker.waiting:
            self.world.turn(self.world.broker.waiting.pop()[1])

    @rule()
    def double(self) -> None:
        self.world.broker.waiting += self.world.broker.waiting[:2]

    @rule()
    def lose(self) -> None:
        self.world.broker.waiting.clear()

    @rule()
    def die_in_a_turn(self) -> None:
        knock = self.world.broker.take_next()
        if knock:
            claims.claim_turn(self.world.services, knock.deployment_id, knock.turn, "dies")
            self.deaths[knock.deployment_id] += 1

    @rule(seconds=strategies.sampled_from([1, 20, 45, 400]))
    def wait(self, seconds: float) -> None:
        self.world.clock.move(seconds)
        engine.knock_overdue_turns(self.world.services)
        deletions.delete_due(self.world.services)

    @rule(wish=strategies.sampled_from([Event.PAUSE, Event.RESUME, Event.PROMOTE, Event.ABORT]))
    def ask(self, wish: Event) -> None:
        if not self.deployments:
            return
        deployment = self.deployments[-1]
        if wish is Event.ABORT:
            self.asked_to_stop.add(deployment)
        try:
            commands.request_action(self.world.services, deployment, wish, actor="anna")
        except Refused:
            return

    @invariant()
    def the_index_is_served(self) -> None:
        if hasattr(self, "world"):
            assert self.world.store.aliases()["docs"] in self.world.store.collections()
            assert self.world.store.count("docs") > 0

    @invariant()
    def an_end_stays_an_end(self) -> None:
        for deployment in getattr(self, "deployments", []):
            status = self.status(deployment)
            if deployment in self.ended:
                assert status["status"] == self.ended[deployment]
            elif status["status"] in _FINAL:
                self.ended[deployment] = status["status"]


#: The same sequences in every run of the suite, and new ones in `make proof`.
_MANY = bool(os.environ.get("ROLLOUTS_TEST_PROOF"))

TestAnyOrder = pytest.mark.proof(Deployments.TestCase)
TestAnyOrder.settings = settings(
    max_examples=300 if _MANY else 25,
    stateful_step_count=40,
    deadline=None,
    derandomize=not _MANY,
)
