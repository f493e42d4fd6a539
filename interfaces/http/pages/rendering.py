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
from starlette.responses import HTMLResponse

from qdrant_rollouts.core.ports.naming import shell_word

HERE = Path(__file__).parent

#: Status -> symbol and colour; the word is always shown next to both.
SYMBOLS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(
        (
            "done",
            "live",
            "completed",
            "pass",
            "deleted",
            "unchanged",
            "on",
            "sent",
            "healthy",
            "yes",
        ),
        ("✔", "good"),
    ),
    **dict.fromkeys(
        ("failed", "needs_operator", "block", "damaged", "given_up", "no", "error", "degraded"),
        ("✖", "bad"),
    ),
    **dict.fromkeys(
        ("running", "rolling_back", "deleting", "building", "progressing"), ("◌", "calm")
    ),
    **dict.fromkeys(("waiting", "scheduled", "due", "deletion due"), ("◷", "calm")),
    **dict.fromkeys(("warn", "rolled_back"), ("⚠", "warn")),
    **dict.fromkeys(("inconclusive", "unknown"), ("?", "warn")),
    "undone": ("↶", "warn"),
    # The two bars of a pause that fonts of every system have; few of them have the terminal's sign
    # for it.
    "paused": ("‖", "warn"),
}
_NEUTRAL = ("•", "soft")
#: Symbols without a status: a decision of an experiment, a metric's verdict.
DECISIONS = {
    "SHIP": ("✔", "good", "ship"),
    "ROLLBACK": ("✖", "bad", "roll back"),
    "INVALID": ("✖", "bad", "invalid, no verdict"),
    "KEEP_RUNNING": ("◷", "calm", "keep running"),
    "STOP_INCONCLUSIVE": ("?", "warn", "stop, nothing shown"),
}
VERDICTS = {
    "better": ("✔", "good"),
    "not_worse": ("✔", "good"),
    "worse": ("✖", "bad"),
    "unclear": ("?", "warn"),
    "healthy": ("✔", "good"),
    "unhealthy": ("✖", "bad"),
    "unknown": ("?", "warn"),
}


def status_word(status: str) -> Markup:
    sign, colour = SYMBOLS.get(status, _NEUTRAL)
    return signed_word(sign, colour, status.replace("_", " "))


def status_pill(status: str, text: str = "") -> Markup:
    sign, colour = SYMBOLS.get(status, _NEUTRAL)
    shown = text or status.replace("_", " ")
    return Markup(
        '<span class="word pill {0}"><i class="sign" aria-hidden="true">{1}</i>{2}</span>'
    ).format(colour, sign, shown)


def signed_word(sign: str, colour: str, text: str) -> Markup:
    return Markup(
        '<span class="word {0}"><i class="sign" aria-hidden="true">{1}</i>{2}</span>'
    ).format(colour, sign, text)


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
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = seconds / 60
    hours = seconds / 3600
    if minutes < 60:
        return f"{int(minutes)} min {int(seconds % 60):02d} s"
    return (
        f"{int(hours)} h {int(minutes % 60):02d} min" if hours < 48 else f"{int(hours / 24)} days"
    )


def format_between(begun: str, ended: str) -> str:
    return format_span(
        max(0.0, (datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds())
    )


def format_number(value: float | None) -> str:
    """Counts with separators, measures with four significant digits; empty if the value is not
    known."""
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def format_bytes(count: float | None) -> str:
    if count is None:
        return ""
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= step:
            return f"{count / step:,.1f} {unit}"
    return f"{count:,.0f} B"


def format_percent(share: float | None, digits: int = 0) -> str:
    return "" if share is None else f"{share:.{digits}%}".replace("%", "\N{NO-BREAK SPACE}%")


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
    "decisions": DECISIONS,
    "verdicts": VERDICTS,
}
ENVIRONMENT.filters |= {
    "ago": time_ago,
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
