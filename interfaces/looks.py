"""Looks at what a process depends on, for whoever asks: ``rollouts doctor``, and ``/readyz``."""

from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from qdrant_rollouts import migrations
from qdrant_rollouts.adapters import broker, database
from qdrant_rollouts.adapters.migrate import revision
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.deployments import unclaimed
from qdrant_rollouts.core.errors import Busy, Refused
from qdrant_rollouts.core.operations.views import metrics as census
from qdrant_rollouts.core.ports import VectorStore
from qdrant_rollouts.core.services import Services

#: The sweep finds a lost turn in 20 s, a dead worker's in 36 s (celery-facts): nothing stands still longer by itself.
STILL_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Check:
    """``state`` is ok, warn or fail; ``code`` the exit code that a failure asks for."""

    name: str
    state: str
    value: str
    advice: str = ""
    code: int = 0


def at_database(engine: Engine) -> Check:
    """Raises Unavailable if it does not answer, Refused if this program is older than what is in it."""
    where = database.address(engine)
    try:
        with engine.connect() as connection:
            found = revision(connection)
    except SQLAlchemyError as error:
        raise database.unavailable(engine, error) from error
    if found is not None and found > migrations.HEAD:
        raise Refused(f"{where} is at revision {found}, this program knows {migrations.HEAD}: update this program")
    return Check("database", "ok", f"{where}, {f'revision {found}' if found else EMPTY}")


EMPTY = "empty; the first command makes its tables"


def at_qdrant(store: VectorStore) -> Check:
    """Raises Unavailable if it does not answer. An embedded one that another process has open is at work."""
    try:
        server, aliases = store.server(), store.aliases()
    except Busy as error:
        return Check("qdrant", "ok", str(error))
    version = ".".join(map(str, server.version))
    return Check("qdrant", "ok", f"{server.address}, version {version}, {len(aliases)} aliases")


def at_broker(settings: Settings) -> Check:
    """Raises Unavailable if it does not answer."""
    broker.ping(settings)
    return Check("broker", "ok", broker.address(settings))


def at_sweep(services: Services) -> Check:
    """Whether somebody looks for turns that are due: without that, nothing that stands still goes on."""
    with services.sessions() as session:
        age = census.sweep_age(session, services.clock.now(session))
    if age <= STILL_SECONDS:
        return Check("sweep", "ok", f"{age:.0f} s ago")
    found = "nobody has ever swept" if age == float("inf") else f"nobody has swept for {age:,.0f} s"
    return Check("sweep", "warn", found, "start `rollouts up`, or beat and the workers")


def at_turns(services: Services) -> Check:
    """Whether a turn stands still that no worker takes; one that waits for busy ones does not."""
    with services.sessions() as session:
        found = unclaimed.findings(services, session, services.clock.now(session))
    still = [one for one in found if one.cause is not unclaimed.Cause.BUSY and one.turn.late > STILL_SECONDS]
    if still:
        return Check("turns", "warn", still[0].text, still[0].next)
    return Check("turns", "ok", f"{len(found)} wait for workers that are busy" if found else "none waits")
