"""Workers that report what they do, in a world whose clock a test moves."""

from qdrant_rollouts.core.deployments import engine, workers
from qdrant_rollouts.core.deployments.workers import Said
from tests.world import World

CONTROL = Said(
    "worker@one",
    "worker",
    "one",
    7,
    "0.1.0",
    "0013",
    60.0,
    ("control", "rouse", "celery"),
    4,
    idle=60.0,
)
BULK = Said("bulk@one", "worker", "one", 8, "0.1.0", "0013", 60.0, ("bulk",), 1, idle=60.0)


def says(world: World, *said: Said, ahead: float = 0.0) -> None:
    """Processes whose clock is the world's, or is ``ahead`` of it."""
    wall = world.clock.moment.timestamp() + ahead
    for one in said:
        with world.services.sessions.begin() as session:
            workers.announce(session, world.clock, one, lambda: wall)


def pass_time(world: World, seconds: float, *said: Said, ahead: float = 0.0) -> None:
    """Sweeps every ten seconds, next to workers that report what they do."""
    for _ in range(int(seconds // 10)):
        world.clock.move(10)
        says(world, *said, ahead=ahead)
        engine.knock_overdue_turns(world.services)
