"""From plain data to HTML: templates that escape everything, and the format of times, numbers and
words."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from qdrant_rollouts.core.deployments.canary_judgment import EFFECT_UNITS
from qdrant_rollouts.core.ports.naming import shell_word
from qdrant_rollouts.interfaces import symbols

HERE = Path(__file__).parent
#: The data of a template.
Shown = dict[str, Any]


def status_word(status: str) -> Markup:
    sign, tone = symbols.status_symbol(status)
    return signed_word(sign, tone, status.replace("_", " "))


def status_pill(status: str, text: str = "") -> Markup:
    sign, tone = symbols.status_symbol(status)
    shown = text or status.replace("_", " ")
    return Markup(
        '<span class="word pill {0}"><i class="sign" aria-hidden="true">{1}</i>{2}</span>'
    ).format(tone, sign, shown)


def signed_word(sign: str, tone: str, text: str) -> Markup:
    return Markup(
        '<span class="word {0}"><i class="sign" aria-hidden="true">{1}</i>{2}</span>'
    ).format(tone, sign, text)


def time_ago(moment: str | None, now: str) -> Markup:
    """How long ago, or how soon; the full time, in UTC, is in the title."""
    if not moment:
        return Markup("")
    at = datetime.fromisoformat(moment)
    seconds = (datetime.fromisoformat(now) - at).total_seconds()
    words = f"{_format_length(seconds)} ago" if seconds >= 0 else f"in {_format_length(-seconds)}"
    return Markup(
        '<time datetime="{0}" title="{1:%Y-%m-%d %H:%M:%S} UTC" data-age>{2}</time>'
    ).format(moment, at.astimezone(UTC), words)


def time_span(moment: str | None, now: str) -> Markup:
    """How long it has lasted; the time since when, in UTC, is in the title."""
    if not moment:
        return Markup("")
    at = datetime.fromisoformat(moment)
    words = _format_length(max(0.0, (datetime.fromisoformat(now) - at).total_seconds()))
    return Markup(
        '<time datetime="{0}" title="since {1:%Y-%m-%d %H:%M:%S} UTC" data-age="span">{2}</time>'
    ).format(moment, at.astimezone(UTC), words)


def time_at(moment: str | None, form: str = "%Y-%m-%d %H:%M:%S") -> Markup:
    """The time itself, in UTC."""
    if not moment:
        return Markup("")
    utc = datetime.fromisoformat(moment).astimezone(UTC)
    shown = format(utc, form)
    return Markup('<time datetime="{0}" title="{1:%Y-%m-%d %H:%M:%S} UTC">{2}</time>').format(
        moment, utc, shown
    )


def format_span(seconds: float) -> str:
    """A duration in its two largest units, on one line."""
    return _format_span(seconds).replace(" ", "\N{NO-BREAK SPACE}")


def _format_span(seconds: float) -> str:
    if seconds < 60:
        if seconds < 0.1:
            return "< 0.1 s"
        if seconds < 10:
            return f"{seconds:.1f} s"
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    hours = seconds / 3600
    if minutes < 60:
        return f"{int(minutes)} min {int(seconds % 60):02d} s"
    if hours < 48:
        return f"{int(hours)} h {int(minutes % 60):02d} min"
    return f"{int(hours / 24)} days"


def format_between(begun: str, ended: str) -> str:
    return format_span(
        max(0.0, (datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds())
    )


def format_number(value: float | None) -> str:
    """Counts with separators, measures with four significant digits; empty if the value is not
    known."""
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.4g}"


def format_bytes(count: float | None) -> str:
    if count is None:
        return ""
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= step:
            return f"{count / step:,.1f} {unit}"
    return f"{count:,.0f} B"


def format_percent(share: float | None, digits: int = 0) -> str:
    if share is None:
        return ""
    return f"{share:.{digits}%}".replace("%", "\N{NO-BREAK SPACE}%")


def _format_length(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


ENVIRONMENT = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
ENVIRONMENT.globals |= {
    "word": status_word,
    "pill": status_pill,
    "signed": signed_word,
    "decisions": symbols.DECISIONS,
    "verdicts": symbols.VERDICTS,
    "effect_units": EFFECT_UNITS,
}
ENVIRONMENT.filters |= {
    "ago": time_ago,
    "lasting": time_span,
    "at": time_at,
    "span": format_span,
    "between": format_between,
    "number": format_number,
    "size": format_bytes,
    "percent": format_percent,
    # Jinja's own ``urlencode`` does not encode a slash.
    "quoted": partial(quote, safe=""),
    "shell": shell_word,
}

#: Only our own files, and no inline style or script, so the text of a record can never become one.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src "
    "'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    # Nothing is sent to other sites; with no-referrer browsers would not say that a form is of our
    # own page (`Origin: null`).
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def render_html(template: str, context: Mapping[str, Any], status: int = 200) -> HTMLResponse:
    return HTMLResponse(ENVIRONMENT.get_template(template).render(context), status, HEADERS)


def download_text(text: str, name: str, media_type: str) -> Response:
    """Returns a text as a file that the browser saves by this name."""
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text, 200, headers, media_type)
