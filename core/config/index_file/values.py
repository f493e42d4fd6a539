"""The types of declared values, and the message for a wrong one: path, value, what was expected."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qdrant_rollouts.core.config.expected import describe_expected
from qdrant_rollouts.core.errors import Malformed
from qdrant_rollouts.core.sanitize.quoting import safe_repr, shorten_text

# Strict: pydantic's lenient mode would accept "yes" as a duration and true as a number.
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]


Price = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]


Count = Annotated[int, Field(ge=0, strict=True)]


AtLeastOne = Annotated[int, Field(ge=1, strict=True)]


Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


def validate_as(model: type[Model], content: Any, path: str) -> Model:
    """Parses ``content`` as ``model``. Raises Malformed with one line per error: path, value, what
    was expected."""
    try:
        return model.model_validate(content)
    except RecursionError:
        raise Malformed(f"{path}: more levels stand in each other than can be read") from None
    except ValidationError as error:
        raise Malformed(
            "\n".join(_describe_fault(path, fault) for fault in error.errors())
        ) from None


def _describe_fault(path: str, fault: Mapping[str, Any]) -> str:
    where = f"{path}: " + (".".join(shorten_text(str(part)) for part in fault["loc"]) or "content")
    if fault["type"] == "extra_forbidden":
        return f"{where}: unknown key; remove it or correct its spelling"
    if fault["type"] == "missing":
        return f"{where}: missing; this key is required"
    if fault["loc"] and fault["loc"][-1] in _NAMES_OF_SECRETS:
        return f"{where}: {describe_expected(fault)}"
    return f"{where}: found {_quote_without_password(fault['input'])}; {describe_expected(fault)}"


def _quote_without_password(given: Any) -> str:
    """Removes the password before the text is cut; otherwise the cut could leave a part of it."""
    return shorten_text(_CREDENTIALS.sub("//***@", safe_repr(given)))


#: Keys that name the variable of a secret. Somebody may have written the secret itself there.
_NAMES_OF_SECRETS = frozenset({"key", "secret"})

#: Matches a URL that stands where none belongs.
_CREDENTIALS = re.compile(r"//[^/\s]*@")
