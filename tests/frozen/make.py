"""Writes down what a release leaves in its database: ``PYTHONPATH=. python tests/frozen/make.py
FILE``, in the tree of that release. The rows are of everything that is kept as JSON: deployments at
rest, under way and in a canary, traffic, an experiment that was looked at, schedules, and alerts
that are yet to be sent. Never make a file anew: it is what that release wrote.
"""

import random
import sqlite3
import sys
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path

from qdrant_rollouts.core.alerts import deliveries
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.errors import Unavailable
from qdrant_rollouts.core.experiments import commands as experiment_commands
from qdrant_rollouts.core.experiments import interim_analysis
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.operations.schedules import sweep
from qdrant_rollouts.core.ports import AlertChannel
from qdrant_rollouts.core.ports.messages import Severity
from qdrant_rollouts.core.routing import exposures, table, traffic
from qdrant_rollouts.core.routing.exposures import Person, UserSearches, unit_of_user
from qdrant_rollouts.core.routing.traffic import TrafficKey
from qdrant_rollouts.core.statistics.traffic_sketch import GROUPS, TrafficSketch
from tests.world import World, texts

STAGES = [{"percentage": 5, "duration_minutes": 2}, {"percentage": 100, "duration_minutes": 0}]
METRICS = ["latency", "latency_p95", "clicks"]
QUICK = {"min_days": 0, "window_hours": 1, "min_conversions": 10, "look_minutes": 1}


def main(file: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "state.db"
        world = World(Path(folder), f"sqlite:///{database}")
        world.channels["dead"] = AlertChannel("dead", Severity.INFO, _fail)
        _indexes(world)
        _canary(world)
        _experiment(world)
        deliveries.deliver_due(world.services)
        world.close()
        with sqlite3.connect(database) as connection:
            written = "\n".join(connection.iterdump()).replace(folder, "/frozen")
            file.write_text(f"{written}\n", encoding="utf-8")


def _fail(notice: object) -> None:
    raise Unavailable("away")


def _indexes(world: World) -> None:
    for alias in ("docs", "shop", "shop_b"):
        checks = {"overlap": {"bound": 0.1, "accept_inconclusive": True}, "latency_p50": False}
        world.declare(
            alias,
            source=world.write(f"{alias}.jsonl", texts(12)),
            rebuild="0 2 * * *",
            canary={"stages": STAGES, "look_seconds": 30},
            validation={"checks": checks},
        )
        world.deploy(alias)
        world.run()
    sweep.sweep_schedules(world.services)
    paused = world.deploy("shop_b")
    world.run(until=world.at(paused, "validate"))
    commands.request_action(
        world.services, paused, Event.PAUSE, actor="anna", reason="to look at it"
    )
    world.run()


def _canary(world: World) -> None:
    started = world.deploy("docs", strategy="canary")
    world.run(until=world.at(started, "shift"))
    for number in range(1, 4):
        _, knock = min(world.broker.waiting, key=lambda entry: entry[0])
        world.broker.take_next()
        world.turn(knock)
        route = table.current_route(world.services, "docs")
        tallies = {
            TrafficKey("docs", route.stage, "control", "real", str(route.blue)): _searches(number),
            TrafficKey("docs", route.stage, "canary", "real", str(route.green)): _searches(-number),
        }
        traffic.write_tallies(world.services.sessions, world.clock, "frozen", number, tallies)


def _searches(seed: int) -> TrafficSketch:
    rng = random.Random(seed)
    tally = TrafficSketch()
    for _ in range(40):
        tally.add(rng.randrange(GROUPS), rng.lognormvariate(-4, 0.3), error=rng.random() < 0.1)
    tally.add_pair(0.9, 0.1)
    return tally


def _experiment(world: World) -> None:
    there = world.store.aliases()
    id = experiment_commands.create_experiment(
        world.services,
        "colours",
        there["shop"],
        [there["shop_b"]],
        actor="anna",
        alias="shop",
        metrics=METRICS,
        options=QUICK,
    )
    variants = ("control", "treatment")
    people = {
        Person(id, unit_of_user(id, f"u{number}")): UserSearches(
            variants[number % 2],
            1,
            (there["shop"], there["shop_b"])[number % 2],
            number,
            number % GROUPS,
            searches=2,
            log_ms=4.0,
            latencies=Counter({100 + number % 7: 2}),
        )
        for number in range(60)
    }
    with world.services.sessions.begin() as session:
        exposures.write_exposures(session, world.clock.now(session), people)
    for _ in range(2):
        world.clock.move(timedelta(minutes=2).total_seconds())
        interim_analysis.check_due_experiments(world.services)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
