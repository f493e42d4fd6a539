"""Alembic's entry: runs on the connection it is handed, or on ROLLOUTS_DATABASE_URL from the command line."""

from alembic import context
from sqlalchemy import Connection

from qdrant_rollouts.adapters.database import open_engine
from qdrant_rollouts.core.config.settings import load_settings
from qdrant_rollouts.core.database import alert_rows, caller_rows, experiment_rows, schedule_rows, worker_rows
from qdrant_rollouts.core.database.models import Base

#: All modules that add tables.
_TABLES = (
    alert_rows.NoticeRow,
    caller_rows.TokenRow,
    experiment_rows.Experiment,
    schedule_rows.Schedule,
    worker_rows.WorkerRow,
)
assert all(table.metadata is Base.metadata for table in _TABLES)


def run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


handed = context.config.attributes.get("connection")
if handed is not None:
    run(handed)
else:
    with open_engine(load_settings().database_url.get_secret_value()).begin() as opened:
        run(opened)
