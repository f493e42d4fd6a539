"""The elements of a plot: lines, marks and texts at shares of its width."""

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree as ET

from qdrant_rollouts.interfaces.pictures.canvas import Element, clean_text, format_place

#: Vertical places in pixels: the texts above the plot, the plot itself, and the texts below it.
ABOVE = 10.0
TOP = 18.0
BOTTOM = 126.0
BELOW = 142.0
HEIGHT = 148.0
#: The plot is at least so wide, in pixels: on a phone, beside the scale and the names.
NARROWEST = 200.0
#: Pixels of every text.
TEXT_SIZE = 11.0
_SPAN = 1000.0

#: The outline of each mark around 0, 0; a line is told from others by its mark too.
SHAPES = (
    "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z",
    "M-2.8-2.8h5.6v5.6h-5.6z",
    "M0-3.6 3.5 2.6h-7z",
    "M0-3.9 3.9 0 0 3.9-3.9 0z",
    "M0 3.6 3.5-2.6h-7z",
)
#: (share of the width, pixels from the top)
Place = tuple[float, float]


def open_plot(title: str, summary: str, description: str) -> Element:
    """``summary`` says in a sentence what the picture shows."""
    root = ET.Element(
        "svg",
        {
            "class": "plot",
            "width": "100%",
            "height": format_place(HEIGHT),
            "role": "img",
            "aria-label": clean_text(summary),
        },
    )
    ET.SubElement(root, "title").text = clean_text(title)
    ET.SubElement(root, "desc").text = clean_text(description)
    return root


def open_margin(kind: str, width: float) -> Element:
    """Opens what stands beside a plot; the plot's own text says it for screen readers."""
    size = {"width": format_place(width), "height": format_place(HEIGHT)}
    return ET.Element("svg", {"class": kind, **size, "aria-hidden": "true"})


def draw_lines(parent: Element, parts: Iterable[Sequence[Place]], kind: str) -> None:
    """Draws a line through the places of each part; between two parts there is a gap."""
    drawn = "".join(
        "M" + "L".join(f"{format_place(x * _SPAN)} {format_place(y)}" for x, y in part)
        for part in parts
        if len(part) > 1
    )
    if not drawn:
        return
    frame = {
        "width": "100%",
        "height": format_place(HEIGHT),
        "viewBox": f"0 0 {format_place(_SPAN)} {format_place(HEIGHT)}",
        "preserveAspectRatio": "none",
    }
    stretched = ET.SubElement(parent, "svg", frame)
    ET.SubElement(stretched, "path", {"d": drawn, "class": kind})


def draw_mark(parent: Element, place: Place, shape: str, kind: str, title: str = "") -> None:
    corner = {"x": format_share(place[0]), "y": format_place(place[1])}
    frame = ET.SubElement(parent, "svg", {**corner, "overflow": "visible"})
    path = ET.SubElement(frame, "path", {"d": shape, "class": kind})
    if title:
        ET.SubElement(path, "title").text = clean_text(title)


def draw_level(parent: Element, y: float, kind: str) -> None:
    """Draws a line over the whole width."""
    height = format_place(y)
    ET.SubElement(
        parent, "line", {"x1": "0", "x2": "100%", "y1": height, "y2": height, "class": kind}
    )


def draw_upright(
    parent: Element, x: float, ends: tuple[float, float], kind: str, title: str = ""
) -> None:
    place = format_share(x)
    line = ET.SubElement(
        parent,
        "line",
        {
            "x1": place,
            "x2": place,
            "y1": format_place(ends[0]),
            "y2": format_place(ends[1]),
            "class": kind,
        },
    )
    if title:
        ET.SubElement(line, "title").text = clean_text(title)


def draw_words(parent: Element, place: Place, words: str, kind: str) -> None:
    """Writes words whose middle is at the place."""
    corner = {"x": format_share(place[0]), "y": format_place(place[1]), "class": kind}
    ET.SubElement(parent, "text", corner).text = clean_text(words)


def format_share(share: float) -> str:
    return f"{share:.2%}".replace(".00%", "%")
