"""One long run per database: workers are killed and stopped in every step, and between state and
message.

The product runs with its own times, except for one look that is not measured. Each place has its
own deployment, so the leases expire together.
"""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from signal import SIGCONT
from typing import Any

from billiard.exceptions import WorkerLostError

from qdrant_rollouts.core.database.models import Deployment
from tests.acceptance.installation import Installation, Watch, named
from tests.acceptance.traps import KILL, STOP, Sprung

#: The settings of the long run's installations.
INSTALLATION = {"times": {"ready_look": 0.3}, "children": 6}
#: Place -> what the worker is doing there.
KILLED = {
    "knock-create.before": "accepting: the deployment is committed, its first message is not sent",
    "create.before": "create: before the collection is made",
    "create.after": "create: the collection is made, the step is not committed",
    "knock-populate.before": "between create and populate",
    "upsert.before": "populate: before a batch is written",
    "upsert.after": "populate: a batch is written, the position is not saved",
    "knock-validate.before": "between populate and validate",
    "search_many.before": "validate: before green is searched",
    "knock-switch.before": "between validate and switch",
    "point_alias.before": "switch: the intent is committed, Qdrant is not told",
    "point_alias.after": "switch: the alias has moved, nobody has written it down",
    "knock-soak.before": "between switch and soak",
    "knock-soak.after": "between switch and soak: the message is sent, not acknowledged",
    "search.before": "soak: in the middle of a look",
}
#: Place -> what arrives late when the worker continues.
STOPPED = {
    "create.before": "the collection is made",
    "upsert.before": "a batch is written",
    "upsert.after": "the position is saved",
    "search_many.before": "the verdict is committed",
    "point_alias.before": "the alias is moved",
    "search.before": "a look is counted",
}


@dataclass(frozen=True)
class Outcome:
    status: str
    message: str
    count: int
    served_by: str
    green: str
    moves: list[str]
    events: list[str]
    #: The changes that Qdrant acknowledged, by call.
    journal: list[str]
    #: Seconds from the death of its worker until another worker took the next turn.
    recovered: float


@dataclass(frozen=True)
class Late:
    """A stopped worker's deployment: after another worker had finished it, and after the stopped
    worker had continued."""

    before: Any
    after: Any
    said: str


@dataclass(frozen=True)
class Night:
    """Futures that have ended. The test of each place reports what went wrong there."""

    killed: dict[str, Future[Outcome]]
    stopped: dict[str, Future[Late]]
    aborted: Future[Late]


def night(house: Installation, all_dead: Callable[[], None]) -> Night:
    """Runs deployments whose workers are killed, and then others whose workers are stopped and
    continued. Each kind runs at once. Both together would take longer on a busy machine than a
    worker that is stopped may live (Celery's hard time limit). Calls ``all_dead`` once the workers
    have been killed: for half a minute nothing happens then."""
    house.make_live(
        *(named("killed", place) for place in KILLED),
        *(named("stopped", place) for place in STOPPED),
    )
    house.make_live("aborted")
    with Watch(house) as watch, ThreadPoolExecutor(32) as pool:
        deaths = {place: pool.submit(kill_at, house, place) for place in KILLED}
        wait(deaths.values())
        all_dead()
        killed = {
            place: pool.submit(outlive, house, watch, place, death)
            for place, death in deaths.items()
        }
        wait(killed.values())
        aborted = pool.submit(stopped_and_aborted, house)
        stopped = {place: pool.submit(stopped_at, house, place) for place in STOPPED}
        wait([*stopped.values(), aborted])
    return Night(killed, stopped, aborted)


def kill_at(house: Installation, place: str) -> Sprung:
    alias = named("killed", place)
    house.traps.set(alias, place, KILL)
    deploy(house, alias)
    return house.sprung(alias, place)


def outlive(house: Installation, watch: Watch, place: str, death: Future[Sprung]) -> Outcome:
    alias = named("killed", place)
    died = death.result()
    row = house.ended(alias, 120)
    house.until(
        lambda: row.green in watch.moves(alias) or row.status != "live",
        5,
        "the watch to see the alias move",
    )
    return Outcome(
        str(row.status),
        row.message,
        house.count(row.green),
        house.aliases()[alias],
        row.green,
        watch.moves(alias),
        [event.event for event in house.events(alias)],
        [entry["call"] for entry in house.journal(alias)],
        watch.claimed_after(alias, died),
    )


def stopped_at(house: Installation, place: str) -> Late:
    alias = named("stopped", place)
    house.traps.set(alias, place, STOP)
    deploy(house, alias)
    stopped = house.sprung(alias, place)
    house.ended(alias, 120)
    return continued(house, alias, stopped.pid)


def stopped_and_aborted(house: Installation) -> Late:
    """Stops the worker between its last look and the switch; meanwhile an operator aborts."""
    house.traps.set("aborted", "point_alias.before", STOP)
    row = deploy(house, "aborted")
    stopped = house.sprung("aborted", "point_alias.before")
    insist(house, "deployments.abort", deployment_id=row.id, reason="too slow")
    house.ended("aborted", 120)
    return continued(house, "aborted", stopped.pid)


def deploy(house: Installation, alias: str) -> Deployment:
    """Starts the alias's first deployment. If the process that took the command was killed before
    the deployment was stored, it asks again, as an application would."""
    while True:
        # The first command creates the tables, so the look comes after it.
        house.answer(house.start(alias), f"{alias} accepted", propagate=False)
        if row := house.deployment(alias):
            return row


def insist(house: Installation, task: str, **arguments: Any) -> None:
    """Sends the command until a process that lives long enough has carried it out."""
    while isinstance(
        house.answer(house.send(task, **arguments), task, propagate=False), WorkerLostError
    ):
        pass


def continued(house: Installation, alias: str, pid: int) -> Late:
    before = state(house, alias)
    known = fenced(house, alias)
    os.kill(pid, SIGCONT)
    said = house.until(
        lambda: fenced(house, alias)[len(known) :],
        30,
        f"the stopped worker of {alias} to end its turn",
    )
    return Late(before, state(house, alias), said[0])


def fenced(house: Installation, alias: str) -> list[str]:
    row = house.deployment(alias)
    assert row is not None
    lines = (house.worker.log + house.bulk.log).splitlines()
    return [line for line in lines if f"[{row.id[:8]}-t" in line and "fenced: turn" in line]


def state(house: Installation, alias: str) -> dict[str, Any]:
    """Returns everything about the deployment that a late write could damage."""
    row = house.deployment(alias)
    assert row is not None
    return {
        "status": row.status,
        "turn": row.turn,
        "steps": [(step.name, step.status, step.state, step.output) for step in row.steps],
        "events": [event.event for event in house.events(alias)],
        "served_by": house.aliases()[alias],
        "green": row.green,
        "blue": row.blue,
        "count": house.count(row.green) if row.green in house.collections() else None,
    }
