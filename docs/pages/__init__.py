"""Pages that are made from the code: ``PAGES`` has them all, ``python -m docs.make_reference``
writes them."""

from collections.abc import Callable

from docs.pages import (
    channels,
    checks,
    cli,
    errors,
    index_file,
    runbook,
    settings,
    sources,
    strategies,
    tasks,
    typescript,
)

#: Where a page stands under ``docs/`` -> what makes it.
PAGES: dict[str, Callable[[], str]] = {
    "howto/strategies.md": strategies.page,
    "howto/sources.md": sources.page,
    "howto/checks.md": checks.page,
    "howto/channels.md": channels.page,
    "runbook.md": runbook.page,
    "reference/cli.md": cli.page,
    "reference/settings.md": settings.page,
    "reference/index-file.md": index_file.page,
    "reference/tasks.md": tasks.page,
    "reference/errors.md": errors.page,
    "../examples/typescript/api.ts": typescript.page,
}
