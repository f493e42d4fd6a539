"""Twenty workers are killed while they send alerts: no alert is lost, and a receiver that compares
the id, as Standard Webhooks asks, gets each change once."""

import json
import os
import signal
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
from tests.acceptance.installation import BRISK, Installation
from tests.receivers import Receiver, http_receiver

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CHANGES = 25
KILLS = 20
#: Longer than the claim on a delivery.
LEASE = timedelta(seconds=61)


class Killer:
    """Kills the sending process when each of the first twenty messages arrives for the first time.
    Every second message is accepted before that, the others are not."""

    def __init__(self, house: Installation) -> None:
        self.house = house
        self.killed: dict[str, bool] = {}

    def __call__(self, headers: dict[str, str], port: int) -> bool | None:
        """Returns whether the message is accepted although its sender dies; None if the sender
        lives."""
        id = headers["webhook-id"]
        if id in self.killed or len(self.killed) == KILLS:
            return None
        (sender,) = [child for child in self.house.worker.children() if _talks_from(child, port)]
        self.killed[id] = len(self.killed) % 2 == 0
        os.kill(sender, signal.SIGKILL)
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


def move_clock(house: Installation, by: timedelta) -> None:
    """Writes the file in one act, so a reader never finds half of it."""
    (house.folder / "clock.new").write_text(str(by.total_seconds()))
    (house.folder / "clock.new").replace(house.folder / "clock")


def test_alerts_arrive_once_for_each_change_by_their_id_through_twenty_killed_workers(
    house, receiver, figure
):
    wanted = changed(house)
    assert len(wanted) == CHANGES
    killer = Killer(house)
    receiver.instead = killer

    for number in range(1, KILLS + 1):

        def died(number: int = number) -> bool:
            deliver(house)
            return len(killer.killed) >= number

        house.until(died, 120, f"kill {number} of {KILLS}")
        move_clock(house, number * LEASE)

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
