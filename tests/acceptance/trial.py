"""Four experiments at the same time on real servers, with **simulated** users and many faults.

``better`` and ``harmful`` compare an index whose titles were embedded with one whose titles were
not, in both directions. ``alike`` compares a collection with itself. Only the test searches
``counted``, and it reports feedback twice. Then all processes are killed, Redis is emptied and the
database is stopped, and the rest must continue.
"""

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import psutil
from pydantic import SecretStr
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.database.experiment_rows import Experiment, LookRow, UnitSum
from qdrant_rollouts.core.lifecycle import Status
from qdrant_rollouts.core.routing import Router, enrolment, traffic
from qdrant_rollouts.core.routing.exposures import unit_of_user
from qdrant_rollouts.wiring import build_services
from tests.acceptance import corpora
from tests.acceptance.installation import Installation
from tests.acceptance.simulated_users import Search, searches
from tests.own_time import OwnTimes
from tests.world import DIMENSION

PROCESSES = 3
#: Searches per second of each process, over all experiments.
RATE = 30.0
DOCUMENTS = 300
TEXTS = {"good": "{title}\n{text}", "poor": "{text}", "same": "{title}\n{text}"}
ARMS = {"better": ("poor", "good"), "harmful": ("good", "poor"), "alike": ("same", "same")}
_DAY = 86_400.0
#: Seconds instead of days. ``better`` is not decided until all processes were killed once.
OPTIONS = {
    "window_hours": 8 / 3600,
    "min_days": 8 / _DAY,
    "look_minutes": 2 / 60,
    "n_star": 400,
    "min_conversions": 50,
    "target": 0.001,
}
SPECIAL = {"better": {"min_days": 30 / _DAY}, "harmful": {}, "alike": {}}
#: Because all processes share two cores, two latencies count as equal if one is less than twice the
#: other.
METRICS = ["clicks", {"name": "latency", "margin": 0.7}]
VALIDATION = {
    "samples": {"records": 20, "queries": 20},
    "live_searches_per_second": 10_000,
    "min_top_score": 0.001,
}
TWICE = ("task", "key", "both", "killed")
#: Searches of an experiment after its rollback, counted from one second after its end.
AFTER = 50
VECTOR = np.ones(DIMENSION, dtype=np.float32)


@dataclass
class Trial:
    house: Installation
    ids: dict[str, str] = field(default_factory=dict)
    rows: dict[str, Experiment] = field(default_factory=dict)
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    searches: list[Search] = field(default_factory=list)
    #: At the end, for users with one click that the test reported more than once.
    counted: dict[str, float] = field(default_factory=dict)
    #: The report of ``counted``, before everything was killed and after.
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    looks_before: dict[str, list[Any]] = field(default_factory=dict)
    looks_after: dict[str, list[Any]] = field(default_factory=dict)
    #: Wall clock.
    killed_at: float = 0.0
    restarted_at: float = 0.0
    victim: int = 0
    #: Searches of ``alike`` by arm, in the traffic log.
    observed: dict[str, int] = field(default_factory=dict)

    own_times: OwnTimes = field(init=False)

    def measure_lag(self, search: Search, since: float) -> float:
        """Returns how many of its own seconds the process had had since then when it began the
        search; negative if the search began before."""
        return self.own_times.measure(search.process, since, search.began)

    def of(self, name: str) -> list[Search]:
        return [search for search in self.searches if search.experiment == self.ids[name]]


def trial(house: Installation) -> Trial:
    found = Trial(house)
    _indexes(house)
    _create(house, found)
    with ExitStack() as stack:
        crowd = [stack.enter_context(_users(house, found)) for _ in range(PROCESSES)]
        _report_twice(house, found)
        house.until(
            lambda: all(_known(house, id, "units", 40) for id in _compared(found)),
            60,
            "the first looks",
        )
        _kill_everything(house, found, crowd[0])
        for name in ("harmful", "better"):
            house.until(
                lambda name=name: _row(house, found.ids[name]).status == "decided",
                120,
                f"the end of {name}",
            )
        house.until(
            lambda: _known(house, found.ids["alike"], "closed_units", 120),
            60,
            "enough users of alike",
        )
        house.until(
            lambda: _went_on(house, found.ids["harmful"]),
            20,
            "searches after the rollback of harmful",
        )
        for process in crowd:
            process.terminate()
        for process in crowd:
            process.wait(30)
    found.searches = sorted(searches(house.folder), key=lambda search: search.at)
    found.own_times = OwnTimes(house.folder)
    found.rows = {name: _row(house, id) for name, id in found.ids.items()}
    found.reports = {
        name: house.ask("experiments.analyze_experiment", experiment_id=id)
        for name, id in found.ids.items()
    }
    found.looks_after = {name: _looks(house, id) for name, id in found.ids.items()}
    found.counted = {user: _clicks(house, found.ids["counted"], user) for user in TWICE}
    found.observed = _observed(house, found.ids["alike"])
    return found


