"""Messages that no worker takes: how many wait in a real Redis, on a day that the test moves."""

import dataclasses
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from celery import Celery, Task
from celery.contrib.testing.worker import start_worker

from qdrant_rollouts.adapters.celery import CeleryKnocker, make_app
from qdrant_rollouts.adapters.waiting import Queues, make_id
from qdrant_rollouts.beat_schedule import SCHEDULE
from qdrant_rollouts.core.config.index_file import ConcurrencySpec
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.deployments import engine
from qdrant_rollouts.core.experiments import commands as experiments
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.operations.sweeps import SWEEPS
from qdrant_rollouts.core.ports import Knock
from qdrant_rollouts.core.services import Times
from qdrant_rollouts.tasks import resting
from qdrant_rollouts.tasks.factory import create_app
from qdrant_rollouts.tasks.ticks import Ticks
from qdrant_rollouts.wiring import PerProcess
from tests.servers import Redis
from tests.two_versions import build_two_versions, change, content, sides
from tests.world import World, texts

DAY = 86_400
SCHEDULES = 200
RUNNING = 50
#: A look at a queue holds for a second, and a message is sent once in five.
LOOK = 1.1
SENT = 5.1


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with Redis() as made:
        yield made


@pytest.fixture
def client(server: Redis) -> Iterator[redis.Redis]:
    server.flushall()
    with redis.Redis.from_url(server.url) as made:
        yield made


@pytest.fixture
def app(server: Redis, ready_sqlite_url: str) -> Iterator[Celery]:
    made = make_app(Settings(_env_file=None, broker_url=server.url, database_url=ready_sqlite_url))
    made.conf.beat_schedule = SCHEDULE
    yield made
    made.close()


@pytest.fixture
def house(server: Redis, ready_sqlite_url: str, tmp_path: Path) -> Iterator[tuple[World, Celery]]:
    """The tasks as a worker has them, over the hand-moved clock; nobody takes a message."""
    world = World(tmp_path, ready_sqlite_url)
    world.concurrency = ConcurrencySpec(rebuilds=1000, per_model=1000)
    settings = Settings(_env_file=None, broker_url=server.url, database_url=ready_sqlite_url)
    app = create_app(settings, services=PerProcess(lambda: world.services))
    world.services = dataclasses.replace(
        world.services, knock=CeleryKnocker(app), times=Times(turn_time=5.0)
    )
    yield world, app
    app.close()
    world.close()


def things(client: redis.Redis, queue: str) -> Counter[str]:
    """What each waiting message is about."""
    ids = [json.loads(message)["headers"]["id"] for message in client.lrange(queue, 0, -1)]
    return Counter(one.rpartition("-")[0] for one in ids)


def sweep(app: Celery) -> None:
    for name in ("deployments.rouse", "schedules.sweep"):
        app.tasks[name]()


@pytest.mark.parametrize("name", SWEEPS)
def test_the_sweep_of_turns_knocks_though_another_sweep_came_just_before(
    house: tuple[World, Celery], client: redis.Redis, name: str
):
    """They come from one beat, and may keep step for minutes."""
    world, app = house
    world.declare("docs", source=world.write("docs.jsonl", texts(3)))
    deployment = world.deploy("docs")
    client.flushall()
    time.sleep(LOOK)
    world.clock.move(60)
    app.tasks[name]()
    app.tasks["deployments.rouse"]()
    assert f"{deployment[:8]}-t001" in things(client, "bulk")


@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_in_a_day_without_a_worker_one_message_waits_for_each_thing_that_is_due(
    house: tuple[World, Celery], client: redis.Redis, effort: Callable[[int, int], int]
):
    """Of 200 schedules of which 50 have begun their deployment, and of what beat and three workers
    ask for."""
    world, app = house
    source = world.write("docs.jsonl", texts(3))
    for number in range(SCHEDULES):
        world.declare(f"docs{number}", source=source, rebuild="0 2 * * *")
    sweep(app)
    world.clock.move(DAY)
    sweep(app)
    assert sum(things(client, "bulk").values()) == SCHEDULES
    for run in range(1, RUNNING + 1):
        app.tasks["schedules.take_up"](run)
    client.flushall()
    time.sleep(LOOK)
    asking = [Ticks(app) for _ in range(4)]
    sweeps = effort(12, 1440)
    for _ in range(sweeps):
        world.clock.move(DAY / sweeps)
        sweep(app)
        for one in asking:
            one.send_due()
        assert max(things(client, "bulk").values()) == 1
        assert max(things(client, "rouse").values()) == 1
    due = things(client, "bulk")
    assert len([thing for thing in due if thing.startswith("run-")]) == SCHEDULES - RUNNING
    assert len(due) == SCHEDULES
    assert set(things(client, "rouse")) == {
        f"tick-{entry['task']}" for entry in app.conf.beat_schedule.values()
    }


