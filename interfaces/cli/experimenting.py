"""``experiment plan``, ``create``, ``report``, ``start``, ``stop``, ``widen``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.experiments import commands, planning, queries
from qdrant_rollouts.core.sanitize.bounded import read_yaml
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.statistics.assignment import share_of
from qdrant_rollouts.interfaces.cli import findings, forecast, screen
from qdrant_rollouts.interfaces.cli.deploying import parse_options
from qdrant_rollouts.interfaces.cli.running import DONE, CliContext, actor, open_for_reading, open_services
from qdrant_rollouts.interfaces.embedded import running_elsewhere
from qdrant_rollouts.interfaces.pictures import experiment_svg
from qdrant_rollouts.wiring import own_files

_NOBODY = "nobody looks at it until `rollouts up` is started"


def plan_experiment(
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
    given = planning.GivenFigures(rate, deviation, users_per_day)
    wanted = _merge_options(options, coverage, target=target)
    with open_for_reading(store=True) as house:
        seen = planning.plan_experiment(
            house.services, alias, given, split=split, metrics=parse_metric_options(metrics), options=wanted
        )
    if as_json:
        screen.print_json(seen)
    else:
        screen.make_console().print(forecast.render_plan(seen))
    return DONE


def create_experiment(
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
    wanted = _merge_options(options, coverage, mode=mode, on_ship=on_ship)
    with open_services(needs="store") as house:
        created = commands.create_experiment(
            house.services,
            name,
            control,
            treatments,
            actor=actor(),
            alias=alias,
            split=split,
            metrics=parse_metric_options(metrics),
            options=wanted,
            start=not draft,
            reason=reason,
        )
        return _print_experiment(house, created, as_json)


def show_report(experiment: str, svg: str | None, as_json: bool) -> int:
    with open_for_reading() as house:
        if svg is not None:
            own_files(house.settings).refuse(Path(svg), f"--svg {svg}")
        found = queries.report_experiment(house.services, experiment)
    if svg is not None:
        _draw_report(found, Path(svg))
    if as_json:
        screen.print_json(found)
    else:
        screen.make_console().print(findings.render_report(found))
    return DONE


def start_experiment(experiment: str, reason: str, as_json: bool) -> int:
    with open_services(needs="rows") as house:
        return _print_experiment(
            house, commands.start_experiment(house.services, experiment, actor=actor(), reason=reason), as_json
        )


def stop_experiment(experiment: str, reason: str, as_json: bool) -> int:
    with open_services(needs="rows") as house:
        return _print_experiment(
            house, commands.stop_experiment(house.services, experiment, actor=actor(), reason=reason), as_json
        )


def widen_experiment(experiment: str, coverage: float, reason: str, as_json: bool) -> int:
    with open_services(needs="rows") as house:
        widened = commands.widen_experiment(
            house.services, experiment, share_of(coverage), actor=actor(), reason=reason
        )
        return _print_experiment(house, widened, as_json)


def _print_experiment(house: CliContext, experiment: str, as_json: bool) -> int:
    seen = queries.get_experiment(house.services, experiment)
    if seen["status"] == "running" and house.runner is not None and running_elsewhere() is None:
        screen.print_note(_NOBODY)
    if as_json:
        screen.print_json(seen)
        return DONE
    out = screen.make_console()
    out.print(findings.render_head(seen))
    out.print(Text(_suggest_next(seen), style="dim"))
    return DONE


def _suggest_next(seen: Mapping[str, Any]) -> str:
    return (
        f"start it with: rollouts experiment start {seen['id']}"
        if seen["status"] == "draft"
        else (f"what it has found: rollouts experiment report {seen['id']}")
    )


def _draw_report(found: dict[str, Any], file: Path) -> None:
    try:
        file.write_text(experiment_svg(found), encoding="utf-8")
    except OSError as error:
        raise Refused(
            f"--svg {file}: cannot be written ({error.strerror}); name a file in a folder of yours"
        ) from error
    screen.print_note(f"drawn: {file}")


# --- what was asked -----------------------------------------------------------------------------------------------


def _merge_options(options: Sequence[str], coverage: float | None, **named: Any) -> dict[str, Any]:
    """``--option`` and the options that have a name of their own, which come first."""
    named["coverage"] = None if coverage is None else share_of(coverage)
    return {**parse_options(options), **{key: value for key, value in named.items() if value is not None}}


def parse_metric_options(given: Sequence[str]) -> list[str | dict[str, Any]] | None:
    """``dwell,kind=mean`` and the like; values are YAML. None where none is named. Raises Refused."""
    return [_parse_metric(text) for text in given] or None


def _parse_metric(text: str) -> str | dict[str, Any]:
    name, *settings = text.split(",")
    if not settings:
        return name
    return {"name": name, **dict(_parse_setting(text, setting) for setting in settings)}


def _parse_setting(text: str, setting: str) -> tuple[str, Any]:
    key, sign, value = setting.partition("=")
    if not sign or not key:
        raise Refused(
            f"--metric {quote_value(text)}: expected NAME,KEY=VALUE such as dwell,kind=mean, found "
            f"{quote_value(setting)}"
        )
    try:
        return key, read_yaml(value)
    except ValueError as error:
        raise Refused(f"--metric {quote_value(text)}: {quote_value(value)} is no YAML value") from error
