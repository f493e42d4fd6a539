"""The journal's protocol under a scheduler: writers, their leases, two collections and whoever
rebuilds, in one process and by a clock that only the scheduler moves.

What is the product's: every write (``writing.write_steps``), the desks of the writers, rounds
(``rounds.round_steps``), fences (``fences.fence_steps``) and all changes of states
(``core.journal.states``). What stands for something else: ``MemoryLedger`` for the database, each
of whose methods is one transaction; ``_rebuild`` for the engine and the steps of a deployment, with
a backfill in two slices whose dead owner is waited for as after a round; ``Network`` for Qdrant.

Every step of a generator is a step of the scheduler. It draws who goes on, how long each message
takes, which processes are killed, and which stand still between two steps, before a request or
after it.
"""

import random
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from qdrant_rollouts.core.database.journal_rows import Gate, Phase
from qdrant_rollouts.core.errors import AppError, LeaseLost, Unavailable
from qdrant_rollouts.core.journal.bounds import Bounds
from qdrant_rollouts.core.journal.desk import WriterDesk
from qdrant_rollouts.core.journal.fences import Fenced, fence_steps
from qdrant_rollouts.core.journal.rounds import Catcher, Round, round_steps
from qdrant_rollouts.core.journal.running import Pause
from qdrant_rollouts.core.journal.writing import FindAlias, Resolve, Send, Sent, write_steps
from qdrant_rollouts.core.ports import Point
from tests.journal_ledger import MemoryLedger

ALIAS = "docs"
IDS = range(5)
WRITERS = 3
WRITES = 8
#: Seconds: how long a turn's lease lasts after its owner stood still or died.
TURN = 30.0
#: The longest that whoever rebuilds stands still; writers may stand still for longer than any
#: quarantine.
PAUSE = 40.0
WRITER_PAUSE = 150.0
#: The longest that a message is under way, which is longer than anybody waits for its answer.
LATEST = 15.0
BOUNDS = Bounds(piece=2)


class Broken(AssertionError):
    """The protocol has lost or brought back a write."""


@dataclass
class Message:
    """A request to a collection: ``apply`` is done when it arrives, if it arrives."""

    apply: Callable[[], Any]


@dataclass
class Thread:
    """A generator that belongs to a process, and when it goes on."""

    process: "Process"
    steps: Generator[Any, Any, Any]
    ready: float
    #: What it does next: a call whose result goes into the generator.
    step: Callable[[], Any] | None = None
    waits: bool = False


@dataclass
class Process:
    name: str
    longest_pause: float
    alive: bool = True
    stands_until: float = 0.0


@dataclass
class Operation:
    """A write: of one point, whole or in part, or its deletion."""

    id: int
    kind: str
    number: int
    sent: bool = False

    def change(self, collection: dict[int, tuple[int, int]]) -> None:
        if self.kind == "upsert":
            collection[self.id] = (self.number, 0)
        elif self.kind == "delete":
            collection.pop(self.id, None)
        elif self.id in collection:
            collection[self.id] = (collection[self.id][0], self.number)


@dataclass
class Rules:
    """The rules that a test takes away: a class that breaks one, other ``bounds``, or ``at_once``,
    how many rounds go on at the same time."""

    ledger: type[MemoryLedger] = MemoryLedger
    desk: type[WriterDesk] = WriterDesk
    turn: type["Turn"] | None = None
    bounds: Bounds = BOUNDS
    at_once: int = 1


@dataclass
class Turn:
    """The turn of one who rebuilds."""

    world: "ModelWorld"
    number: int

    def check(self, seconds: float) -> None:
        self.fence(None)

    def fence(self, session: object) -> None:
        if self.world.turn != self.number:
            raise LeaseLost("taken over")


class Store:
    """What a round needs of a vector store. Each call gives a message for the scheduler."""

    def __init__(self, collections: dict[str, dict[int, tuple[int, int]]]) -> None:
        self._collections = collections

    def fetch(self, collection: str, ids: Any, *, vectors: bool) -> Any:
        def read() -> list[Point]:
            found = self._collections[collection]
            return [Point(one, [], {"value": found[one]}) for one in ids if one in found]

        return Message(read)

    def await_writes(self, collection: str) -> Any:
        return Message(_do_nothing)

    def count(self, collection: str) -> Any:
        return Message(lambda: len(self._collections[collection]))

    def upsert(self, collection: str, points: Any) -> Any:
        values = {point.id: point.payload["value"] for point in points}
        return Message(lambda: self._collections[collection].update(values))

    def delete(self, collection: str, ids: Any) -> Any:
        def remove() -> None:
            for one in ids:
                self._collections[collection].pop(one, None)

        return Message(remove)


