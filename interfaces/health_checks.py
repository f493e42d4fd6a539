"""Checks of what a process depends on, for ``rollouts doctor`` and ``/readyz``."""

from dataclasses import dataclass

from sqlalchemy import Engine

from qdrant_rollouts import migrations
from qdrant_rollouts.adapters import broker, database
from qdrant_rollouts.adapters.releases import check, found_in
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.deployments import unclaimed
from qdrant_rollouts.core.errors import Busy
from qdrant_rollouts.core.operations.views import metrics
from qdrant_rollouts.core.ports import VectorStore
from qdrant_rollouts.core.services import Services

#: The sweep finds a lost turn in 20 s, and one of a dead worker in 36 s (celery-facts): nothing
#: stands still longer by itself.
STILL_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Check:
    """``state`` is ok, warn or fail; ``code`` is the exit code for a failure."""

    name: str
    state: str
    value: str
    advice: str = ""
    code: int = 0


def inspect_database(engine: Engine) -> Check:
    """Raises Unavailable if it does not answer, OtherRelease if this program cannot work with
    it."""
    found = found_in(engine)
    check(engine, found)
    revision = EMPTY
    if found.revision:
        revision = f"revision {found.revision}"
    if found.revision and found.revision > migrations.HEAD:
        revision += f", newer than this program's {migrations.HEAD}, which works on it"
    return Check("database", "ok", f"{database.database_address(engine)}, {revision}")


EMPTY = "empty; the first command makes its tables"


def inspect_qdrant(store: VectorStore) -> Check:
    """Raises Unavailable if it does not answer. An embedded Qdrant that another process has open is
    in use."""
    try:
        server = store.server()
        aliases = store.aliases()
    except Busy as error:
        return Check("qdrant", "ok", str(error))
    version = ".".join(map(str, server.version))
    counted = "1 alias" if len(aliases) == 1 else f"{len(aliases)} aliases"
    return Check("qdrant", "ok", f"{server.address}, version {version}, {counted}")


def inspect_broker(settings: Settings) -> Check:
    """Raises Unavailable if it does not answer."""
    broker.ping_broker(settings)
    return Check("broker", "ok", broker.broker_address(settings))


def inspect_sweep(services: Services) -> Check:
    """Whether some process sweeps for due turns: without that, nothing that waits continues."""
    with services.sessions() as session:
        age = metrics.sweep_age(session, services.clock.now(session))
    if age <= STILL_SECONDS:
        return Check("sweep", "ok", f"{age:.0f} s ago")
    found = "nobody has ever swept"
    if age != float("inf"):
        found = f"nobody has swept for {age:,.0f} s"
    return Check("sweep", "warn", found, "start `rollouts up`, or beat and the workers")


def at_turns(services: Services) -> Check:
    """Whether a turn stands still that no worker takes; a turn that waits for busy workers does
    not."""
    with services.sessions() as session:
        found = unclaimed.findings(services, session, services.clock.now(session))
    still = [
        one
        for one in found
        if one.cause is not unclaimed.Cause.BUSY and one.turn.late > STILL_SECONDS
    ]
    if still:
        return Check("turns", "warn", still[0].text, still[0].next)
    return Check(
        "turns", "ok", f"{len(found)} wait for workers that are busy" if found else "none waits"
    )
