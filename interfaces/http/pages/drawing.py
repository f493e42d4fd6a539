"""Small drawings inside a page, as SVG without its own style: the pages' style sheet has their
colours."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from qdrant_rollouts.interfaces.pictures.scales import Scale

_WIDTH = 280.0
_HEIGHT = 74.0
_EDGE = 8.0

Bounds = tuple[float, float, float]


def draw_course(
    looks: Sequence[Mapping[str, Any]], metric: str, margin: float, said: str
) -> Markup:
    """Draws the effect on a metric, and its interval, over time; the line is 0, the dashed one the
    margin. ``looks``: by metric [effect, low, high], oldest first, None without a number. ``said``:
    the same in words."""
    seen = [tuple(look[metric]) for look in looks if metric in look]
    known = [one for one in seen if None not in one]
    if not known:
        return Markup('<p class="small soft">nothing to draw yet</p>')
    return _draw_svg(known, margin, said)


def _draw_svg(known: list[Bounds], margin: float, said: str) -> Markup:
    low, high = _value_range(known, margin)
    x = Scale(0.0, float(max(len(known) - 1, 1)), 4.0, _WIDTH - 8)
    y = Scale(low, high, _HEIGHT - _EDGE, _EDGE)
    places = [x(float(count)) for count in range(len(known))]
    edges = [[y(min(max(one[part], low), high)) for one in known] for part in range(3)]
    line, bottom, top = (list(zip(places, edge, strict=True)) for edge in edges)
    return Markup(
        '<svg class="spark" viewBox="0 0 280 74" preserveAspectRatio="none" role="img" '
        'aria-label="{said}">'
        '<line class="zero" x1="0" x2="280" y1="{zero:.1f}" y2="{zero:.1f}"/>'
        '<line class="bound" x1="0" x2="280" y1="{bound:.1f}" y2="{bound:.1f}"/>'
        '<path class="band" d="{band}"/><path class="course" d="{course}"/>'
        '<circle class="dot" cx="{cx:.1f}" cy="{cy:.1f}" r="3"/></svg>'
    ).format(
        said=said,
        zero=y(0.0),
        bound=y(margin),
        band=_path_data([*bottom, *reversed(top)]) + "Z",
        course=_path_data(line),
        cx=line[-1][0],
        cy=line[-1][1],
    )


def _value_range(known: list[Bounds], margin: float) -> tuple[float, float]:
    """Current values fill the drawing; early intervals, which are wide, are cut off."""
    core = [0.0, margin, *known[-1]]
    room = (max(core) - min(core)) * 0.25 or 1.0
    return min(core) - room, max(core) + room


def _path_data(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
