"""The kinds of values that declarations have, and how a wrong one is refused: path, value, what was expected."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import Malformed
from core.expected import expected

# Strict: "yes" is no duration and true is no number, whatever a lenient reading makes of them.
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]


Count = Annotated[int, Field(ge=0, strict=True)]


AtLeastOne = Annotated[int, Field(ge=1, strict=True)]


Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


def validated(model: type[Model], content: Any, path: str) -> Model:
    """``content`` as ``model``; Malformed with one line for each fault: path, value, what was expected."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise Malformed("\n".join(_fault(path, fault) for fault in error.errors())) from None


def _fault(path: str, fault: Mapping[str, Any]) -> str:
    where = f"{path}: " + (".".join(str(part) for part in fault["loc"]) or "content")
    if fault["type"] == "extra_forbidden":
        return f"{where}: unknown key; remove it or correct its spelling"
    if fault["type"] == "missing":
        return f"{where}: missing; this key is required"
    return f"{where}: found {_CREDENTIALS.sub('//***@', repr(fault['input']))}; {expected(fault)}"


#: Of a URL that was put where none belongs.
_CREDENTIALS = re.compile(r"//[^/\s]*@")
