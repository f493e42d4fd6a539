"""Secrets whose variables the index file names: values from the environment or from ``.env``."""

import os
import re

from dotenv import dotenv_values

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.sanitize import redaction

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_secret(name: str, what: str, *, ascii_only: bool = False) -> str:
    """Returns the variable's value without surrounding white space. It must never be shown: from
    now on it is removed from all texts.

    ``ascii_only`` is for headers of HTTP or SMTP. Raises Refused, saying ``what`` it is for, if the
    variable is not set or cannot be sent.
    """
    if not _NAME.fullmatch(name):
        raise Refused(
            f"{what} is not the name of an environment variable; expected letters, digits and _, "
            "not the secret itself"
        )
    value = (os.environ.get(name) or dotenv_values(".env").get(name) or "").strip()
    if not value:
        raise Refused(
            f"{what}: the environment variable {name} is not set; set it for every process, or in "
            ".env"
        )
    redaction.remember_secret(value)
    redaction.remember_url(value)
    if not value.isprintable():
        raise Refused(
            f"{what}: {name} holds a line end or another character that cannot be seen; write it "
            "without"
        )
    if ascii_only and not value.isascii():
        raise Refused(
            f"{what}: {name} holds a character that is not ASCII and cannot be sent; write it "
            "without"
        )
    return value
