"""The secrets that this process knows. Only this module removes them from texts.

Rule: every text of other code (an exception, an answer of a server, a traceback) passes ``redact``
before it reaches a person, a log, a row, an event or a task's result. ``AppError`` does this with
its message, ``guard_process`` with every log line and with the traceback of an unexpected error,
``without_secrets`` with what a task raises.
"""

import base64
import logging
import re
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Mapping
from functools import partial
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote

HIDDEN = "***"
#: Words of this program's own messages. If a password is such a word, it is hidden only in the
#: places of passwords; elsewhere the gap in a known sentence would reveal it.
_OWN_WORDS = frozenset(
    {
        "celery",
        "flower",
        "guest",
        "memory",
        "password",
        "postgres",
        "postgresql",
        "qdrant",
        "redis",
        "rollouts",
    }
)
#: A plain word (only letters or digits) below this length may be part of other words, and is hidden
#: only as a whole word.
_LONG = 12
_SHORTEST = 4
#: Names of variables, of URL parameters and of parts of connection strings whose value is a secret.
_SECRET_NAME = re.compile(
    r"(?:PASSWORD|PASSWD|SECRET|TOKEN|APIKEY|ACCOUNTKEY|SIGNATURE|(?:^|[_-])(?:KEY|PASS|AUTH|SIG)|[_-]PWD)$",
    re.IGNORECASE,
)
_SWITCHES = frozenset({"true", "false", "yes", "no", "on", "off", "none", "null"})
#: The password in any URL, also in undeclared ones; the examples in our own messages say
#: ``password``.
_IN_URL = re.compile(r"(://[^\s/@:'\"]*:)(?!(?i:password|\*+)@)[^\s/@'\"]+(?=@)")
#: The user in an address of the web, if no password follows: a token stands there.
_TOKEN_IN_URL = re.compile(r"((?i:https?)://)(?!\*+@)[^\s/@:'\"]+(?=@)")
#: A header of a request, as clients show it in their errors.
_HEADER = re.compile(
    r"((?:proxy-)?authorization['\"]?\s*[:=]\s*b?['\"]?(?:(?:bearer|basic|token)\s+)?"
    r"|\bbearer\s+(?=[^\s'\",]*\d)"
    r"|\bapi[-_]?key(?:['\"]\s*:\s*b?['\"]|=b?['\"]?))"
    r"(?!\*)[^\s'\",;)&#]{6,}",
    re.IGNORECASE,
)
#: A parameter of any URL; the examples in our own messages say ``password``.
_PARAMETER = re.compile(r"([?&]([\w.-]{1,60})=)(?!(?i:password)(?![^\s'\"&#]))([^\s'\"&#]+)")

_guard = threading.Lock()
_known: dict[str, str] = {}
_pattern: re.Pattern[str] | None = None


def redact(text: str) -> str:
    """Returns ``text`` without the known secrets, however they are quoted in it."""
    pattern = _pattern
    if pattern is not None:
        text = pattern.sub(HIDDEN, text)
    text = _HEADER.sub(rf"\1{HIDDEN}", _TOKEN_IN_URL.sub(rf"\1{HIDDEN}", text))
    return _PARAMETER.sub(_hide_parameter, _IN_URL.sub(rf"\1{HIDDEN}", text))


def _hide_parameter(parameter: re.Match[str]) -> str:
    if _SECRET_NAME.search(parameter[2]):
        return f"{parameter[1]}{HIDDEN}"
    return parameter[0]


def remember_secret(secret: str, public: Collection[str] = ()) -> None:
    """From now on ``secret`` is removed from texts, and so is its percent-decoded form. ``public``
    are words that are shown next to it, such as the user's name, which may be equal."""
    global _pattern  # noqa: PLW0603 - the pattern is replaced as a whole, so that readers need no lock
    words = _OWN_WORDS | {word.lower() for word in public if word}
    with _guard:
        new = {
            form for form in {secret, secret.strip(), unquote(secret)} if form.strip()
        } - _known.keys()
        if not new:
            return
        _known.update({form: _build_pattern(form, form.lower() in words) for form in new})
        longest_first = sorted(_known, key=len, reverse=True)
        _pattern = re.compile("|".join(_known[form] for form in longest_first))


def remember_url(url: str) -> None:
    """Remembers the passwords in ``url``: before the host, and in parameters that are named like
    secrets."""
    for one in url.split(";"):  # Celery accepts several brokers in one setting
        _remember_url_password(one)
        _, _, query = one.partition("?")
        for name, value in parse_qsl(query):
            if _SECRET_NAME.search(name):
                remember_secret(value)


