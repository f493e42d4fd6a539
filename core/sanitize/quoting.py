"""How values from outside are shown in a message. Only this module decides how much of them is
shown.

Rule: a message shows at most ``LONGEST`` characters of a value, whether it comes from a person, a
program or a file. A message that becomes an error is bounded once more as a whole.
"""

import re
from collections.abc import Collection

#: Characters of one value.
LONGEST_VALUE = 80
#: Characters of a location: a path, a pattern, a source.
LONGEST_PLACE = 300
#: Characters of one line of a message, and the number of lines.
_LINE = 1000
_LINES = 100
#: A path may be longer than a value; nothing else in a message is this long without a blank.
_RUN = re.compile(r"\S{300,}")
_LONG_VALUE = re.compile(r"""\S{81,}|"[^"\n]{79,}"|'[^'\n]{79,}'""")
_ERROR = 200
#: What no database stores, what ends a line besides a newline, and what a terminal obeys.
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
#: How many columns a message names.
_COLUMNS = 20
_NAME = re.compile(r"[^\W\d][\w .-]{0,39}")
#: Digits in a name; keys and passwords have more.
_MOST_DIGITS = 4


def add_reason(text: str, reason: str) -> str:
    """Returns the text with the reason behind it, if somebody gave one."""
    if not reason:
        return text
    return f"{text}: {reason}"


def shorten_text(text: str, most: int = LONGEST_VALUE) -> str:
    """Returns ``text``, or its beginning and its length; at most ``most`` characters in all."""
    if len(text) <= most:
        return text
    tail = f"… ({len(text):,} characters)"
    return text[: max(0, most - len(tail))] + tail


def quote_value(value: object, most: int = LONGEST_VALUE) -> str:
    """Returns ``value`` as Python writes it, cut. For plain values: those of JSON and YAML."""
    if isinstance(value, str) and len(value) > most:
        tail = f"… ({len(value):,} characters)"
        return f"{repr(value[:most])[: most - len(tail) - 1]}'{tail}"
    return shorten_text(safe_repr(value), most)


def escape_controls(text: str) -> str:
    """Returns the lines of ``text`` with control characters as Python writes them, so that a file
    and a terminal show what is there."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text.replace("\r\n", "\n"))


def safe_repr(value: object) -> str:
    """Returns ``value`` as Python writes it, uncut, for code that must first remove a secret from
    it."""
    try:
        return repr(value)
    except ValueError:  # Python writes no integer of more than 4,300 digits
        return "a number too long to be written"


def error_text(error: BaseException | str, most: int = _ERROR) -> str:
    """Returns the message of a library or of a user's function, which may repeat a value: every
    long word and every long quoted text is cut, and so is the whole."""
    words = " ".join(str(error).split())
    return shorten_text(_LONG_VALUE.sub(lambda found: shorten_text(found[0]), words), most)


def describe_yaml_error(error: BaseException) -> str:
    """Returns what is wrong and where, without the surrounding lines, which are the file's
    content."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None)
    if mark is None or problem is None:
        return error_text(error)
    context = getattr(error, "context", None)
    words = error_text(f"{context}: {problem}" if context else str(problem))
    return f"{words} at line {mark.line + 1}, column {mark.column + 1}"


def describe_columns(names: Collection[str]) -> str:
    """Returns the names of a table's columns that look like names, and how many others there
    are."""
    shown = [name for name in names if _looks_like_name(name)][:_COLUMNS]
    more = len(names) - len(shown)
    if not shown:
        return f"{more:,} that look like no names"
    return ", ".join([*shown, f"{more:,} more"] if more else shown)


def describe_header(names: Collection[str]) -> str:
    """The same for a file's first line; nothing of it if it is not a header, because then it is the
    file's content and may be a secret. A line of one word does not count as a header."""
    if len(names) < 2:
        return "one column"
    if not look_like_names(names):
        return f"{len(names):,} columns, which do not all look like names"
    return describe_columns(names)


def look_like_names(names: Collection[str]) -> bool:
    return all(map(_looks_like_name, names))


def shorten_message(message: str) -> str:
    """Returns ``message`` for an error: long words, long lines and many lines are cut."""
    lines = message.splitlines()
    if len(lines) > _LINES:
        lines = [*lines[: _LINES - 1], f"… and {len(lines) - _LINES + 1:,} lines more"]
    return "\n".join(
        shorten_text(_RUN.sub(lambda found: shorten_text(found[0]), line), _LINE) for line in lines
    )


def _looks_like_name(text: str) -> bool:
    return _NAME.fullmatch(text.strip()) is not None and sum(map(str.isdigit, text)) <= _MOST_DIGITS
