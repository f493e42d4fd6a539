"""SVG elements, and text that stays in its place.

Texts come from others: control characters and characters that XML forbids are left out, and the XML
writer escapes the rest. The reader's fonts are unknown, so widths are those of DejaVu Sans, one of
the widest, by kinds of character. A text that does not fit ends in an ellipsis and is complete in a
tooltip.
"""

import unicodedata
from collections.abc import Sequence
from xml.etree import ElementTree as ET

Element = ET.Element

#: Widths in em; the first kind that contains a character counts.
_KINDS = (("ijlIJ.,:;'|!·/-[] ", 0.34), ('tfr()"_', 0.44), ("mwMW@%—…+\N{MINUS SIGN}<>=&", 1.0))
_UPPER = 0.76
_LATIN = 0.63
_FULL = 1.0
_SYMBOL = 1.3
_OTHER = 0.8
_BOLD = 1.13


def start_picture(width: float, height: float, title: str, description: str, style: str) -> Element:
    """Returns the root, with the text for screen readers."""
    box = f"0 0 {format_place(width)} {format_place(height)}"
    size = {"width": format_place(width), "height": format_place(height), "viewBox": box}
    root = ET.Element(
        "svg", {"xmlns": "http://www.w3.org/2000/svg", **size, "class": "experiment", "role": "img"}
    )
    ET.SubElement(root, "title").text = clean_text(title)
    ET.SubElement(root, "desc").text = clean_text(description)
    ET.SubElement(root, "style").text = style
    return root


def draw_rectangle(
    parent: Element, left: float, top: float, width: float, height: float, kind: str
) -> None:
    corner = {
        "x": format_place(left),
        "y": format_place(top),
        "width": format_place(width),
        "height": format_place(height),
    }
    ET.SubElement(parent, "rect", {**corner, "class": kind})


def draw_line(
    parent: Element, start: tuple[float, float], end: tuple[float, float], kind: str
) -> None:
    ends = {
        "x1": format_place(start[0]),
        "y1": format_place(start[1]),
        "x2": format_place(end[0]),
        "y2": format_place(end[1]),
    }
    ET.SubElement(parent, "line", {**ends, "class": kind})


def draw_circle(parent: Element, x: float, y: float, radius: float, kind: str) -> None:
    ET.SubElement(
        parent,
        "circle",
        {"cx": format_place(x), "cy": format_place(y), "r": format_place(radius), "class": kind},
    )


def draw_path(
    parent: Element, points: Sequence[tuple[float, float]], kind: str, *, closed: bool = False
) -> None:
    """Draws nothing without points."""
    if not points:
        return
    drawn = (
        "M"
        + "L".join(f"{format_place(x)} {format_place(y)}" for x, y in points)
        + ("Z" if closed else "")
    )
    ET.SubElement(parent, "path", {"d": drawn, "class": kind})


def open_window(parent: Element, left: float, top: float, width: float, height: float) -> Element:
    """A part that clips its content; coordinates stay those of the picture."""
    corner = {
        "x": format_place(left),
        "y": format_place(top),
        "width": format_place(width),
        "height": format_place(height),
    }
    box = " ".join(corner.values())
    return ET.SubElement(parent, "svg", {**corner, "viewBox": box, "overflow": "hidden"})


def draw_text(
    parent: Element, x: float, y: float, words: str, kind: str = "", room: float | None = None
) -> Element:
    """``kind``: classes, one of which may be a size such as ``s13``; ``room``: pixels that it may
    take."""
    element = ET.SubElement(
        parent, "text", {"x": format_place(x), "y": format_place(y), "class": kind}
    )
    whole = clean_text(words)
    element.text = whole if room is None else fit_text(whole, room, font_size(kind))
    if element.text != whole:
        ET.SubElement(element, "title").text = whole
        element[0].tail = element.text
        element.text = None
    return element


def append_text(element: Element, words: str, kind: str) -> None:
    """Adds more text on the same line."""
    ET.SubElement(element, "tspan", {"dx": "10", "class": kind}).text = clean_text(words)


def clean_text(words: object) -> str:
    return "".join(
        char if char.isprintable() or char == "\N{NO-BREAK SPACE}" else " " for char in str(words)
    )


def text_width(words: str, size: float) -> float:
    """Pixels, estimated."""
    return size * sum(map(_char_width, words))


def fit_text(words: str, room: float, size: float) -> str:
    if text_width(words, size) <= room:
        return words
    while words and text_width(words + "…", size) > room:
        words = words[:-1]
    return words.rstrip() + "…"


def wrap_text(words: str, room: float, size: float, most: int) -> list[str]:
    """Returns at most this many lines; a word longer than a line is broken, and the last line ends
    in an ellipsis if more follows."""
    lines = [""]
    for word in _break_words(clean_text(words), room, size):
        longer = f"{lines[-1]} {word}".strip()
        if text_width(longer, size) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > most:
        lines = [*lines[: most - 1], fit_text(" ".join(lines[most - 1 :]), room, size)]
    return lines


def format_place(pixels: float) -> str:
    """A coordinate, to a tenth of a pixel."""
    return f"{round(pixels, 1) + 0.0:.1f}".removesuffix(".0")


def svg_text(root: Element) -> str:
    return ET.tostring(root, encoding="unicode")


def font_size(kind: str) -> float:
    """Pixels of a text with these classes; bold counts as larger, because it is wider."""
    names = kind.split()
    size = next((float(name[1:]) for name in names if name[0] == "s" and name[1:].isdigit()), 13.0)
    return size * _BOLD if "bold" in names else size


def _char_width(char: str) -> float:
    found = next((em for kind, em in _KINDS if char in kind), None)
    if found is not None:
        return found
    if char.isascii():
        return _UPPER if char.isupper() else _LATIN
    if unicodedata.combining(char):
        return 0.0
    if unicodedata.category(char) == "So":
        return _SYMBOL
    return _FULL if unicodedata.east_asian_width(char) in "WF" else _OTHER


def _break_words(words: str, room: float, size: float) -> Sequence[str]:
    pieces = []
    for word in words.split():
        rest = word
        while text_width(rest, size) > room:
            fits = next(
                end
                for end in range(len(rest), 0, -1)
                if end == 1 or text_width(rest[:end], size) <= room
            )
            pieces.append(rest[:fits])
            rest = rest[fits:]
        pieces.append(rest)
    return pieces
