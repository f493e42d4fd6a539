"""``deploy`` and ``rollback``: what starts a deployment, and may stay to see how it ends."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.text import Text

from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.lifecycle import Status
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.sanitize.bounded import read_yaml
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.interfaces.cli import picture, screen
from qdrant_rollouts.interfaces.cli.following import Seen, follow_deployment
from qdrant_rollouts.interfaces.cli.running import (
    DONE,
    ENDED_BADLY,
    INTERRUPTED,
    CliContext,
    TimedOut,
    actor,
    open_services,
)
from qdrant_rollouts.interfaces.embedded import running_elsewhere

Told = Callable[[], Mapping[str, Any]]

_NOBODY = "nothing runs it until `rollouts up` is started (or deploy with --wait)"


def deploy_index(
    alias: str,
    source: str | None,
    collection: str | None,
    strategy: str | None,
    validation_queries: Sequence[str],
    options: Sequence[str],
    accept_new_model: bool,
    keep_failed: bool,
    wait: bool,
    timeout: float | None,
    reason: str,
    as_json: bool,
) -> int:
    wanted = parse_options(options) | ({"accept_new_model": True} if accept_new_model else {})
    with open_services(starts=True, needs="place or store") as house:
        started = commands.start_deployment(
            house.services,
            alias,
            actor=actor(),
            source=source,
            collection=collection,
            strategy=strategy,
            queries=validation_queries or None,
            rollback_on_failure=False if keep_failed else None,
            options=wanted,
            reason=reason,
        )
        for warning in queries.describe_started(house.services, started).get("warnings", ()):
            screen.print_note(f"⚠ {warning}")
        return wait_for_end(house, started, timeout, as_json) if wait else leave_running(house, started, as_json)


def roll_back_index(alias: str, timeout: float, reason: str, as_json: bool) -> int:
    with open_services(starts=True, needs="rows") as house:
        started = commands.start_rollback(house.services, alias, actor=actor(), reason=reason)
        return wait_for_end(house, started, timeout, as_json)


def parse_options(options: Sequence[str]) -> dict[str, Any]:
    """``soak.seconds=2`` and the like as nested settings; values are YAML. Raises Refused."""
    settings: dict[str, Any] = {}
    for option in options:
        path, sign, text = option.partition("=")
        keys = path.split(".")
        if not sign or not all(keys):
            raise Refused(f"--option {quote_value(option)}: expected KEY=VALUE such as soak.seconds=60")
        _nested_section(settings, keys[:-1], option)[keys[-1]] = _parse_option_value(option, text)
    return settings


def _nested_section(settings: dict[str, Any], path: Sequence[str], option: str) -> dict[str, Any]:
    for key in path:
        settings = settings.setdefault(key, {})
        if not isinstance(settings, dict):
            raise Refused(f"--option {quote_value(option)}: {key} was given a value of its own before")
    return settings


def _parse_option_value(option: str, text: str) -> Any:
    try:
        return read_yaml(text)
    except ValueError as error:
        raise Refused(f"--option {quote_value(option)}: {quote_value(text)} is no YAML value") from error


def leave_running(house: CliContext, started: str, as_json: bool, told: Told | None = None) -> int:
    """Ends the verb while the run goes on; ``told`` gives the JSON document, if it is not the deployment itself."""
    if house.runner is not None and running_elsewhere() is None:
        screen.print_note(_NOBODY)
    seen = queries.get_deployment(house.services, started)
    if as_json:
        screen.print_json(told() if told else seen)
        return DONE
    out = screen.make_console()
    out.print(picture.render_tree(seen))
    out.print(Text(f"follow it with: rollouts status {started} --watch", style="dim"))
    return DONE


def wait_for_end(
    house: CliContext, started: str, timeout: float | None, as_json: bool, told: Told | None = None
) -> int:
    """The exit code of the run's end; ``told`` gives the JSON document, if it is not the deployment itself."""
    try:
        seen = _follow_run(house, started, timeout, as_json)
    except KeyboardInterrupt:
        screen.print_note(
            f"deployment {started} {_describe_continuation(house)}; `rollouts abort {started}` rolls it back"
        )
        return INTERRUPTED
    except TimedOut as error:
        if as_json:
            screen.print_json(told() if told else queries.get_deployment(house.services, started))
        raise TimedOut(f"{error}; it {_describe_continuation(house)}") from error
    if as_json:
        screen.print_json(told() if told else seen)
    return DONE if seen["status"] in (Status.LIVE, Status.COMPLETED) else ENDED_BADLY


def _follow_run(house: CliContext, started: str, timeout: float | None, as_json: bool) -> Seen:
    with drive_runner(house):
        try:
            return follow_deployment(house.services, started, timeout=timeout, as_json=as_json)
        except (KeyboardInterrupt, TimedOut):
            if house.runner is not None:
                screen.print_note("stopping after the turn under way")
            raise


@contextmanager
def drive_runner(house: CliContext) -> Iterator[bool]:
    """With the embedded default deployments run in this process, unless another one of this folder runs them already:
    then this one lets go of the store and only watches the rows. Whether this process runs any."""
    try:
        if house.runner is not None:
            house.runner.start()
    except Refused:
        house.services.store.close()
        yield False
        return
    try:
        yield house.runner is not None
    finally:
        if house.runner is not None:
            house.runner.stop()


def _describe_continuation(house: CliContext) -> str:
    if house.runner is None or running_elsewhere() is not None:
        return "goes on"
    return "is resumed by the next `rollouts up`"
