"""What can go wrong, and what each face makes of it."""

from collections.abc import Mapping

from docs.pages.markdown import first_sentence, joined, table, told
from qdrant_rollouts.core import errors
from qdrant_rollouts.core.errors import AppError
from qdrant_rollouts.interfaces.cli.running import MEANINGS as EXITS
from qdrant_rollouts.interfaces.http.problems import MEANINGS as STATUSES

_HEAD = """# Errors

Made from `core/errors.py` by `python -m docs.make_reference`. A message names the thing, the value, the bound and
the next act; [operations](../operations.md#what-a-message-means) lists those one meets most. What is refused has
changed nothing. Celery hands the class on to whoever reads the result; the HTTP API answers with a problem document
(RFC 9457) of one of these [kinds](../http-api.md#problems).
"""


_EXIT_CODES = [
    ["0", "done"],
    ["1", "the deployment ended `rolled_back` or `needs_operator`"],
    ["2", "refused: bad input, an unknown name, the wrong state; nothing was changed"],
    ["3", "a server cannot be reached; it is named"],
    ["4", "`--timeout` ran out; the deployment goes on"],
]


def page() -> str:
    found = [error for error in vars(errors).values() if isinstance(error, type) and issubclass(error, AppError)]
    rows_of = [[f"`{one.__name__}`", first_sentence(told(one)), _of(EXITS, one), *_problem(one)] for one in found]
    return joined(
        _HEAD,
        table(["error", "says", "exit code", "HTTP", "problem"], rows_of),
        "## Exit codes",
        table(["code", "meaning"], _EXIT_CODES),
    )


def _of(meanings: Mapping[type[BaseException], tuple[object, object]], error: type[BaseException]) -> str:
    """The number in the pair that the first kind which fits has."""
    pair = next((meaning for kind, meaning in meanings.items() if issubclass(error, kind)), ())
    return next((str(part) for part in pair if isinstance(part, int)), "")


def _problem(error: type[BaseException]) -> list[str]:
    """The status and the name of the kind that it is answered with."""
    kind = next(kind for one, kind in STATUSES.items() if issubclass(error, one))
    return [str(kind.status), f"`{kind.name}`"]
