"""Twenty workers are killed while they send alerts: no alert is lost, and a receiver that compares
the id, as Standard Webhooks asks, gets each change once."""

import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.adapters.alerts.webhook import sign_body
from qdrant_rollouts.core.database.alert_rows import DeliveryRow, NoticeRow
from tests.acceptance.installation import BRISK, Installation, until
from tests.receivers import Receiver, http_receiver

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CHANGES = 25
KILLS = 20
#: Longer than the claim on a delivery, and than any wait after a failed one.
LONG = timedelta(hours=1)
#: Longer than a sender waits for an answer.
QUIET = 20.0


class Killer:
    """Kills the sending process when each of the first twenty messages arrives for the first time.
    Every second message is accepted before that, the others are not. ``missed`` has the messages
    whose sender was not found; they fail and are sent again later."""

    def __init__(self, house: Installation) -> None:
        self.house = house
        self.killed: dict[str, bool] = {}
        self.missed: list[str] = []

    def __call__(self, headers: dict[str, str], port: int) -> bool | None:
        """Returns whether the message is accepted although its sender gets no answer; None if the
        sender gets one."""
        id = headers["webhook-id"]
        if id in self.killed or len(self.killed) == KILLS:
            return None
        senders = [child for child in self.house.worker.children() if _talks_from(child, port)]
        if len(senders) != 1:
            self.missed.append(f"{id}: of {self.house.worker.children()} {senders} at port {port}")
            return False
        self.killed[id] = len(self.killed) % 2 == 0
        os.kill(senders[0], signal.SIGKILL)
        return self.killed[id]


def _talks_from(pid: int, port: int) -> bool:
    try:
        return any(
            connection.laddr.port == port
            for connection in psutil.Process(pid).net_connections("tcp")
        )
    except psutil.NoSuchProcess:  # a process that was killed a moment ago
        return False


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as made:
        yield made


@pytest.fixture
def house(tmp_path: Path, receiver: Receiver) -> Iterator[Installation]:
    with Installation(tmp_path / "house", "sqlite", times=BRISK) as made:
        hook = {
            "kind": "webhook",
            "url": f"http://127.0.0.1:{receiver.port}/hook",
            "secret": "HOOK_KEY",
        }
        (made.folder / "rollouts.yaml").write_text(
            json.dumps({"alerts": {"channels": {"hook": hook}}})
        )
        (made.folder / ".env").write_text(f"HOOK_KEY={KEY}\n")
        made.run(made.worker)
        yield made


def changed(house: Installation) -> list[str]:
    """Makes real changes, each of which raises an alert; returns the ids of the expected alerts."""
    collection = house.make_collection("articles", points=1)
    for task in [
        house.send(
            "aliases.create_alias", alias_name=f"articles-{number}", collection_name=collection
        )
        for number in range(CHANGES)
    ]:
        house.answer(task, "an alias made")
    with Session(house.engine) as session:
        return list(
            session.scalars(select(NoticeRow.id).where(NoticeRow.what == "alias.moved_by_hand"))
        )


def deliver(house: Installation) -> None:
    """Sends as beat does, and does not wait for the next tick."""
    house.foreign.send_task("alerts.deliver", queue="rouse", expires=5)


def statuses(house: Installation) -> list[Any]:
    with Session(house.engine) as session:
        return list(session.scalars(select(DeliveryRow.status)))


class MovingClock:
    """The database's clock, which a test moves on."""

    def __init__(self, house: Installation) -> None:
        self._folder = house.folder
        self._ahead = timedelta()

    def move_on(self) -> None:
        """Writes the file in one act, so a reader never finds half of it."""
        self._ahead += LONG
        (self._folder / "clock.new").write_text(str(self._ahead.total_seconds()))
        (self._folder / "clock.new").replace(self._folder / "clock")


def wait_for_kill(house: Installation, killer: Killer, clock: MovingClock, number: int) -> None:
    """A message whose sender was not found waits for its next try: the clock is moved on while
    nothing happens."""
    moved = time.monotonic()

    def died() -> bool:
        nonlocal moved
        deliver(house)
        if time.monotonic() - moved > QUIET:
            clock.move_on()
            moved = time.monotonic()
        return len(killer.killed) >= number

    def story() -> str:
        with Session(house.engine) as session:
            rows = session.scalars(select(DeliveryRow).order_by(DeliveryRow.number)).all()
            told = [
                f"{r.number} {r.status} {r.tries} {r.due_at} {r.lease_until} {r.error}"
                for r in rows
            ]
        return "\n".join([house.story(), *told, *killer.missed])

    until(died, 120, f"kill {number} of {KILLS}", story)


def test_alerts_arrive_once_for_each_change_by_their_id_through_twenty_killed_workers(
    house, receiver, figure
):
    wanted = changed(house)
    assert len(wanted) == CHANGES
    killer = Killer(house)
    clock = MovingClock(house)
    receiver.instead = killer

    for number in range(1, KILLS + 1):
        wait_for_kill(house, killer, clock, number)
        clock.move_on()

    def all_sent() -> bool:
        deliver(house)
        return statuses(house) == ["sent"] * CHANGES

    house.until(all_sent, 120, "the last delivery")

    ids = [headers["webhook-id"] for headers, _ in receiver.taken]
    assert set(ids) == set(wanted)
    assert {id: ids.count(id) for id in wanted} == {
        id: 2 if killer.killed.get(id) else 1 for id in wanted
    }
    bodies = {(headers["webhook-id"], body) for headers, body in receiver.taken}
    assert len(bodies) == CHANGES
    for headers, body in receiver.taken:
        assert headers["webhook-signature"] == sign_body(
            KEY, headers["webhook-id"], headers["webhook-timestamp"], body
        )
    assert sorted(json.loads(body)["index"] for _, body in bodies) == sorted(
        f"articles-{n}" for n in range(CHANGES)
    )
    figure(
        f"{KILLS} senders killed: {CHANGES} changes, {len(ids)} messages with a valid signature, "
        f"{CHANGES} ids"
    )
