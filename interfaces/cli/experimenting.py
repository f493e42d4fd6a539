"""``experiment plan``, ``create``, ``report``, ``start``, ``stop``, ``widen``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.experiments import commands, planning, queries
from qdrant_rollouts.core.sanitize.bounded import read_yaml
from qdrant_rollouts.core.sanitize.quoting import quoted
from qdrant_rollouts.core.statistics.assignment import share_of
from qdrant_rollouts.interfaces.cli import findings, forecast, screen
from qdrant_rollouts.interfaces.cli.deploying import parsed
from qdrant_rollouts.interfaces.cli.running import DONE, House, actor, looked, opened
from qdrant_rollouts.interfaces.embedded import running_elsewhere
from qdrant_rollouts.interfaces.pictures import experiment_svg
from qdrant_rollouts.wiring import own_files

_NOBODY = "nobody looks at it until `rollouts up` is started"


def plan(
    alias: str,
    metrics: Sequence[str],
    split: float,
    coverage: float | None,
    options: Sequence[str],
    target: float | None,
    rate: float | None,
    deviation: float | None,
    users_per_day: float | None,
    as_json: bool,
) -> int:
    given = planning.ByHand(rate, deviation, users_per_day)
    wanted = _options(options, coverage, target=target)
    with looked(store=True) as house:
        seen = planning.plan(house.services, alias, given, split=split, metrics=parsed_metrics(metrics), options=wanted)
    if as_json:
        screen.emit(seen)
    else:
        screen.console().print(forecast.full(seen))
    return DONE


def create(
    name: str,
    control: str,
    treatments: Sequence[str],
    alias: str | None,
    metrics: Sequence[str],
    split: float,
    coverage: float | None,
    options: Sequence[str],
    mode: str | None,
    on_ship: str | None,
    draft: bool,
    reason: str,
    as_json: bool,
) -> int:
    wanted = _options(options, coverage, mode=mode, on_ship=on_ship)
    with opened(needs="store") as house:
        created = commands.create(
            house.services,
            name,
            control,
            treatments,
            actor=actor(),
            alias=alias,
            split=split,
            metrics=parsed_metrics(metrics),
            options=wanted,
            start=not draft,
            reason=reason,
        )
        return _told(house, created, as_json)


def report(experiment: str, svg: str | None, as_json: bool) -> int:
    with looked() as house:
        if svg is not None:
            own_files(house.settings).refuse(Path(svg), f"--svg {svg}")
        found = queries.report(house.services, experiment)
    if svg is not None:
        _draw(found, Path(svg))
    if as_json:
        screen.emit(found)
    else:
        screen.console().print(findings.full(found))
    return DONE


def start(experiment: str, reason: str, as_json: bool) -> int:
    with opened(needs="rows") as house:
        return _told(house, commands.start(house.services, experiment, actor=actor(), reason=reason), as_json)


def stop(experiment: str, reason: str, as_json: bool) -> int:
    with opened(needs="rows") as house:
        return _told(house, commands.stop(house.services, experiment, actor=actor(), reason=reason), as_json)


def widen(experiment: str, coverage: float, reason: str, as_json: bool) -> int:
    with opened(needs="rows") as house:
        widened = commands.widen(house.services, experiment, share_of(coverage), actor=actor(), reason=reason)
        return _told(house, widened, as_json)


def _told(house: House, experiment: str, as_json: bool) -> int:
    seen = queries.experiment(house.services, experiment)
    if seen["status"] == "running" and house.runner is not None and running_elsewhere() is None:
        screen.note(_NOBODY)
    if as_json:
        screen.emit(seen)
        return DONE
    out = screen.console()
    out.print(findings.head(seen))
    out.print(Text(_next(seen), style="dim"))
    return DONE


def _next(seen: Mapping[str, Any]) -> str:
    return (
        f"start it with: rollouts experiment start {seen['id']}"
        if seen["status"] == "draft"
        else (f"what it has found: rollouts experiment report {seen['id']}")
    )


def _draw(found: dict[str, Any], file: Path) -> None:
    try:
        file.write_text(experiment_svg(found), encoding="utf-8")
    except OSError as error:
        raise Refused(
            f"--svg {file}: cannot be written ({error.strerror}); name a file in a folder of yours"
        ) from error
    screen.note(f"drawn: {file}")


# --- what was asked -----------------------------------------------------------------------------------------------


def _options(options: Sequence[str], coverage: float | None, **named: Any) -> dict[str, Any]:
    """``--option`` and the options that have a name of their own, which come first."""
    named["coverage"] = None if coverage is None else share_of(coverage)
    return {**parsed(options), **{key: value for key, value in named.items() if value is not None}}


def parsed_metrics(given: Sequence[str]) -> list[str | dict[str, Any]] | None:
    """``dwell,kind=mean`` and the like; values are YAML. None where none is named. Raises Refused."""
    return [_metric(text) for text in given] or None


def _metric(text: str) -> str | dict[str, Any]:
    name, *settings = text.split(",")
    if not settings:
        return name
    return {"name": name, **dict(_setting(text, setting) for setting in settings)}


def _setting(text: str, setting: str) -> tuple[str, Any]:
    key, sign, value = setting.partition("=")
    if not sign or not key:
        raise Refused(
            f"--metric {quoted(text)}: expected NAME,KEY=VALUE such as dwell,kind=mean, found {quoted(setting)}"
        )
    try:
        return key, read_yaml(value)
    except ValueError as error:
        raise Refused(f"--metric {quoted(text)}: {quoted(value)} is no YAML value") from error
