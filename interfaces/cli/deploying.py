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
from qdrant_rollouts.core.sanitize.quoting import quoted
from qdrant_rollouts.interfaces.cli import picture, screen
from qdrant_rollouts.interfaces.cli.following import Seen, follow
from qdrant_rollouts.interfaces.cli.running import DONE, ENDED_BADLY, INTERRUPTED, House, TimedOut, actor, opened
from qdrant_rollouts.interfaces.embedded import running_elsewhere

Told = Callable[[], Mapping[str, Any]]

_NOBODY = "nothing runs it until `rollouts up` is started (or deploy with --wait)"


def deploy(
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
    wanted = parsed(options) | ({"accept_new_model": True} if accept_new_model else {})
    with opened(starts=True, needs="place or store") as house:
        started = commands.deploy(
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
        for warning in queries.started(house.services, started).get("warnings", ()):
            screen.note(f"⚠ {warning}")
        return see_through(house, started, timeout, as_json) if wait else leave(house, started, as_json)


def rollback(alias: str, timeout: float, reason: str, as_json: bool) -> int:
    with opened(starts=True, needs="rows") as house:
        started = commands.rollback(house.services, alias, actor=actor(), reason=reason)
        return see_through(house, started, timeout, as_json)


def parsed(options: Sequence[str]) -> dict[str, Any]:
    """``soak.seconds=2`` and the like as nested settings; values are YAML. Raises Refused."""
    settings: dict[str, Any] = {}
    for option in options:
        path, sign, text = option.partition("=")
        keys = path.split(".")
        if not sign or not all(keys):
            raise Refused(f"--option {quoted(option)}: expected KEY=VALUE such as soak.seconds=60")
        _section(settings, keys[:-1], option)[keys[-1]] = _value(option, text)
    return settings


def _section(settings: dict[str, Any], path: Sequence[str], option: str) -> dict[str, Any]:
    for key in path:
        settings = settings.setdefault(key, {})
        if not isinstance(settings, dict):
            raise Refused(f"--option {quoted(option)}: {key} was given a value of its own before")
    return settings


def _value(option: str, text: str) -> Any:
    try:
        return read_yaml(text)
    except ValueError as error:
        raise Refused(f"--option {quoted(option)}: {quoted(text)} is no YAML value") from error


def leave(house: House, started: str, as_json: bool, told: Told | None = None) -> int:
    """Ends the verb while the run goes on; ``told`` gives the JSON document, if it is not the deployment itself."""
    if house.runner is not None and running_elsewhere() is None:
        screen.note(_NOBODY)
    seen = queries.deployment(house.services, started)
    if as_json:
        screen.emit(told() if told else seen)
        return DONE
    out = screen.console()
    out.print(picture.tree(seen))
    out.print(Text(f"follow it with: rollouts status {started} --watch", style="dim"))
    return DONE


def see_through(house: House, started: str, timeout: float | None, as_json: bool, told: Told | None = None) -> int:
    """The exit code of the run's end; ``told`` gives the JSON document, if it is not the deployment itself."""
    try:
        seen = _followed(house, started, timeout, as_json)
    except KeyboardInterrupt:
        screen.note(f"deployment {started} {_goes_on(house)}; `rollouts abort {started}` rolls it back")
        return INTERRUPTED
    except TimedOut as error:
        if as_json:
            screen.emit(told() if told else queries.deployment(house.services, started))
        raise TimedOut(f"{error}; it {_goes_on(house)}") from error
    if as_json:
        screen.emit(told() if told else seen)
    return DONE if seen["status"] == Status.LIVE else ENDED_BADLY


def _followed(house: House, started: str, timeout: float | None, as_json: bool) -> Seen:
    with driven(house):
        try:
            return follow(house.services, started, timeout=timeout, as_json=as_json)
        except (KeyboardInterrupt, TimedOut):
            if house.runner is not None:
                screen.note("stopping after the turn under way")
            raise


@contextmanager
def driven(house: House) -> Iterator[bool]:
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


def _goes_on(house: House) -> str:
    if house.runner is None or running_elsewhere() is not None:
        return "goes on"
    return "is resumed by the next `rollouts up`"