def remember_environment(environ: Mapping[str, str | None]) -> None:
    """Remembers every variable that is named like a secret, and the passwords of all URLs."""
    for name, value in environ.items():
        if not value:
            continue
        if name.upper() == "FLOWER_BASIC_AUTH":
            _remember_logins(value)
        elif (
            _SECRET_NAME.search(name) and len(value) >= _SHORTEST and value.lower() not in _SWITCHES
        ):
            remember_secret(value)
        if "://" in value or "@" in value:
            remember_url(value)
        for part in value.split(";"):  # a connection string, as of Azure and ODBC
            key, equals, said = part.partition("=")
            if equals and _SECRET_NAME.search(key) and len(said) >= _SHORTEST:
                remember_secret(said)


def forget_secrets() -> None:
    """Forgets all secrets: for tests, which are many processes in one."""
    global _pattern  # noqa: PLW0603
    with _guard:
        _known.clear()
        _pattern = None


def without_secrets(error: BaseException) -> BaseException | None:
    """Returns an error with the same message as ``error`` but without its secrets and causes; None
    if neither it nor its causes contain a secret. The class stays if the message is all that it
    consists of."""
    shown = "".join(traceback.format_exception(error))
    if redact(shown) == shown:
        return None
    said = redact(str(error))
    if list(error.args) == [str(error)]:
        error.args = (said,)
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)
    return RuntimeError(f"{type(error).__name__}: {said}")


def guard_process() -> None:
    """From now on, log lines and tracebacks of errors that end the process or a thread contain no
    secrets."""
    if logging.getLogRecordFactory() is not _RedactedRecord:
        logging.setLogRecordFactory(_RedactedRecord)
        sys.excepthook = partial(_report_crash, sys.excepthook)
        threading.excepthook = partial(_report_thread_crash, threading.excepthook)


class _RedactedRecord(logging.LogRecord):
    """Formatters use the traceback in ``exc_text`` if it is already there."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(self.exc_info, tuple) and self.exc_info[1] is not None:
            self.exc_text = redact("".join(traceback.format_exception(self.exc_info[1])).rstrip())

    def getMessage(self) -> str:  # noqa: N802 - the library's name
        return redact(super().getMessage())


def _report_crash(
    usual: Callable[..., Any],
    kind: type[BaseException],
    error: BaseException,
    trace: TracebackType | None,
) -> None:
    shown = "".join(traceback.format_exception(kind, error, trace))
    if redact(shown) == shown:
        usual(kind, error, trace)
    else:
        sys.stderr.write(redact(shown))


def _report_thread_crash(usual: Callable[..., Any], end: Any) -> None:
    _report_crash(lambda *_: usual(end), end.exc_type, end.exc_value, end.exc_traceback)


def _remember_url_password(url: str) -> None:
    """The last ``@`` ends the password: one that was not percent-encoded may contain others."""
    before, at, behind = url.partition("://")[2 if "://" in url else 0].rpartition("@")
    user, colon, password = before.partition(":")
    if not (at and colon and password):
        return
    public = {user, unquote(user), *re.split(r"[:/?,]", behind)}
    remember_secret(password, public)
    token = base64.b64encode(
        f"{unquote(user)}:{unquote(password)}".encode(errors="replace")
    ).decode()
    remember_secret(token)  # as HTTP sends both


def _remember_logins(value: str) -> None:
    """``user:password,user:password``, in Flower's format."""
    for login in value.split(","):
        user, _, password = login.strip().partition(":")
        remember_secret(password or user, {user} if password else ())


def _build_pattern(secret: str, public: bool) -> str:
    """Matches the secret however it is quoted: in a URL, in a Python or JSON string, in bytes, in
    HTML."""
    quoted = "".join(map(_build_char_pattern, secret))
    if public:
        return rf"(?<=:){quoted}(?=@)|(?<=password=){quoted}(?![A-Za-z0-9])"
    plain = secret.isalpha() or secret.isdigit()
    if len(secret) >= _SHORTEST and not (plain and len(secret) < _LONG):
        return quoted
    begins = r"(?:(?<![A-Za-z0-9])|(?<=%[0-9A-Fa-f][0-9A-Fa-f])|(?<=\\[nrt]))"
    return rf"{begins}{quoted}(?![A-Za-z0-9])"


def _build_char_pattern(char: str) -> str:
    """Matches one character in each of these forms; a text that is quoted twice has doubled
    backslashes."""
    if char.isascii() and char.isalnum():
        return char
    raw = char.encode("utf-8", "surrogatepass")
    wide = char.encode("utf-16-be", "surrogatepass").hex()
    ways = [
        rf"\\*{re.escape(char)}",
        "".join(f"%{byte:02x}" for byte in raw),
        "".join(rf"\\+x{byte:02x}" for byte in raw),
        rf"\\+(?:x{ord(char):02x}|u{ord(char):04x}|U{ord(char):08x})",
        "".join(rf"\\+u{wide[at : at + 4]}" for at in range(0, len(wide), 4)),
        rf"&(?:amp|lt|gt|quot|\#{ord(char)}|\#x{ord(char):x});",
        *(["[+]"] if char == " " else []),
    ]
    return f"(?i:{'|'.join(ways)})"
