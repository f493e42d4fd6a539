"""An index with ``writes: journal`` is rebuilt and rolled back while applications write to it
through our clients, on real servers, by the runner of ``rollouts up``."""

import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.journal import following
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.interfaces.embedded import TIMES, Embedded
from tests.journaled import KINDS, AnyClient, PlainPoints, until
from tests.world import EMBEDDING, UNTIMED, texts
from tests.writers import make_vector, tell

RECORDS = 400
#: So many short texts are too much alike for the small model.
LOOSE = {
    "samples": {"records": 12, "queries": 12},
    "min_top_score": -1.0,
    "live_searches_per_second": 10_000,
    "checks": {"self_retrieval": False, **UNTIMED},
}
INDEX = {
    "source": "live",
    "writes": {"way": "journal", "fence_seconds": 10},
    "embedding": EMBEDDING,
    "validation": LOOSE,
    "soak": {"seconds": 1, "interval_seconds": 0.5},
}


class House:
    """``rollouts up`` in this process, and what it serves."""

    def __init__(self, runner: Embedded, folder: Path) -> None:
        self.runner = runner
        self.folder = folder

    @property
    def services(self) -> Any:
        return self.runner.services

    def declare(self, **settings: Any) -> None:
        content = {"indexes": {"docs": {**INDEX, **settings}}}
        (self.folder / "rollouts.yaml").write_text(json.dumps(content), encoding="utf-8")

    def deploy(self, **arguments: Any) -> str:
        return commands.start_deployment(self.services, "docs", actor="anna", **arguments)

    def status(self, deployment: str) -> Any:
        return queries.get_deployment(self.services, deployment)

    def end(self, deployment: str) -> Any:
        until(lambda: self.status(deployment)["finished_at"], 120)
        return self.status(deployment)

    def serving(self) -> str:
        return str(self.services.store.aliases()["docs"])

    def content(self, collection: str) -> dict[int, str]:
        points, _ = self.services.store.scroll(collection, None, 10_000)
        return {int(point.id): tell(point.payload) for point in points}


@pytest.fixture
def house(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ready_url: str,
    qdrant_url: str,
    qdrant_grpc_port: int,
) -> Iterator[House]:
    monkeypatch.setenv("ROLLOUTS_DATABASE_URL", ready_url)
    monkeypatch.setenv("ROLLOUTS_QDRANT_URL", qdrant_url)
    monkeypatch.setenv("ROLLOUTS_QDRANT_GRPC_PORT", str(qdrant_grpc_port))
    lines = [json.dumps(record) for record in texts(RECORDS)]
    (tmp_path / "seed.jsonl").write_text("\n".join(lines), encoding="utf-8")
    runner = Embedded(Settings(_env_file=None), replace(TIMES, turn_time=1.0, ready_look=0.2))
    made = House(runner, tmp_path)
    made.declare()
    with runner:
        seeded = made.deploy(source="jsonl:seed.jsonl")
        assert made.end(seeded)["status"] == "live", made.status(seeded)["message"]
        yield made
    runner.services.close()


class Application(threading.Thread):
    """Writes to points of its own, and knows what must be there."""

    def __init__(self, number: int, client: AnyClient, there: dict[int, str]) -> None:
        super().__init__(daemon=True)
        self.client = client
        spans = [range(first + number * 80, first + number * 80 + 80) for first in (0, 5000)]
        self.ids = [id for span in spans for id in span]
        self.expected = {id: text for id, text in there.items() if id in set(self.ids)}
        self.count = 0
        self.unsure: set[int] = set()
        self.failed: list[BaseException] = []
        self.stopped = threading.Event()
        self.random = random.Random(number)

    def run(self) -> None:
        try:
            while not self.stopped.wait(0.005):
                id = self.random.choice(self.ids)
                try:
                    self.write(id)
                except Unavailable:
                    self.unsure.add(id)
                self.count += 1
        except Exception as error:  # noqa: BLE001  # whatever it is, the test shows it
            self.failed.append(error)

    def write(self, id: int) -> None:
        known = self.expected.get(id)
        chance = self.random.random()
        if known is not None and chance < 0.25:
            self.client.delete("docs", [id])
            del self.expected[id]
        elif known is not None and chance < 0.6:
            note = f"note {self.count}"
            self.client.set_payload("docs", {"note": note}, [id])
            self.expected[id] = f"{known.partition('|')[0]}|{note}"
        else:
            self.upsert(id)

    def upsert(self, id: int) -> None:
        text = f"text {id} written {self.count} about python"
        payload = {"id": id, "text": text}
        made = models.PointStruct(id=id, vector=make_vector(text), payload=payload)
        self.client.upsert("docs", [made])
        self.expected[id] = f"{text}|"


@contextmanager
def applications(house: House, url: str, grpc_port: int) -> Iterator[list[Application]]:
    """One of each kind of client; they write until the end, and ids that got no answer are
    forgotten."""
    there = house.content(house.serving())
    clients = [AnyClient(kind, url, grpc_port) for kind in KINDS]
    made = [Application(number, client, there) for number, client in enumerate(clients)]
    for one in made:
        one.start()
    try:
        yield made
    finally:
        for one in made:
            one.stopped.set()
            one.join()
        for client in clients:
            client.close()


