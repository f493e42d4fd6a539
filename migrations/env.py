"""Alembic's entry: runs on the connection that it receives, or on ROLLOUTS_DATABASE_URL from the
command line.

It records after each revision which programs still work with it.
"""

from collections.abc import Collection
from typing import Any

from alembic import context
from sqlalchemy import Connection, delete, insert, inspect

from qdrant_rollouts.adapters.database import open_engine
from qdrant_rollouts.core.config.settings import load_settings
from qdrant_rollouts.core.database import (
    alert_rows,
    caller_rows,
    experiment_rows,
    history_rows,
    journal_rows,
    judgment_rows,
    log_rows,
    plan_rows,
    schedule_rows,
    slice_rows,
    worker_rows,
    write_rows,
)
from qdrant_rollouts.core.database.models import Base, WorksWith

#: All modules that add tables.
_TABLES = (
    alert_rows.NoticeRow,
    caller_rows.TokenRow,
    experiment_rows.Experiment,
    history_rows.SearchHistoryRow,
    journal_rows.WriteStateRow,
    judgment_rows.JudgmentRow,
    log_rows.LogLineRow,
    plan_rows.PlanRow,
    schedule_rows.Schedule,
    slice_rows.SliceRow,
    worker_rows.WorkerRow,
    write_rows.Freeze,
)
assert all(table.metadata is Base.metadata for table in _TABLES)


def run(connection: Connection) -> None:
    def declare(ctx: Any, step: Any, heads: Collection[Any], run_args: Any) -> None:
        """Alembic calls this after a migration was done or undone, with arguments by name."""
        if heads and inspect(connection).has_table(WorksWith.__tablename__):
            module = context.script.get_revision(max(heads)).module
            oldest = getattr(module, "oldest_program", max(heads))
            connection.execute(delete(WorksWith))
            connection.execute(insert(WorksWith).values(id=1, oldest_program=oldest))

    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        on_version_apply=declare,
    )
    with context.begin_transaction():
        context.run_migrations()


handed = context.config.attributes.get("connection")
if handed is not None:
    run(handed)
else:
    with open_engine(load_settings().database_url.get_secret_value()).begin() as opened:
        run(opened)
