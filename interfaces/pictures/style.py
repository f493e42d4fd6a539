"""How pictures look: sizes, and one set of rules for light pages and one for dark.

Verdicts are green, vermilion and blue after Okabe and Ito, which colour-blind people can
distinguish. A word always repeats the meaning of a colour.
"""

_FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue','Noto Sans',Arial,sans-serif"

_SIZES = "".join(
    f".experiment .s{size}{{font-size:{size}px}}\n" for size in (11, 12, 13, 15, 17, 22)
)

_SHAPES = f"""
.experiment text{{font-family:{_FONT};font-variant-numeric:tabular-nums}}
{_SIZES}.experiment .bold{{font-weight:600}}
.experiment .thin{{font-weight:400}}
.experiment .end{{text-anchor:end}}
.experiment .middle{{text-anchor:middle}}
.experiment .halo{{paint-order:stroke;stroke-width:6;stroke-linejoin:round}}
.experiment .rule,.experiment .grid{{stroke-width:1}}
.experiment .zero{{stroke-width:1.5}}
.experiment .margin{{stroke-width:1.5;stroke-dasharray:5 4}}
.experiment .band{{fill-opacity:.18;stroke:none}}
.experiment .edge{{fill:none;stroke-width:1;stroke-opacity:.55}}
.experiment .course{{fill:none;stroke-width:2;stroke-linejoin:round}}
.experiment .whisker{{stroke-width:2}}
"""

LIGHT = {
    "page": "#ffffff",
    "card": "#f3f5f7",
    "ink": "#18212b",
    "soft": "#566270",
    "faint": "#e3e7eb",
    "line": "#c3cad1",
    "zero": "#6b7783",
    "course": "#33567a",
    "margin": "#a3541f",
    "better": "#00775a",
    "worse": "#c03f0c",
    "not_worse": "#0b69a3",
    "unclear": "#66717d",
    "sign": "#ffffff",
}

DARK = {
    "page": "#12171d",
    "card": "#1c242d",
    "ink": "#e9edf1",
    "soft": "#a3aeb9",
    "faint": "#27303a",
    "line": "#414c57",
    "zero": "#8996a3",
    "course": "#8db4dc",
    "margin": "#e0a06c",
    "better": "#3cc79f",
    "worse": "#ff8a5c",
    "not_worse": "#63b8ee",
    "unclear": "#98a3ae",
    "sign": "#12171d",
}

_FILLED = ("page", "card", "ink", "soft", "sign", "better", "worse", "not_worse", "unclear")
_DRAWN = {
    "rule": "line",
    "grid": "faint",
    "zero": "zero",
    "margin": "margin",
    "edge": "course",
    "course": "course",
    "halo": "page",
}


def _color_rules(palette: dict[str, str]) -> str:
    rules = [f".experiment .{name}{{fill:{palette[name]}}}" for name in _FILLED]
    rules += [f".experiment .{name}{{stroke:{palette[colour]}}}" for name, colour in _DRAWN.items()]
    rules += [f".experiment .whisker.{name}{{stroke:{palette[name]}}}" for name in _FILLED[-4:]]
    rules += [f".experiment .band,.experiment .spot{{fill:{palette['course']}}}"]
    rules += [f".experiment .marginal{{fill:{palette['margin']}}}"]
    return "\n".join(rules)


STYLE = (
    f"{_SHAPES}{_color_rules(LIGHT)}\n@media "
    f"(prefers-color-scheme:dark){{\n{_color_rules(DARK)}\n}}\n"
)