# --- indexes and experiments ----------------------------------------------------------------------


def _indexes(house: Installation) -> None:
    records = list(
        islice(
            (record for record in corpora.records(4 * DOCUMENTS) if record["lang"] == "python"),
            DOCUMENTS,
        )
    )
    lines = [json.dumps(record) for record in records]
    (house.folder / "library.jsonl").write_text("\n".join(lines) + "\n")
    titles = [str(known["query"]) for known in corpora.judged(records, DOCUMENTS // 2)]
    (house.folder / "titles.json").write_text(json.dumps(titles))
    spec = {
        "source": "jsonl:library.jsonl",
        "validation": VALIDATION,
        "soak": {"seconds": 0.4, "interval_seconds": 0.2},
    }
    indexes = {
        alias: {**spec, "embedding": {"model": "hashing:384", "text": template}}
        for alias, template in TEXTS.items()
    }
    house.declare(indexes)
    for alias in TEXTS:
        house.ask("deployments.deploy_new_version", alias_name=alias)
    for alias in TEXTS:
        row = house.ended(alias)
        assert row.status == Status.LIVE, row.message
    for bare in ("bare", "bare_b"):
        house.make_collection(bare)


def _create(house: Installation, found: Trial) -> None:
    collections = house.aliases()
    for name, (control, treatment) in ARMS.items():
        _created(
            house,
            found,
            name,
            collections[control],
            collections[treatment],
            {**OPTIONS, **SPECIAL[name]},
        )
    _created(house, found, "counted", "bare", "bare_b", {"look_minutes": 60})


def _created(
    house: Installation,
    found: Trial,
    name: str,
    control: str,
    treatment: str,
    options: dict[str, Any],
) -> None:
    answer = house.ask(
        "experiments.create_experiment",
        experiment_name=name,
        control_collection=control,
        treatment_collection=treatment,
        metrics_to_track=METRICS,
        options=options,
    )
    found.ids[name] = answer["experiment_id"]


@contextmanager
def _users(house: Installation, found: Trial) -> Iterator["subprocess.Popen[bytes]"]:
    arguments = [str(house.folder), str(RATE), str(house.folder / "titles.json"), house.redis.url]
    command = [
        sys.executable,
        "-m",
        "tests.acceptance.simulated_users",
        *arguments,
        *_compared(found),
    ]
    log = (house.folder / "simulated.log").open("ab")
    with (
        log,
        subprocess.Popen(
            command, cwd=house.folder, env=house.environment, stdout=log, stderr=log
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


# --- reported twice -------------------------------------------------------------------------------


def _report_twice(house: Installation, found: Trial) -> None:
    experiment = found.ids["counted"]
    with _router(house) as router:
        users = {user: router.route_query(experiment, VECTOR, user)[0] for user in TWICE}
        house.until(
            lambda: all(_clicks(house, experiment, user) is not None for user in TWICE),
            20,
            "the exposures",
        )
        told = {
            user: {"experiment_id": experiment, "variant": arm, "user_id": user}
            for user, arm in users.items()
        }
        click = {"metric": "clicks", "value": 1.0}
        same = str(uuid.uuid4())
        for _ in range(2):
            house.foreign.send_task(
                "experiments.track_feedback", kwargs={**told["task"], **click}, task_id=same
            )
        answers = [
            house.send("experiments.track_feedback", **told["key"], **click, key="1")
            for _ in range(2)
        ]
        assert sorted(
            house.answer(answer, "feedback recorded")["recorded"] for answer in answers
        ) == [False, True]
        assert router.track_feedback(**told["both"], **click, key="2")
        assert not house.ask("experiments.track_feedback", **told["both"], **click, key="2")[
            "recorded"
        ]
        _kill_while_reporting(house, experiment, {**told["killed"], **click})
        for user in TWICE:
            house.until(
                lambda user=user: _clicks(house, experiment, user), 60, f"the click of {user}"
            )


@contextmanager
def _router(house: Installation) -> Iterator[Router]:
    services = build_services(_settings(house))
    with closing(services.store), Router(services) as router:
        yield router
    services.engine.dispose()


def _kill_while_reporting(house: Installation, experiment: str, told: dict[str, Any]) -> None:
    """Kills the worker's child in the middle of its transaction, while the row that it wants to
    change is locked."""
    rows = text("SELECT 1 FROM unit_sums WHERE experiment_id = :id FOR UPDATE")
    with Session(house.engine) as lock:
        lock.execute(rows, {"id": experiment})
        mine = lock.scalar(text("SELECT pg_backend_pid()"))
        house.send("experiments.track_feedback", **told)
        child = house.until(lambda: _waiting(house, mine), 20, "a child that waits")
        child.kill()
        child.wait(10)


def _waiting(house: Installation, backend: int) -> psutil.Process | None:
    """Returns the child of the worker whose transaction waits for that of ``backend``."""
    query = text(
        "SELECT client_port FROM pg_stat_activity WHERE :backend = ANY(pg_blocking_pids(pid))"
    )
    with Session(house.engine) as session:
        ports = set(session.scalars(query, {"backend": backend}))
    for pid in house.worker.children():
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if any(connection.laddr.port in ports for connection in process.net_connections()):
                return process
    return None


def _clicks(house: Installation, experiment: str, user: str) -> float | None:
    """Returns the user's clicks; None before the user was exposed."""
    mine = (
        UnitSum.experiment_id == experiment,
        UnitSum.metric == "clicks",
        UnitSum.unit == unit_of_user(experiment, user),
    )
    with Session(house.engine) as session:
        return session.scalar(select(UnitSum.total).where(*mine))


# --- everything goes wrong ------------------------------------------------------------------------


def _kill_everything(
    house: Installation, found: Trial, search_process: "subprocess.Popen[bytes]"
) -> None:
    counted = found.ids["counted"]
    found.before = house.ask("experiments.analyze_experiment", experiment_id=counted)
    found.looks_before = {name: _looks(house, id) for name, id in found.ids.items()}
    found.killed_at = time.time()
    found.victim = search_process.pid
    search_process.kill()
    search_process.wait()
    for program in (house.worker, house.bulk, house.beat):
        program.kill()
    with house.redis.stopped():
        time.sleep(0.5)
    assert house.postgres
    with house.postgres.stopped():
        time.sleep(3)
    house.run()
    found.restarted_at = time.time()
    found.after = house.ask("experiments.analyze_experiment", experiment_id=counted)


def _row(house: Installation, experiment: str) -> Experiment:
    with Session(house.engine) as session:
        return session.get_one(Experiment, experiment)


def _compared(found: Trial) -> list[str]:
    return [found.ids[name] for name in ARMS]


def _known(house: Installation, experiment: str, what: str, least: int) -> bool:
    """Returns whether the last look saw at least so many users in each arm."""
    looks = _looks(house, experiment)
    return bool(looks) and min(looks[-1][2][what].values()) >= least


def _went_on(house: Installation, experiment: str) -> bool:
    """Returns whether people have searched for long enough since the experiment ended."""
    ended = _row(house, experiment).finished_at
    assert ended
    own_times = OwnTimes(house.folder)
    after = [
        s
        for s in searches(house.folder)
        if s.experiment == experiment
        and own_times.measure(s.process, ended.timestamp(), s.began) > 1
    ]
    return len(after) > AFTER


def _looks(house: Installation, experiment: str) -> list[Any]:
    query = select(LookRow.number, LookRow.at, LookRow.report).where(
        LookRow.experiment_id == experiment
    )
    with Session(house.engine) as session:
        return [tuple(row) for row in session.execute(query.order_by(LookRow.number))]


def _observed(house: Installation, experiment: str) -> dict[str, int]:
    with Session(house.engine) as session:
        route = session.get_one(Experiment, experiment).route
        seen = traffic.read_tallies(session, route, enrolment.stage_name(experiment, 1))
    calls = dict.fromkeys(("control", "treatment"), 0)
    for key, tally in seen.items():
        if key.variant in calls:
            calls[key.variant] += tally.calls
    return calls


def _settings(house: Installation) -> Settings:
    return Settings(
        database_url=SecretStr(house.database_url),
        broker_url=SecretStr(house.redis.url),
        qdrant_url=house.qdrant.url,
        qdrant_grpc_port=house.qdrant.grpc_port,
        config=house.folder / "rollouts.yaml",
    )
