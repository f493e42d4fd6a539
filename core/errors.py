"""The error tree.

AppError
├── Refused        asked for something that makes no sense; shown to the person, never retried
│   ├── Unknown    there is no such deployment, alias, collection …
│   ├── NothingHere  there is no database to look into
│   └── Malformed  no state could make sense of it: a name, type or number that is never allowed
├── Unavailable    the outside did not answer; tried again with growing waits
│   ├── Busy       the embedded store belongs to another process on this machine
│   ├── Misconfigured  it answered, and does not take what a setting says; a person corrects it
│   ├── OtherRelease  the database is of a release that only another program can work on
│   ├── OutcomeUnknown  a write was sent and may or may not be applied; whoever sent it repeats it
│   └── Limited    a limit of the collection's owner allows no more for some seconds
├── Broken         our own impossible state; recorded with its trace, rejects, alerts
├── LeaseLost      this worker's turn belongs to somebody else now; whatever it holds is void
└── Interrupted    the turn was cut short from outside (time limit, shutdown); counts as a crash

The class docstring is the default message. A message names the thing, the value, the bound and the
next act; values are shown by ``core.sanitize.quoting``, and no message is longer than that allows.
It often repeats what a library or a server said, so the secrets that this process knows are taken
out of it here, once. A failed validation is not an error: it is the outcome ``Reject``.
"""

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from qdrant_rollouts.core.sanitize.quoting import shorten_message
from qdrant_rollouts.core.sanitize.redaction import redact


class AppError(Exception):
    """Something went wrong."""

    def __init__(self, message: str = "") -> None:
        # Secrets are removed before the text is cut, because half a secret would not be found.
        super().__init__(shorten_message(redact(message) or (self.__doc__ or "").strip()))


class Refused(AppError):
    """This request makes no sense in the current state."""

    def __init__(self, message: str = "", *, waits_for: str | None = None) -> None:
        """``waits_for``: the id of the deployment that must end first, if that is the reason."""
        super().__init__(message)
        self.waits_for = waits_for


class Unknown(Refused):
    """The thing does not exist."""


class NothingHere(Refused):
    """Nothing was ever deployed from this folder."""


class Malformed(Refused):
    """This request makes no sense in any state."""


class Unavailable(AppError):
    """A server did not answer."""


class Busy(Unavailable):
    """The embedded Qdrant is open in another process."""


class Misconfigured(Unavailable):
    """A setting does not fit the server that it names."""


class OtherRelease(Unavailable):
    """The database is of another release than this program."""


class OutcomeUnknown(Unavailable):
    """The write was sent, and it is not known whether it counts; repeat it."""


class Limited(Unavailable):
    """The collection's rate limit allows no more requests for now."""

    def __init__(self, message: str, seconds: float = 1.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class Broken(AppError):
    """The program met a state it believed impossible."""


class LeaseLost(AppError):
    """The lease of this turn ran out; another worker may hold the deployment."""


class Interrupted(AppError):
    """The turn was interrupted before it ended."""


def is_connection_lost(error: DBAPIError) -> bool:
    """Whether the database did not answer or ended the connection, as opposed to refusing a
    statement.

    PostgreSQL ends a connection that was idle in a transaction for too long, as in a stopped
    process, with an InternalError (25P03).
    """
    return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