def test_one_that_was_lost_among_others_that_wait_is_sent_again(
    house: tuple[World, Celery], client: redis.Redis
):
    world, app = house
    for number in range(5):
        world.declare(f"docs{number}", source=world.write("docs.jsonl", texts(3)))
        world.deploy(f"docs{number}")
    lost = client.lrange("bulk", 2, 2)[0]
    client.lrem("bulk", 1, lost)
    time.sleep(SENT)
    world.clock.move(world.services.times.knock_again_after + 1)
    sweep(app)
    assert things(client, "bulk")[json.loads(lost)["headers"]["id"].rpartition("-")[0]] == 1
    assert sum(things(client, "bulk").values()) == 5


@contextmanager
def take(app: Celery, queue: str) -> Iterator[None]:
    """Takes the next message of a queue as a worker does that does not begin it."""
    with app.connection_for_read() as connection:
        channel = connection.channel()
        message = channel.basic_get(queue)
        assert message is not None
        yield
        channel.qos.ack(message.delivery_tag)


def test_a_turn_whose_message_a_worker_has_taken_and_not_begun_is_not_asked_for_again(
    house: tuple[World, Celery], client: redis.Redis
):
    """A machine under load needs seconds between the two."""
    world, app = house
    world.declare("docs", source=world.write("docs.jsonl", texts(3)))
    world.deploy("docs")
    with take(app, "bulk"):
        for key in client.scan_iter("rollouts.*"):
            client.delete(key)  # as if it had been sent more than five seconds ago
        time.sleep(LOOK)
        world.clock.move(world.services.times.knock_again_after + 1)
        sweep(app)
        assert things(client, "bulk") == {}


@pytest.mark.parametrize(
    ("taken", "lost"), [(0, False), (-5, False), (-11, True), (7200, True)], ids=str
)
def test_a_message_that_does_not_begin_counts_as_lost_after_ten_seconds_by_any_clock(
    app: Celery, client: redis.Redis, taken: int, lost: bool
):
    """Its worker may have died with it, and the clock of Redis may have been set back since."""
    CeleryKnocker(app)(knock(1, again=False))
    with take(app, "bulk"):
        (tag,) = client.zrange("unacked_index", 0, -1)
        client.zincrby("unacked_index", taken, tag)
        assert Queues(app).calls_for("bulk", "00000001-t007") is lost


def test_a_periodic_task_that_a_worker_has_taken_holds_up_no_next_one(
    app: Celery, client: redis.Redis
):
    """A worker that dies with it would stop the sweep."""
    app.conf.beat_schedule = {"rouse": SCHEDULE["rouse"]}
    ticks = Ticks(app)
    ticks.send_due()
    with take(app, "rouse"):
        time.sleep(LOOK)
        ticks.send_due()
        assert dict(things(client, "rouse")) == {"tick-deployments.rouse": 1}


def test_a_person_who_asks_again_and_again_sends_no_heap(
    house: tuple[World, Celery], client: redis.Redis
):
    world, app = house
    world.declare("docs", source=world.write("docs.jsonl", texts(3)))
    deployment = world.deploy("docs")
    for wish in (Event.PAUSE, Event.ABORT):
        engine.store_request(world.services, deployment, wish, "anna")
        sweep(app)
        world.clock.move(1)
    assert list(things(client, "bulk").values()) == [1]


def test_of_two_who_find_it_missing_in_the_same_moment_one_sends(app: Celery, client: redis.Redis):
    """As whoever writes a deployment down, and the sweep that finds it before he has knocked."""
    both = CeleryKnocker(app), CeleryKnocker(app)
    assert [one._queues.lacks("bulk", "00000001-t007") for one in both] == [True, True]
    for one in both:
        one(knock(1, again=True))
    assert client.llen("bulk") == 1


def knock(number: int, again: bool) -> Knock:
    return Knock(
        f"{number:08d}abcd", 7, "populate", "bulk", label=f"docs turn {number}", again=again
    )


def test_a_message_is_found_under_each_key_of_its_queue(app: Celery, client: redis.Redis):
    """The transport keeps a queue by priority."""
    for priority in (0, 3, 6, 9):
        app.send_task(
            "any",
            queue="bulk",
            task_id=make_id(f"of-{priority}"),
            priority=priority,
            ignore_result=True,
        )
    assert client.llen("bulk") == 1
    queues = Queues(app)
    assert [queues.lacks("bulk", f"of-{number}") for number in (0, 3, 6, 9, 1)] == [False] * 4 + [
        True
    ]


def test_what_others_put_into_a_queue_is_no_message_of_ours(app: Celery, client: redis.Redis):
    client.lpush("bulk", "no JSON", json.dumps({"headers": {}, "body": "tick-a-1"}), b"\xff\x00")
    app.send_task("any", queue="bulk", kwargs={"id": "tick-a-1"}, ignore_result=True)
    assert Queues(app).lacks("bulk", "tick-a")