def write_on(made: list[Application], count: int = 60) -> None:
    """Waits until each application has written so many times more."""
    wanted = {one: one.count + count for one in made}
    until(lambda: all(one.failed or one.count >= wanted[one] for one in made))


def wrong(
    made: list[Application], found: dict[int, str]
) -> dict[int, tuple[str | None, str | None]]:
    """Returns what should be there and what is, by the ids where these differ."""
    assert [one.failed for one in made] == [[]] * len(made)
    return {
        id: (one.expected.get(id), found.get(id))
        for one in made
        for id in one.ids
        if id not in one.unsure and one.expected.get(id) != found.get(id)
    }


def test_nothing_is_lost_forward_or_back_while_applications_never_stop_writing(
    house: House, qdrant_url: str, qdrant_grpc_port: int
) -> None:
    old = house.serving()
    with applications(house, qdrant_url, qdrant_grpc_port) as made:
        write_on(made, 20)
        deployed = house.end(house.deploy())
        assert deployed["status"] == "live", deployed["message"]
        new = house.serving()
        assert new != old
        write_on(made)
        back = house.end(
            commands.start_rollback(house.services, "docs", actor="anna", reason="a test")
        )
        assert back["status"] == "live", back["message"]
        assert house.serving() == old
        write_on(made)
    assert wrong(made, house.content(old)) == {}
    # what was rolled away from is kept like it
    until(lambda: not wrong(made, house.content(new)))
    assert sum(one.count for one in made) > 500


def test_a_new_model_follows_and_the_old_one_can_come_back(
    house: House, qdrant_url: str, qdrant_grpc_port: int
) -> None:
    """An application that knows no model changes payloads and deletes points."""
    old = house.serving()
    house.declare(embedding={"model": "hashing:32", "text": "{text}"}, accept_new_model=True)
    client = AnyClient("sync REST", qdrant_url, qdrant_grpc_port)
    deployed = house.end(house.deploy())
    assert deployed["status"] == "live", deployed["message"]
    client.set_payload("docs", {"note": "after the switch"}, [3])
    client.delete("docs", [4])
    until(lambda: house.content(old)[3].endswith("|after the switch"))
    until(lambda: 4 not in house.content(old))
    back = house.end(commands.start_rollback(house.services, "docs", actor="anna"))
    assert back["status"] == "live", back["message"]
    assert "with what was written" in back["message"] or house.serving() == old
    client.close()


def test_who_writes_around_the_journal_is_found_and_brought_over_and_a_person_is_asked(
    house: House, qdrant_url: str
) -> None:
    plain = PlainPoints(qdrant_url)
    stopped = threading.Event()
    written = {"upserts": 0}

    def write_around() -> None:
        while not stopped.wait(0.02):
            id = 900 + written["upserts"]
            made = models.PointStruct(
                id=id, vector=make_vector("a"), payload={"id": id, "text": "a"}
            )
            plain.client.upsert("docs", [made])
            plain.client.delete("docs", [id - 3])
            written["upserts"] += 1

    writer = threading.Thread(target=write_around)
    writer.start()
    deployed = house.deploy()
    try:
        until(lambda: house.status(deployed)["status"] in ("paused", "rolled_back"), 120)
    finally:
        stopped.set()
        writer.join()
    told = house.status(deployed)["message"]
    assert "written around the journal and brought over" in told
    assert "let all writers use our clients" in told
    truth = house.content(house.serving())
    commands.request_action(house.services, deployed, Event.RETRY, actor="anna", reason="ok")
    until(lambda: house.status(deployed)["message"] != told, 120)

    def go_on() -> bool:
        """The look after the first one finds the rest, and nobody writes around it any more."""
        if house.status(deployed)["status"] == "paused":
            with suppress(Refused):
                commands.request_action(
                    house.services, deployed, Event.PROMOTE, actor="anna", reason="ok"
                )
        return bool(house.status(deployed)["finished_at"])

    until(go_on, 120)
    status = house.status(deployed)
    assert status["status"] == "live", status["message"]
    assert house.content(house.serving()) == truth
    plain.client.close()


def test_a_rollback_at_once_lists_what_stays_behind(
    house: House, qdrant_url: str, qdrant_grpc_port: int
) -> None:
    old = house.serving()
    client = AnyClient("sync REST", qdrant_url, qdrant_grpc_port)
    client.set_payload("docs", {"note": "before"}, [1])
    assert house.end(house.deploy())["status"] == "live"
    assert following.claim_following(house.services, "docs", "nobody") is not None
    client.set_payload("docs", {"note": "left"}, [3])
    back = house.end(commands.start_rollback(house.services, "docs", actor="anna", now=True))
    assert back["status"] == "live", back["message"]
    told = {one["name"]: one["message"] for one in back["steps"]}
    assert told["switch"].endswith("written meanwhile and left behind, 1 points: 3")
    assert "1 points of" in told["catch_up"]
    client.set_payload("docs", {"note": "after"}, [3])
    assert house.content(old)[3].endswith("|after")
    client.close()
