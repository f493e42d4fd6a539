"""Draws the Grafana dashboard, ``docs/grafana/qdrant-rollouts.json``: ``python -m
docs.make_dashboard``."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "grafana" / "qdrant-rollouts.json"

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH = 24
_OF_ALIAS = 'alias=~"$alias"'


@dataclass(frozen=True, slots=True)
class Panel:
    """``asks``: expressions, each with the legend of its series. It turns yellow at ``warn``, red
    at ``bad``."""

    title: str
    kind: str
    asks: Mapping[str, str]
    unit: str = "short"
    warn: float | None = None
    bad: float | None = None
    help: str = ""


ROWS: Mapping[str, list[Panel]] = {
    "Is anything wrong?": [
        Panel(
            "Need a person",
            "stat",
            {'sum(rollouts_deployments{status="needs_operator"}) or vector(0)': ""},
            bad=1,
        ),
        Panel(
            "Wait for a person",
            "stat",
            {'sum(rollouts_deployments{status="paused"}) or vector(0)': ""},
            warn=1,
        ),
        Panel("Alerts that last", "stat", {"rollouts_alerts_firing": "{{severity}}"}, warn=1),
        Panel(
            "Since the last sweep",
            "stat",
            {"rollouts_sweep_age_seconds": ""},
            unit="s",
            warn=60,
            bad=120,
            help="Since somebody looked for turns that are due: beyond two minutes nobody runs "
            "deployments.",
        ),
        Panel("Deletions overdue", "stat", {'rollouts_deletions{state="overdue"}': ""}, warn=1),
        Panel("Schedules late", "stat", {"sum(rollouts_schedule_late) or vector(0)": ""}, bad=1),
    ],
    "Who takes turns": [
        Panel(
            "Children of workers",
            "timeseries",
            {"sum by (queue, state) (rollouts_queue_places)": "{{queue}} {{state}}"},
        ),
        Panel(
            "Clocks against the database's",
            "timeseries",
            {"abs(rollouts_worker_clock_offset_seconds)": "{{worker}}"},
            unit="s",
            warn=2,
            help="How far each worker's clock is from the database's: told from two seconds on.",
        ),
        Panel(
            "Since a worker was heard of",
            "bargauge",
            {"rollouts_worker_seen_age_seconds": "{{worker}}"},
            unit="s",
            warn=30,
            bad=120,
        ),
        Panel(
            "Messages thrown away",
            "timeseries",
            {'rollouts_worker_messages{what="discarded"}': "{{worker}}"},
            warn=1,
        ),
    ],
    "Deployments": [
        Panel(
            "Ended, in a day",
            "timeseries",
            {
                "sum by (outcome) "
                '(increase(rollouts_deployments_ended_total{kind="rollout"}[1d]))': "{{outcome}}"
            },
        ),
        Panel(
            "Under way",
            "timeseries",
            {
                "sum by (kind, status) "
                '(rollouts_deployments{status!~"live|rolled_back"})': "{{kind}} {{status}}",
            },
        ),
        Panel(
            "Rebuilds: places and queue",
            "timeseries",
            {"rollouts_rebuild_places": "{{state}}", "rollouts_rebuilds_waiting": "waiting"},
            help="How many may build at once, how many do, and how many wait for a place.",
        ),
        Panel(
            "Writes during a rebuild: lag",
            "timeseries",
            {f"rollouts_catch_up_lag{{{_OF_ALIAS}}}": "{{alias}}"},
            help="How many points the new collection lacked in the last round. It falls from round "
            "to round unless writers are faster.",
        ),
        Panel(
            "Writes during a rebuild: rounds, and points of the last one",
            "timeseries",
            {
                f"rollouts_catch_up_rounds{{{_OF_ALIAS}}}": "{{alias}} rounds",
                f"rollouts_catch_up_points{{{_OF_ALIAS}}}": "{{alias}} {{what}}",
            },
        ),
        Panel(
            "Writers wait: expected and last",
            "timeseries",
            {
                f"rollouts_catch_up_fence_seconds{{{_OF_ALIAS}}}": "{{alias}} expected",
                f"rollouts_fence_held_seconds{{{_OF_ALIAS}}}": "{{alias}} last switch",
            },
            unit="s",
        ),
        Panel(
            "How long steps take: longest of the last days",
            "timeseries",
            {'rollouts_step_duration_seconds{quantile="1"}': "{{step}}"},
            unit="s",
        ),
        Panel(
            "How long steps take: half of them at most",
            "timeseries",
            {'rollouts_step_duration_seconds{quantile="0.5"}': "{{step}}"},
            unit="s",
        ),
        Panel(
            "Versions by verdict of the gate",
            "timeseries",
            {"rollouts_gate_verdicts": "{{verdict}}"},
        ),
        Panel(
            "Since the last version went live",
            "bargauge",
            {f"rollouts_last_live_age_seconds{{{_OF_ALIAS}}}": "{{alias}}"},
            unit="s",
        ),
    ],
    "Routes and experiments": [
        Panel(
            "Searches that collections on trial get",
            "timeseries",
            {
                f"rollouts_route_set_basis_points{{{_OF_ALIAS}}} / 100": "{{alias}} set",
                f"rollouts_route_confirmed_basis_points{{{_OF_ALIAS}}} / "
                "100": "{{alias}} confirmed",
            },
            unit="percent",
            help="Set is what the route says; confirmed what every search process says that it "
            "serves.",
        ),
        Panel(
            "Search processes behind their route",
            "timeseries",
            {f'rollouts_route_searchers{{state="behind",{_OF_ALIAS}}}': "{{alias}}"},
            warn=1,
        ),
        Panel(
            "Searches without a route",
            "timeseries",
            {f"rollouts_searches_unrouted{{{_OF_ALIAS}}}": "{{alias}}"},
            warn=1,
            help="Of the last hour, by processes that had not reached the database since they "
            "began.",
        ),
        Panel("Experiments", "timeseries", {"rollouts_experiments": "{{status}}"}),
        Panel("Deletions", "timeseries", {"rollouts_deletions": "{{state}}"}),
    ],
    "Schedules and backups": [
        Panel(
            "Since a schedule succeeded",
            "bargauge",
            {f"rollouts_schedule_success_age_seconds{{{_OF_ALIAS}}}": "{{alias}} {{action}}"},
            unit="s",
        ),
        Panel(
            "Age of the last backup",
            "bargauge",
            {f"rollouts_backup_age_seconds{{{_OF_ALIAS}}} < Inf": "{{alias}}"},
            unit="s",
        ),
        Panel(
            "Since a backup was tried out",
            "bargauge",
            {f"rollouts_backup_verified_age_seconds{{{_OF_ALIAS}}} < Inf": "{{alias}}"},
            unit="s",
        ),
        Panel(
            "Without any backup",
            "stat",
            {"count(rollouts_backup_age_seconds == Inf) or vector(0)": ""},
            warn=1,
        ),
    ],
    "Alerts": [
        Panel(
            "What lasts, and for how long",
            "bargauge",
            {f"rollouts_alert_lasting_seconds{{{_OF_ALIAS}}}": "{{alias}} {{what}}"},
            unit="s",
        ),
        Panel(
            "Alerts that have not arrived",
            "timeseries",
            {"rollouts_alert_deliveries": "{{channel}} {{status}}"},
            warn=1,
        ),
    ],
    "The numbers themselves": [
        Panel(
            "How long a scrape took the database",
            "timeseries",
            {"rollouts_scrape_seconds": ""},
            unit="s",
            warn=1,
        ),
        Panel("Series left out", "timeseries", {"rollouts_series_left_out": "{{metric}}"}, warn=1),
    ],
}


def dashboard() -> str:
    content = {
        "uid": "qdrant-rollouts",
        "title": "qdrant-rollouts",
        "description": "Drawn by python -m docs.make_dashboard; needs Grafana 10 or newer.",
        "tags": ["qdrant"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_datasource(), _aliases()]},
        "panels": list(_placed()),
    }
    return json.dumps(content, indent=2) + "\n"


def _placed() -> Iterator[dict[str, Any]]:
    """Rows of panels from the top: six small ones side by side, two of all others."""
    top = 0
    number = 0
    for title, panels in ROWS.items():
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": title,
            "gridPos": _at(0, top, _WIDTH, 1),
            "panels": [],
        }
        top += 1
        in_line = 6 if all(panel.kind == "stat" for panel in panels) else 2
        width = _WIDTH // in_line
        height = 4 if in_line == 6 else 8
        for place, panel in enumerate(panels):
            number += 1
            where = _at(place % in_line * width, top + place // in_line * height, width, height)
            yield {"id": number, "gridPos": where, **_drawn(panel)}
        top += -(-len(panels) // in_line) * height


def _at(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _drawn(panel: Panel) -> dict[str, Any]:
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.help,
        "datasource": _SOURCE,
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0,
                "thresholds": _thresholds(panel),
                "color": _color(panel),
            },
            "overrides": [],
        },
        "options": _OPTIONS[panel.kind],
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "expr": expression,
                "legendFormat": legend or panel.title,
                "datasource": _SOURCE,
                "instant": panel.kind != "timeseries",
                "range": panel.kind == "timeseries",
            }
            for place, (expression, legend) in enumerate(panel.asks.items())
        ],
    }


def _thresholds(panel: Panel) -> dict[str, Any]:
    bounds = [("yellow", panel.warn), ("red", panel.bad)]
    steps = [{"color": color, "value": bound} for color, bound in bounds if bound is not None]
    return {"mode": "absolute", "steps": [{"color": "green", "value": None}, *steps]}


def _color(panel: Panel) -> dict[str, str]:
    return {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"}


_REDUCED = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
_OPTIONS: Mapping[str, dict[str, Any]] = {
    "stat": {
        **_REDUCED,
        "colorMode": "background",
        "graphMode": "none",
        "textMode": "value_and_name",
    },
    "bargauge": {**_REDUCED, "orientation": "horizontal", "displayMode": "basic"},
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom"},
        "tooltip": {"mode": "multi"},
    },
}


def _datasource() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
    }


def _aliases() -> dict[str, Any]:
    return {
        "name": "alias",
        "label": "Index",
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": "label_values(rollouts_last_live_age_seconds, alias)", "refId": "alias"},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


if __name__ == "__main__":
    FILE.write_text(dashboard(), encoding="utf-8")
