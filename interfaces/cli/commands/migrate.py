"""``rollouts migrate``."""

import click

from qdrant_rollouts import migrations
from qdrant_rollouts.adapters import database
from qdrant_rollouts.adapters.migrate import Migrated, migrate_database, plan_migration
from qdrant_rollouts.adapters.releases import where
from qdrant_rollouts.core.config.settings import load_settings
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.options import json_option
from qdrant_rollouts.interfaces.cli.running import DONE, ENDED_BADLY, verb


@click.command()
@click.option(
    "--check",
    is_flag=True,
    help="Only say what is to be done; exit code 1 if there is anything to do.",
)
@json_option
@verb
def bring_up_to_date(check: bool, as_json: bool) -> int:
    """Brings the database up to date for this program.

    Run it once for each new release, before the release's processes start. It is safe to run twice,
    and in parallel.
    """
    engine = database.open_engine(load_settings().database_url.get_secret_value())
    try:
        found = plan_migration(engine) if check else migrate_database(engine)
        place = where(engine)
    finally:
        engine.dispose()
    if as_json:
        screen.print_json(
            {
                "database": place,
                "from": found.before,
                "to": found.after,
                "needed": found.changed,
                "changed": found.changed and not check,
                "program": migrations.HEAD,
            }
        )
    else:
        screen.make_console().print(
            _words(place, found, check=check), soft_wrap=True, markup=False, highlight=False
        )
    if check and found.changed:
        return ENDED_BADLY
    return DONE


def _words(place: str, found: Migrated, *, check: bool) -> str:
    if not found.changed and found.after == migrations.HEAD:
        return (
            f"the database at {place} is at revision {found.after}, the newest this program knows: "
            "nothing to do"
        )
    if not found.changed:
        return (
            f"the database at {place} is at revision {found.after}, newer than this program's "
            f"{migrations.HEAD}, which "
            "works on it: nothing to do"
        )
    before = "from nothing"
    if found.before:
        before = f"from revision {found.before}"
    if check:
        return (
            f"the database at {place} is to be brought {before} to {found.after}: `rollouts "
            "migrate` does it"
        )
    return f"the database at {place} was brought {before} to {found.after}"
