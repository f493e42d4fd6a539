"""The next two releases of this product, made from a copy of it as a developer would: the first
adds a column, a table, a step, a task and an argument; the second requires them."""

import shutil
from pathlib import Path

from qdrant_rollouts import migrations
from tests.acceptance.installation import ROOT

OWN = ("adapters", "core", "interfaces", "migrations", "tasks")
FILES = (
    "beat_schedule.py",
    "wiring.py",
    "Procfile",
    "tests/__init__.py",
    "tests/world.py",
    "tests/servers.py",
)
THIS = migrations.HEAD
NEXT = f"{int(THIS) + 1:04}"
AFTER_NEXT = f"{int(THIS) + 2:04}"

_EXPANDS = f'''"""How urgent a deployment is, and notes."""

import sqlalchemy as sa
from alembic import op

revision = "{NEXT}"
down_revision = "{THIS}"
oldest_program = "{THIS}"


def upgrade() -> None:
    op.add_column("deployments", sa.Column("urgency", sa.Text))
    op.create_table(
        "notes", sa.Column("id", sa.Integer, primary_key=True), sa.Column("text", sa.Text)
    )


def downgrade() -> None:
    op.drop_table("notes")
    op.drop_column("deployments", "urgency")
'''
_CONTRACTS = f'''"""Every deployment says how urgent it is."""

import sqlalchemy as sa
from alembic import op

revision = "{AFTER_NEXT}"
down_revision = "{NEXT}"
oldest_program = "{NEXT}"


def upgrade() -> None:
    rows = sa.table("deployments", sa.column("urgency"))
    op.execute(rows.update().where(rows.c.urgency.is_(None)).values(urgency="normal"))
    op.alter_column("deployments", "urgency", nullable=False)


def downgrade() -> None:
    op.alter_column("deployments", "urgency", nullable=True)
'''
_POLISH = '''"""Nothing but a step that the release before does not know."""

from qdrant_rollouts.core.database.step_data import StepOutput
from qdrant_rollouts.core.deployments.plan import Done, StepContext


def polish(context: StepContext) -> Done:
    return Done(StepOutput(summary="polished"))
'''
_NOTE = """

class Note(Base):
    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str | None]
"""
#: A developer's changes: (file, before, after).
_CHANGES = (
    (
        "core/database/models.py",
        '    message: Mapped[str] = mapped_column(default="")\n    #: Why',
        '    message: Mapped[str] = mapped_column(default="")\n'
        '    urgency: Mapped[str | None] = mapped_column(default="normal")\n    #: Why',
    ),
    (
        "core/deployments/steps/__init__.py",
        "    population,\n",
        "    polishing,\n    population,\n",
    ),
    (
        "core/deployments/steps/__init__.py",
        '        Step("stop"',
        '        Step("polish", do=polishing.polish, queue="bulk"),\n        Step("stop"',
    ),
    (
        "core/deployments/strategies/parts.py",
        'return (STEPS["switch"]',
        'return (STEPS["polish"], STEPS["switch"]',
    ),
    (
        "tasks/commands.py",
        "    validation_queries: Sequence[str] | None = None,\n",
        "    validation_queries: Sequence[str] | None = None,\n    urgency: str = 'normal',\n",
    ),
    (
        "tasks/commands.py",
        '    "deployments.promote": promote',
        '    "deployments.deploy_at_once": deploy_new_version,\n    "deployments.promote": promote',
    ),
)


def next_release(folder: Path) -> Path:
    """Makes the release after this one."""
    tree = _copy(ROOT, folder)
    (tree / "migrations" / "versions" / f"{NEXT}_urgency.py").write_text(_EXPANDS)
    (tree / "core" / "deployments" / "steps" / "polishing.py").write_text(_POLISH)
    _head(tree, THIS, NEXT)
    for name, before, after in _CHANGES:
        _change(tree / name, before, after)
    models = tree / "core" / "database" / "models.py"
    models.write_text(models.read_text() + _NOTE)
    return tree


def release_after_next(next_one: Path, folder: Path) -> Path:
    tree = _copy(next_one, folder)
    (tree / "migrations" / "versions" / f"{AFTER_NEXT}_urgency_demanded.py").write_text(_CONTRACTS)
    _head(tree, NEXT, AFTER_NEXT)
    return tree


def _copy(source: Path, tree: Path) -> Path:
    for name in OWN:
        shutil.copytree(source / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(
        source / "tests" / "acceptance",
        tree / "tests" / "acceptance",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name in FILES:
        shutil.copy(source / name, tree / name)
    shutil.copytree(source / "src", tree / "src", symlinks=True)
    return tree


def _head(tree: Path, before: str, after: str) -> None:
    file = tree / "migrations" / "__init__.py"
    text = file.read_text()
    _change(file, f'HEAD = "{before}"', f'HEAD = "{after}"')
    oldest = next(line for line in text.splitlines() if line.startswith("OLDEST = "))
    _change(file, oldest, f'OLDEST = "{after}"')


def _change(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert text.count(before) == 1, f"{before!r} stands {text.count(before)} times in {file}"
    file.write_text(text.replace(before, after))
