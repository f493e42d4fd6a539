"""What a verb does after it has started a run: it ends at once, or waits for the run's end."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.text import Text

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.lifecycle import Status
from qdrant_rollouts.core.operations.views.overview.deployment_situation import (
    get_deployment_with_situation,
)
from qdrant_rollouts.interfaces.cli import picture, screen
from qdrant_rollouts.interfaces.cli.following import Seen, follow_deployment
from qdrant_rollouts.interfaces.cli.running import (
    DONE,
    ENDED_BADLY,
    INTERRUPTED,
    CliContext,
    TimedOut,
)
from qdrant_rollouts.interfaces.embedded import running_elsewhere

Told = Callable[[], Mapping[str, Any]]

_NOBODY = "nothing runs it until `rollouts up` is started (or deploy with --wait)"


def leave_running(
    context: CliContext, started: str, as_json: bool, told: Told | None = None
) -> int:
    """Ends the verb while the run continues. ``told`` returns the JSON document if it is not the
    deployment itself."""
    if context.runner is not None and running_elsewhere() is None:
        screen.print_note(_NOBODY)
    seen = get_deployment_with_situation(context.services, started)
    if as_json:
        screen.print_json(told() if told else seen)
        return DONE
    out = screen.make_console()
    out.print(picture.render_tree(seen))
    out.print(Text(f"follow it with: rollouts status {started} --watch", style="dim"))
    return DONE


def wait_for_end(
    context: CliContext,
    started: str,
    timeout: float | None,
    as_json: bool,
    told: Told | None = None,
) -> int:
    """Waits for the end of the run and returns the exit code. ``told`` returns the JSON document if
    it is not the deployment itself."""
    try:
        seen = _follow_run(context, started, timeout, as_json)
    except KeyboardInterrupt:
        screen.print_note(
            f"deployment {started} {_describe_continuation(context)}; `rollouts abort {started}` "
            "rolls it back"
        )
        return INTERRUPTED
    except TimedOut as error:
        seen = get_deployment_with_situation(context.services, started)
        if as_json:
            screen.print_json(told() if told else seen)
        raise TimedOut(f"{error}; {_describe_rest(context, seen)}") from error
    if as_json:
        screen.print_json(told() if told else seen)
    if seen["status"] in (Status.LIVE, Status.COMPLETED):
        return DONE
    return ENDED_BADLY


def _follow_run(context: CliContext, started: str, timeout: float | None, as_json: bool) -> Seen:
    with drive_runner(context):
        try:
            return follow_deployment(context.services, started, timeout=timeout, as_json=as_json)
        except (KeyboardInterrupt, TimedOut):
            if context.runner is not None:
                screen.print_note("stopping after the turn under way")
            raise


@contextmanager
def drive_runner(context: CliContext) -> Iterator[bool]:
    """Yields whether this process runs deployments. With the embedded default it runs them, unless
    another process of this folder does so already. In that case this process closes the store and
    only reads the rows."""
    try:
        if context.runner is not None:
            context.runner.start()
    except Refused:
        context.services.store.close()
        yield False
        return
    try:
        yield context.runner is not None
    finally:
        if context.runner is not None:
            context.runner.stop()


def _describe_rest(context: CliContext, seen: Seen) -> str:
    if seen["status"] == Status.PAUSED:
        return picture.describe_decision(seen)
    return f"it {_describe_continuation(context)}"


def _describe_continuation(context: CliContext) -> str:
    if context.runner is None or running_elsewhere() is not None:
        return "goes on"
    return "is resumed by the next `rollouts up`"
