"""Whether this program can work with the database, which a program of another release may have
changed.

Rule: a program works with every revision from ``migrations.OLDEST`` to its HEAD, and with a newer
one as long as the database itself says so (``works_with``). The processes of applications need
less (``migrations.OLDEST_TO_SEARCH``). A database without tables is no obstacle: the first process
of this program creates them.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from qdrant_rollouts import migrations
from qdrant_rollouts.adapters.database import (
    absolute_sqlite_file,
    database_address,
    unavailable_error,
)
from qdrant_rollouts.core.database.models import WorksWith
from qdrant_rollouts.core.errors import OtherRelease
from qdrant_rollouts.core.services import Standing


@dataclass(frozen=True, slots=True)
class Found:
    """What is in a database: ``revision`` is None if it is empty. ``oldest_program`` was read only
    if the revision is newer than this program."""

    revision: str | None
    oldest_program: str | None = None


def find(connection: Connection) -> Found:
    if not inspect(connection).has_table("alembic_version"):
        return Found(None)
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if revision is None or revision <= migrations.HEAD:
        return Found(revision)
    return Found(revision, _find_oldest_program(connection))


def find_for_others(connection: Connection) -> Found:
    """Reads ``oldest_program`` in any case, for programs older than this one."""
    found = find(connection)
    if found.revision is None:
        return found
    return Found(found.revision, _find_oldest_program(connection))


def _find_oldest_program(connection: Connection) -> str | None:
    """Returns None if no migration has written it."""
    if not inspect(connection).has_table(WorksWith.__tablename__):
        return None
    return connection.scalar(select(WorksWith.oldest_program))


def judge(found: Found, head: str = migrations.HEAD, oldest: str = migrations.OLDEST) -> Standing:
    """Judges how a program of ``head``, which works with ``oldest`` and newer, relates to the
    database."""
    revision = found.revision
    program = found.oldest_program
    if revision is None:
        return Standing()
    if revision < oldest:
        return Standing(
            f"is at revision {revision}, older than {oldest}, which this program needs: bring it "
            "up to date with "
            "`rollouts migrate`"
        )
    if revision <= head:
        return Standing()
    if program is not None and program <= head:
        return Standing(behind=True)
    return Standing(
        f"is at revision {revision}, newer than this program's {head}, and works with programs "
        "from revision "
        f"{program or revision} on: update the program",
        behind=True,
    )


def found_in(engine: Engine) -> Found:
    """Creates no file. Raises Unavailable if the database does not answer."""
    file = absolute_sqlite_file(engine.url)
    if file is not None and not file.exists():
        return Found(None)
    try:
        with engine.connect() as connection:
            return find(connection)
    except SQLAlchemyError as error:
        raise unavailable_error(engine, error) from error


def look(engine: Engine) -> Standing:
    """Raises as ``found_in``."""
    return judge_with_address(engine, found_in(engine))


def judge_with_address(engine: Engine, found: Found, oldest: str = migrations.OLDEST) -> Standing:
    """Returns the message of ``judge``, with the address."""
    standing = judge(found, oldest=oldest)
    unfit = standing.unfit and f"the database at {where(engine)} {standing.unfit}"
    return Standing(unfit, standing.behind)


def is_older(standing: Standing) -> bool:
    """Whether the database must be migrated first; processes that wait for this continue by
    themselves."""
    return bool(standing.unfit) and not standing.behind


def where(engine: Engine) -> str:
    return str(absolute_sqlite_file(engine.url) or database_address(engine))


def check(engine: Engine, found: Found, oldest: str = migrations.OLDEST) -> None:
    """Raises OtherRelease if this program cannot work with the database."""
    if unfit := judge_with_address(engine, found, oldest).unfit:
        raise OtherRelease(unfit)
