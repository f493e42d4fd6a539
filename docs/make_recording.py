"""Records a real run of the demo as an animated SVG: ``python -m docs.make_recording`` writes
``docs/images/demo.svg``.

Needs pyte. The picture replays what a terminal would have shown. Equal lines are stored once, and a
frame is a list of lines; the frames are side by side, and the picture moves from one to the next.
Readers who prefer no motion see the last one.
"""

import contextlib
import os
import pty
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby, pairwise
from pathlib import Path

import pyte
from pyte.screens import Char

PICTURE = Path(__file__).parent / "images" / "demo.svg"
COLUMNS = 108
ROWS = 36
#: Pixels.
_CHAR = 8.4
_LINE = 19
_SIZE = 14
_MARGIN = 18
_BAR = 36
#: From one frame to the next; a gap, since a glyph may be wider than its place.
_STEP = COLUMNS * _CHAR + 50
#: Seconds: how much faster than it was, the shortest and longest a picture stands, and the last
#: one.
_SPEED = 3.0
_SHORTEST = 0.3
_LONGEST = 1.5
_LAST = 9.0
_FONTS = "ui-monospace,SFMono-Regular,Menlo,'DejaVu Sans Mono',Consolas,monospace"
_COLOURS = {
    "default": "#d3d7de",
    "green": "#7fc98b",
    "red": "#f08080",
    "cyan": "#6cc7d9",
    "brown": "#e0c074",  # its word for yellow
    "brightblack": "#7d8794",
}
_LIGHTS = ("#ff5f57", "#febc2e", "#28c840")


Row = tuple[Char, ...]
Rows = tuple[Row, ...]


@dataclass(frozen=True)
class Frame:
    """What the terminal showed, and for how many seconds of the recording."""

    rows: Rows
    seconds: float


def record(arguments: Sequence[str]) -> list[tuple[float, bytes]]:
    """Returns what the program wrote to its terminal, and when (seconds from its start)."""
    begun = time.monotonic()
    written = []

    def read(terminal: int) -> bytes:
        content = os.read(terminal, 1 << 16)
        written.append((time.monotonic() - begun, content))
        return content

    # Only the program gets these: other children of this process keep their environment.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own = [f"PATH={path}", f"COLUMNS={COLUMNS}", f"LINES={ROWS}", "TERM=xterm-256color"]
    if os.waitstatus_to_exitcode(pty.spawn(["env", *own, *arguments], read)):
        sys.exit("the program did not end well; nothing was recorded")
    return written


def frames(written: Sequence[tuple[float, bytes]]) -> list[Frame]:
    """Changes that are too fast to read become one frame."""
    seen: list[tuple[float, Rows]] = []
    for at, rows in _screens(written):
        fast = bool(seen) and at - seen[-1][0] < _SHORTEST * _SPEED
        if not seen or rows != seen[-1][1]:
            seen.append((seen.pop()[0] if fast else at, rows))
    stands = [
        min(max((after - at) / _SPEED, _SHORTEST), _LONGEST)
        for (at, _), (after, _) in pairwise(seen)
    ]
    return [Frame(rows, seconds) for (_, rows), seconds in zip(seen, [*stands, _LAST], strict=True)]


def _screens(written: Sequence[tuple[float, bytes]]) -> Iterator[tuple[float, Rows]]:
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    for at, content in written:
        stream.feed(content.replace(b"\x1b[2m", b"\x1b[90m"))  # it knows no dim
        yield (
            at,
            tuple(
                tuple(screen.buffer[row][column] for column in range(COLUMNS))
                for row in range(ROWS)
            ),
        )


# --- drawing --------------------------------------------------------------------------------------


def drawing(shown: Sequence[Frame], title: str) -> str:
    width = _MARGIN * 2 + COLUMNS * _CHAR
    height = _MARGIN + _BAR + ROWS * _LINE
    lines = {
        row: f"l{number}"
        for number, row in enumerate(dict.fromkeys(row for one in shown for row in one.rows))
    }
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
            'role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{_style(shown)}</style>",
            "<defs>",
            *(f'<g id="{name}">{_line(row)}</g>' for row, name in lines.items()),
            "</defs>",
            f'<rect width="{width:g}" height="{height:g}" rx="9" fill="#161b22"/>',
            *(
                f'<circle cx="{22 + 20 * n}" cy="18" r="6" fill="{fill}"/>'
                for n, fill in enumerate(_LIGHTS)
            ),
            f'<text x="{width / 2:g}" y="23" text-anchor="middle" '
            f'class="brightblack">{escape(title)}</text>',
            f'<svg x="{_MARGIN}" y="{_BAR}" width="{COLUMNS * _CHAR:g}" height="{ROWS * _LINE}"><g '
            'class="film">',
            *(_frame(one, number, lines) for number, one in enumerate(shown)),
            "</g></svg>",
            "</svg>",
            "",
        ]
    )


def _style(shown: Sequence[Frame]) -> str:
    whole = sum(one.seconds for one in shown)
    at = 0.0
    steps = []
    for number, one in enumerate(shown):
        steps.append(f"{100 * at / whole:.2f}%{{transform:translateX({-number * _STEP:g}px)}}")
        at += one.seconds
    last = f"transform:translateX({-(len(shown) - 1) * _STEP:g}px)"
    return "".join(
        [
            f"text{{font:{_SIZE}px {_FONTS};white-space:pre}}",
            *(f".{name}{{fill:{colour}}}" for name, colour in _COLOURS.items()),
            ".bold{font-weight:bold}",
            f"@keyframes film{{{''.join(steps)}to{{{last}}}}}",
            f".film{{animation:film {whole:.1f}s steps(1,end) infinite}}",
            f"@media(prefers-reduced-motion){{.film{{animation:none;{last}}}}}",
        ]
    )


def _frame(one: Frame, number: int, lines: dict[Row, str]) -> str:
    uses = (
        f'<use href="#{lines[row]}" y="{at * _LINE}"/>'
        for at, row in enumerate(one.rows)
        if _line(row)
    )
    return f'<g transform="translate({number * _STEP:g})">{"".join(uses)}</g>'


def _line(row: Row) -> str:
    """Draws each run of one colour at its place and width, so that no font moves what comes after
    it."""
    column = 0
    runs = []
    for (colour, bold), chars in groupby(row, key=lambda char: (char.fg, char.bold)):
        text = "".join(char.data for char in chars)
        if text.strip():
            kind = f"{colour} bold" if bold else colour
            length = f'textLength="{len(text) * _CHAR:g}" lengthAdjust="spacingAndGlyphs"'
            runs.append(
                f'<text x="{column * _CHAR:g}" y="{_SIZE}" class="{kind}" '
                f"{length}>{escape(text)}</text>"
            )
        column += len(text)
    return "".join(runs)


def main(picture: Path, command: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        written = record(command)
    picture.parent.mkdir(exist_ok=True)
    picture.write_text(drawing(frames(written), " ".join(command)), encoding="utf-8")
    print(f"{picture}: {picture.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(PICTURE, ["rollouts", "demo"])
