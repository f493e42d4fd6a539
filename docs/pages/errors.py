"""The errors, with their exit codes and HTTP statuses."""

from collections.abc import Mapping

from docs.pages.markdown import first_sentence, joined, table, told
from qdrant_rollouts.core import errors
from qdrant_rollouts.core.errors import AppError
from qdrant_rollouts.interfaces.cli.running import MEANINGS as EXITS
from qdrant_rollouts.interfaces.http.problems import MEANINGS as STATUSES

_HEAD = """# Errors

`python -m docs.make_reference` makes this page from `core/errors.py`. A message names the thing,
the value, the bound and what to do next. [Messages](messages.md) lists
the most common messages. A refused request has changed nothing. The result of a Celery task raises
the error's class. The HTTP API answers with a problem document (RFC 9457) of one of these
[kinds](../http-api.md#problems).
"""


_EXIT_CODES = [
    ["0", "done"],
    ["1", "the deployment ended `rolled_back` or `needs_operator`"],
    ["2", "refused: bad input, an unknown name, the wrong state; nothing was changed"],
    ["3", "a server cannot be reached; the message names it"],
    ["4", "`--timeout` expired; the deployment continues"],
]


def page() -> str:
    found = [
        error
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, AppError)
    ]
    rows_of = [
        [f"`{one.__name__}`", first_sentence(told(one)), _of(EXITS, one), *_problem(one)]
        for one in found
    ]
    return joined(
        _HEAD,
        table(["error", "says", "exit code", "HTTP", "problem"], rows_of),
        "## Exit codes",
        table(["code", "meaning"], _EXIT_CODES),
    )


def _of(
    meanings: Mapping[type[BaseException], tuple[object, object]], error: type[BaseException]
) -> str:
    """The number in the pair of the first matching kind."""
    pair = next((meaning for kind, meaning in meanings.items() if issubclass(error, kind)), ())
    return next((str(part) for part in pair if isinstance(part, int)), "")


def _problem(error: type[BaseException]) -> list[str]:
    """The HTTP status and the name of the problem kind."""
    kind = next(kind for one, kind in STATUSES.items() if issubclass(error, one))
    return [str(kind.status), f"`{kind.name}`"]
