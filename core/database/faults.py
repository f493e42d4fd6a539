"""Explains database errors in our own words: a wrong setting, or a server that must be waited for.

Rule: "did not answer" is said only if nothing answered. While it connects, the driver gives only
texts (libpq), so these errors are recognised by their text. All other errors have a code (SQLSTATE,
or SQLite's name). The server's own message follows ours, because it may be in another language.
"""

import re
from collections.abc import Iterable

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from qdrant_rollouts.core.errors import Misconfigured, Unavailable

#: In the texts, ``{setting}`` is the variable that holds the URL.
Meaning = tuple[type[Unavailable], str]

#: Wrong settings, recognised by the message while a connection is made; the first match counts.
_WRONG: Iterable[tuple[str, str]] = (
    (
        r"failed to resolve host|could not translate host name",
        "has a host name that is not known; correct {setting}",
    ),
    (
        r"password authentication failed|no password supplied|SASL"
        r"|authentication failed|password retrieval",
        "refused the user or the password; correct {setting}",
    ),
    (
        r"no such user|role .* (?:does not exist|is not permitted)",
        "has no such user that may log in; correct {setting}",
    ),
    (
        r"no such database|database .* does not exist",
        "has no database of that name; make it, or correct {setting}",
    ),
    (
        r"no pg_hba\.conf entry.*no encryption",
        "does not let this user in without TLS; add ?sslmode=require to {setting}, or allow it in "
        "pg_hba.conf",
    ),
    (r"pg_hba\.conf", "does not let this user in from here; allow it in pg_hba.conf"),
    (
        r"server does not support SSL|SSL required|TLS required",
        "and sslmode in {setting} do not agree on TLS; correct it",
    ),
    (
        r"certificate|SSL error|tlsv1 alert",
        "has no trusted certificate, or requires one; correct sslrootcert, sslcert and sslmode in "
        "{setting}",
    ),
    (r"permission denied", "does not let this user use that database; grant CONNECT to it"),
    (
        r"startup parameter",
        "accepts no startup parameter (a connection pooler): remove options from {setting}; limits "
        "need none",
    ),
    (
        r"invalid response to SSL|expected authentication request|unsupported frontend protocol",
        "is no PostgreSQL: something else answers there; correct {setting}",
    ),
    (
        r"invalid \w+ value|invalid connection option|unrecognized configuration parameter",
        "has an unknown parameter; correct {setting}",
    ),
)
#: The server answered and will accept a connection later.
_LATER: Iterable[tuple[str, str]] = (
    (
        r"too many (?:connections|clients)|connection slots|no more connections allowed",
        "has no free connection",
    ),
    (r"starting up|recovery mode|not yet accepting", "is starting"),
    (
        r"shutting down|terminating connection|pgbouncer cannot connect|server login",
        "is stopping or starting",
    ),
    (r"query_wait_timeout", "has no free connection behind its pooler"),
)
#: By the beginning of the SQLSTATE, longest first.
_BY_STATE: Iterable[tuple[str, Meaning]] = (
    (
        "25006",
        (Misconfigured, "may only be read: it is a standby, or set read-only; correct {setting}"),
    ),
    ("42501", (Misconfigured, "does not let this user do that; grant it the right")),
    ("53100", (Unavailable, "has no room left on its disk")),
    ("53300", (Unavailable, "has no free connection")),
    ("55P03", (Unavailable, "is busy: another transaction holds a lock")),
    ("57014", (Unavailable, "is busy: a statement took too long")),
    ("57P", (Unavailable, "is stopping or starting")),
    ("25P03", (Unavailable, "ended a connection that was idle for too long")),
    (
        "26000",
        (
            Misconfigured,
            "lost a prepared statement: there is a pooler in front of it; see docs/scaling.md",
        ),
    ),
    ("28", (Misconfigured, "refused the user or the password; correct {setting}")),
    ("3D", (Misconfigured, "has no database of that name; make it, or correct {setting}")),
    ("40", (Unavailable, "is busy: a transaction stood in the way of another")),
)
_OF_SQLITE: Iterable[tuple[str, Meaning]] = (
    ("SQLITE_BUSY", (Unavailable, "is busy: another process writes and does not end")),
    ("SQLITE_LOCKED", (Unavailable, "is busy: another connection writes and does not end")),
    (
        "SQLITE_CANTOPEN",
        (
            Misconfigured,
            "cannot be opened; correct the rights of file and folder, or correct {setting}",
        ),
    ),
    ("SQLITE_READONLY", (Misconfigured, "may only be read; correct the rights of file and folder")),
    ("SQLITE_PERM", (Misconfigured, "may not be used; correct the rights of file and folder")),
    ("SQLITE_AUTH", (Misconfigured, "may not be used; correct the rights of file and folder")),
    ("SQLITE_NOTADB", (Misconfigured, "is no SQLite database; correct {setting}")),
    ("SQLITE_CORRUPT", (Misconfigured, "is damaged; put a copy of it back")),
    ("SQLITE_FULL", (Unavailable, "has no room left on its disk")),
    ("SQLITE_IOERR", (Unavailable, "cannot be read or written: its disk fails")),
)
_SAID_BY_A_SERVER = re.compile(r"FATAL|ERROR|PANIC")
_LONGEST = 300


def explain_error(
    error: BaseException, where: str = "the database", setting: str = "ROLLOUTS_DATABASE_URL"
) -> Unavailable:
    """Explains ``error``; Misconfigured if a person must change something first. ``setting`` is the
    variable that holds the database's URL."""
    kind, words = find_meaning(error) or (Unavailable, f"failed ({type(error).__name__})")
    return kind(f"{where} {words.replace('{setting}', setting)}{_quote_driver_message(error)}")


def find_meaning(error: BaseException) -> Meaning | None:
    """Returns None for an unexpected error, such as a wrong statement."""
    if isinstance(error, PoolTimeout):
        return Unavailable, "has no free connection: this process uses all of its own"
    if not isinstance(error, DBAPIError):
        return None
    if name := getattr(error.orig, "sqlite_errorname", None):
        return _match_code(_OF_SQLITE, str(name))
    if state := getattr(error.orig, "sqlstate", None):
        return _match_code(_BY_STATE, str(state)) or _match_driver_message(error)
    return _match_driver_message(error)


def _match_code(table: Iterable[tuple[str, Meaning]], code: str) -> Meaning | None:
    return next((found for begin, found in table if code.startswith(begin)), None)


def _match_driver_message(error: DBAPIError) -> Meaning | None:
    said = _driver_message(error)
    kinds: tuple[tuple[type[Unavailable], Iterable[tuple[str, str]]], ...] = (
        (Unavailable, _LATER),
        (Misconfigured, _WRONG),
    )
    for kind, table in kinds:
        for pattern, words in table:
            if re.search(pattern, said, re.IGNORECASE):
                return kind, words
    if getattr(error.orig, "sqlstate", None):
        return None
    if _SAID_BY_A_SERVER.search(said):
        return Misconfigured, "refused the connection; correct {setting}"
    return Unavailable, f"did not answer ({type(error).__name__}); is it running?"


def _driver_message(error: DBAPIError) -> str:
    return " ".join(str(error.orig).split())


def _quote_driver_message(error: BaseException) -> str:
    """Returns the first line of the driver's message; the other lines quote the statement and its
    values."""
    if not isinstance(error, DBAPIError) or not str(error.orig).strip():
        return ""
    first = str(error.orig).strip().splitlines()[0].rpartition(" failed: ")[2]
    return f" (it said: {first[:_LONGEST]})"