def test_a_look_at_ten_thousand_messages_is_short(app: Celery, client: redis.Redis):
    knocker = CeleryKnocker(app)
    knocker(knock(1, again=False))
    (message,) = client.lrange("bulk", 0, -1)
    with client.pipeline() as pipe:
        for _ in range(10_000):
            pipe.lpush("bulk", message)
        pipe.execute()
    queues = Queues(app)
    started = time.process_time()
    assert not queues.lacks("bulk", "00000001-t007")
    assert time.process_time() - started < 1.0
    started = time.process_time()
    assert [number for number in range(200) if not queues.lacks("bulk", f"{number:08d}-t007")] == [
        1
    ]
    assert time.process_time() - started < 0.1


def test_a_broker_that_is_away_is_no_reason_to_raise(
    app: Celery, server: Redis, client: redis.Redis
):
    knocker = CeleryKnocker(app)
    ticks = Ticks(app)
    with server.stopped():
        knocker(knock(1, again=True))
        assert ticks.send_due() == 1.0
    knocker(knock(1, again=True))
    assert client.llen("bulk") == 1
    ticks.send_due()
    assert len(things(client, "rouse")) == len(app.conf.beat_schedule)


def test_what_nobody_takes_for_a_while_workers_of_another_queue_do_instead(
    app: Celery, client: redis.Redis
):
    """Of all of them one, before what waits there; and nobody does while it is taken."""
    app.conf.beat_schedule = {"rouse": SCHEDULE["rouse"]}
    left = [Ticks(app, lambda: ("bulk",)) for _ in range(3)]
    client.lpush("bulk", "a turn that waits")
    for _ in range(20):
        for one in left:
            one.send_due()
        client.delete("rouse")
        time.sleep(0.3)
    assert client.llen("bulk") == 1
    for _ in range(30):
        for one in (*left, Ticks(app), Ticks(app, lambda: ("control", "rouse"))):
            one.send_due()
        time.sleep(0.3)
    assert dict(things(client, "rouse")) == {"tick-deployments.rouse": 1}
    *others, first = client.lrange("bulk", 0, -1)
    assert others == [b"a turn that waits"]
    assert json.loads(first)["headers"]["task"] == "deployments.rouse"
    assert client.llen("control") == 0


def test_where_a_queue_can_only_be_counted_knocks_become_rare(ready_sqlite_url: str):
    app = make_app(Settings(_env_file=None, broker_url="memory://", database_url=ready_sqlite_url))
    app.conf.beat_schedule = {
        "rouse": {"task": "deployments.rouse", "schedule": 0.0, "options": {"queue": "rouse"}}
    }
    knocker = CeleryKnocker(app)
    ticks = Ticks(app)
    queues = Queues(app)
    for _ in range(1000):
        for number in range(3):
            knocker(knock(number, again=True))
        ticks.send_due()
    assert 3 <= queues._count("bulk") <= 3 * 11
    assert 1 <= queues._count("rouse") <= 11
    assert queues._count("nobody asked for this one") == 0
    app.close()


def test_the_sweep_asks_a_bulk_worker_once_for_what_a_treatment_lacks(
    house: tuple[World, Celery], client: redis.Redis
):
    world, app = house
    world.change_services(knock=world.broker)
    build_two_versions(world)
    control, treatment = sides(world)
    experiments.create_experiment(world.services, "x", control, [treatment], actor="anna")
    change(world, control)
    for _ in range(3):
        app.tasks["writes.follow"].apply()
        time.sleep(LOOK)
    assert client.llen("bulk") == 1
    with start_worker(
        app, pool="solo", perform_ping_check=False, queues=["bulk"], loglevel="error"
    ):
        until = time.monotonic() + 60
        while content(world, treatment) != content(world, control):
            assert time.monotonic() < until
            time.sleep(0.05)
    app.tasks["writes.follow"].apply()
    assert client.llen("bulk") == 0, "the next comparison waits for its pause"


def test_a_message_that_rests_carries_no_time_and_is_taken_up_when_it_has_rested(
    app: Celery, server: Redis, client: redis.Redis
):
    """Its receiver's clock need not be its sender's."""
    ran: list[float] = []

    def work(self: Task) -> None:
        ran.append(time.monotonic())
        if len(ran) < 3:
            raise self.retry(max_retries=5, **resting.rest(0.5))

    app.task(work, name="tired", bind=True, shared=False, Strategy="tasks.resting:strategy")
    app.send_task("tired", ignore_result=True)
    with start_worker(
        app, pool="solo", perform_ping_check=False, queues=["control"], loglevel="error"
    ):
        until = time.monotonic() + 60
        while len(ran) < 3 and time.monotonic() < until:
            time.sleep(0.05)
    assert len(ran) == 3
    assert all(later - before >= 0.5 for before, later in itertools.pairwise(ran))