@dataclass
class ModelWorld:
    """One schedule. ``run`` raises Broken if the protocol has broken a promise."""

    seed: int
    rules: Rules = field(default_factory=Rules)
    now: float = 0.0
    turn: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.ledger = self.rules.ledger(lambda: self.now, self.rules.bounds)
        self.collections: dict[str, dict[int, tuple[int, int]]] = {
            "blue": dict.fromkeys(IDS, (-1, 0)),
            "green": {},
        }
        self.truth = dict(self.collections["blue"])
        self.store = Store(self.collections)
        self.threads: list[Thread] = []
        #: Messages under way, by the time at which they arrive.
        self.network: list[tuple[float, Callable[[], None]]] = []
        #: Points with a write that nobody acknowledged: they may be either way.
        self.tainted: set[int] = set()
        #: Points with a write that was sent and has no answer yet.
        self.under_way: Counter[int] = Counter()
        self.writing = 0
        self.slices_left = [list(IDS[:2]), list(IDS[2:])]
        self.slice_sent = False
        self.switches = 0
        self.numbers = iter(range(1, 1_000))
        self.end = 0.0
        self.coordinator: Process | None = None

    # --- the schedule -----------------------------------------------------------------------------

    def run(self) -> None:
        try:
            self.run_all()
        except AppError as error:
            raise Broken(f"seed {self.seed}: {error}") from error

    def run_all(self) -> None:
        for number in range(WRITERS):
            self.start_writer(f"writer {number}", self.random.random() * 3)
        self.start_rebuild(1 + self.random.random() * 3)
        for _ in range(20_000):
            if self.switches == 2 and not self.writing and not self.network:
                break
            self.do_one()
        else:
            raise Broken(f"not at its end after {self.now:.0f} s: {self.ledger.read_state(ALIAS)}")
        self.check_end()

    def do_one(self) -> None:
        """Lets one of those that can go on take a step, or moves the clock to the next."""
        threads = [one for one in self.threads if one.process.alive and not one.waits]
        if not threads and not self.network:
            raise Broken(f"seed {self.seed}: nobody goes on")
        starts = [max(one.ready, one.process.stands_until) for one in threads]
        soonest = min([*starts, *(at for at, _ in self.network)])
        self.now = max(self.now, soonest)
        able = [one for one, start in zip(threads, starts, strict=True) if start <= self.now]
        arriving = [entry for entry in self.network if entry[0] <= self.now]
        chosen = self.random.choice([*able, *arriving])
        if isinstance(chosen, Thread):
            self.go_on(chosen)
        else:
            self.network.remove(chosen)
            chosen[1]()

    def go_on(self, thread: Thread) -> None:
        if self.interrupt(thread):
            return
        assert thread.step is not None
        try:
            result = thread.step()
        except AppError as error:
            self.resume(thread, error=error)
            return
        if isinstance(result, Message):
            self.send(thread, result)
        elif isinstance(result, Later):
            thread.step = result.call
            thread.ready = self.now + self.draw_transit()
        else:
            self.resume(thread, result)

    def interrupt(self, thread: Thread) -> bool:
        """Draws whether the process is killed, or stands still, before this step."""
        chance = self.random.random()
        process = thread.process
        if chance < 0.001:
            self.kill(process)
            return True
        if chance < 0.012:
            process.stands_until = self.now + self.draw_pause(process)
            if process is self.coordinator and process.stands_until - self.now > TURN:
                self.start_rebuild(TURN)
            return True
        return False

    def kill(self, process: Process) -> None:
        process.alive = False
        for thread in [one for one in self.threads if one.process is process]:
            self.threads.remove(thread)
            thread.steps.close()
        if process is self.coordinator:
            self.start_rebuild(TURN)

    def resume(self, thread: Thread, result: Any = None, error: AppError | None = None) -> None:
        thread.waits = False
        if not thread.process.alive:
            return
        try:
            step = thread.steps.throw(error) if error else thread.steps.send(result)
        except StopIteration:
            self.threads.remove(thread)
            return
        thread.step = step
        thread.ready = self.now + self.draw_delay()
        if isinstance(step, Pause):
            thread.step = _do_nothing
            thread.ready = self.now + step.seconds

    def send(self, thread: Thread, message: Message) -> None:
        """The message arrives some time later, and so does its answer. Nobody waits for it for
        longer than ``answer``."""
        thread.waits = True
        answered = False
        gives_up = self.now + self.rules.bounds.answer

        def answer(result: Any) -> None:
            nonlocal answered
            if not answered:
                answered = True
                self.resume(thread, result)

        def arrive() -> None:
            result = message.apply()
            if self.random.random() > 0.03:
                self.network.append((self.now + self.draw_transit(), partial(answer, result)))

        def give_up() -> None:
            nonlocal answered
            if not answered:
                answered = True
                self.resume(thread, error=Unavailable("no answer"))

        self.network.append((self.now + self.draw_transit(), arrive))
        self.network.append((gives_up, give_up))

    def draw_pause(self, process: Process) -> float:
        """Some are short, and the others long enough for somebody else to take over."""
        if self.random.random() < 0.6:
            return self.random.random() * 3
        return TURN + self.random.random() * (process.longest_pause - TURN)

    def draw_delay(self) -> float:
        return self.random.random() * 0.02

    def draw_transit(self) -> float:
        if self.random.random() < 0.03:
            return self.random.random() * LATEST
        return self.random.random() * 0.2

    def start(self, process: Process, steps: Generator[Any, Any, Any], after: float) -> None:
        thread = Thread(process, steps, self.now + after)
        thread.step = _do_nothing
        first = next(steps, None)
        if first is not None:
            self.threads.append(thread)
            thread.step = _do_nothing if isinstance(first, Pause) else first

    # --- writers ----------------------------------------------------------------------------------

    def start_writer(self, name: str, after: float) -> None:
        process = Process(name, WRITER_PAUSE)
        desk = self.rules.desk(self.ledger, name, self.rules.bounds, lambda: self.now)
        self.writing += 1
        self.start(process, self.renew_lease(desk), after)
        self.start(process, self.write(desk), after)

    def renew_lease(self, desk: WriterDesk) -> Iterator[Any]:
        while self.writing:
            yield desk.renew_lease
            yield Pause(desk.bounds.renew_every)

    def write(self, desk: WriterDesk) -> Generator[Any, Any, None]:
        try:
            for _ in range(WRITES):
                yield Pause(self.random.random() ** 2 * 6)
                kind = self.random.choice(["upsert", "upsert", "delete", "patch"])
                operation = Operation(self.random.choice(IDS), kind, next(self.numbers))
                yield from self.write_once(desk, operation)
        finally:
            self.writing -= 1

    def write_once(self, desk: WriterDesk, operation: Operation) -> Generator[Any, Any, None]:
        acknowledged = False
        try:
            with suppress(Unavailable):
                yield from _go_through(write_steps(desk, ALIAS), partial(self.take_step, operation))
                acknowledged = True
        finally:
            if operation.sent:
                self.under_way[operation.id] -= 1
            if operation.sent and not acknowledged:
                self.tainted.add(operation.id)

    def take_step(self, operation: Operation, step: Any) -> Generator[Any, Any, Any]:
        match step:
            case Resolve():
                return (operation.id,)
            case FindAlias():
                return True
            case Send(collection):
                name = collection if collection in self.collections else None
                self.note_sent(operation)
                try:
                    yield partial(Message, partial(self.apply, operation, name))
                except Unavailable as error:
                    return Sent(ended=False, error=error)
                return Sent(ended=True)
            case _:
                return (yield step)

    def note_sent(self, operation: Operation) -> None:
        if not operation.sent:
            operation.sent = True
            self.under_way[operation.id] += 1

    def apply(self, operation: Operation, collection: str | None) -> None:
        """Without ``collection`` the request went to the alias."""
        name = collection or ["blue", "green", "blue"][self.switches]
        operation.change(self.collections[name])
        operation.change(self.truth)

    # --- the rebuild ------------------------------------------------------------------------------

    def start_rebuild(self, after: float) -> None:
        process = Process(f"rebuild {self.now:.3f}", PAUSE)
        self.coordinator = process
        self.start(process, self.take_turns(process), after)

    def take_turns(self, process: Process) -> Generator[Any, Any, None]:
        """As the engine does: whatever fails is tried again, under a new turn."""
        yield Pause(0)
        while self.switches < 2 and self.coordinator is process:
            self.turn += 1
            try:
                yield from self.rebuild((self.rules.turn or Turn)(self, self.turn))
            except LeaseLost:
                return
            except Unavailable:
                yield Pause(1.0)

    def rebuild(self, turn: Turn) -> Generator[Any, Any, None]:
        """Goes on from what is stored, until the alias was switched and switched back."""
        state = self.ledger.read_state(ALIAS)
        if state is None:
            yield partial(self.ledger.announce_rebuild, ALIAS, "blue", "green", turn.fence)
        while (yield partial(self.ledger.begin_capture, ALIAS, turn.fence)):
            yield Pause(0.5)
        yield from self.backfill(turn)
        while self.switches < 2:
            yield from self.catch_up(turn)

    def backfill(self, turn: Turn) -> Generator[Any, Any, None]:
        if self.slice_sent:
            yield Pause(self.rules.bounds.quarantine)
            turn.check(1)
            self.slice_sent = False
        while self.slices_left:
            ids = self.slices_left[0]
            points = yield partial(self.store.fetch, "blue", ids, vectors=True)
            turn.check(1)
            self.slice_sent = True
            yield partial(self.store.upsert, "green", points)
            turn.check(1)
            self.slice_sent = False
            if ids in self.slices_left:
                self.slices_left.remove(ids)

    def catch_up(self, turn: Turn) -> Generator[Any, Any, None]:
        state = self.ledger.read_state(ALIAS)
        assert state is not None
        catcher = Catcher(
            ALIAS,
            self.ledger,
            self.store,
            list,
            turn,
            self.rules.bounds,  # type: ignore[arg-type]
        )
        if state.gate is not Gate.FLIPPING:
            done: Round = yield from self.do_rounds(catcher)
            if done.quiet:
                yield Pause(done.quiet + 0.1)
                return
            yield Pause(self.random.random() * 4)
            if state.phase is Phase.FOLLOWING and self.random.random() < 0.7:
                return
        fenced: Fenced = yield from fence_steps(catcher, lambda: "", lambda: self.now)
        if not fenced.decided:
            yield Pause(1.0)
            return
        self.check_equal()
        yield Pause(0.1)
        turn.check(1)
        self.finish_switch(turn)

    def do_rounds(self, catcher: Catcher) -> Generator[Any, Any, Round]:
        for _ in range(self.rules.at_once - 1):
            assert self.coordinator is not None
            self.start(self.coordinator, _alone(round_steps(catcher)), 0)
        return (yield from round_steps(catcher))

    def finish_switch(self, turn: Turn) -> None:
        """The alias and the row change at once here: SQL decides where writes go, and the alias is
        only for readers and for writers without a rebuild."""
        leader = ["green", "blue"][self.switches % 2]
        self.ledger.finish_switch(ALIAS, leader, turn.fence)
        self.switches += 1

    # --- promises ---------------------------------------------------------------------------------

    def uncertain(self) -> set[int]:
        return self.tainted | {one for one, count in self.under_way.items() if count}

    def check_equal(self) -> None:
        self.compare("at the decision", self.collections["blue"], self.collections["green"])

    def check_end(self) -> None:
        self.compare("leader at the end", self.truth, self.collections["blue"])

    def compare(self, when: str, expected: dict[int, Any], found: dict[int, Any]) -> None:
        wrong = [
            (one, expected.get(one), found.get(one))
            for one in IDS
            if one not in self.uncertain() and expected.get(one) != found.get(one)
        ]
        if wrong:
            raise Broken(f"seed {self.seed}, {when}: {wrong}")


@dataclass
class Later:
    """A call that another step may come before: what is one transaction by the rules, and two
    without them."""

    call: Callable[[], Any]


def _alone(steps: Generator[Any, Any, Any]) -> Generator[Any, Any, None]:
    with suppress(LeaseLost, Unavailable):
        yield from steps


def _go_through(
    steps: Generator[Any, Any, Any], take: Callable[[Any], Generator[Any, Any, Any]]
) -> Generator[Any, Any, None]:
    """Does each step by ``take``, whose steps are the scheduler's."""
    with suppress(StopIteration):
        step = next(steps)
        while True:
            try:
                result = yield from take(step)
            except AppError as error:
                step = steps.throw(error)
            else:
                step = steps.send(result)


def _do_nothing() -> None:
    return None
