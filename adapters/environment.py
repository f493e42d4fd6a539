"""Secrets that the index file names and does not hold: variables of the environment or of ``.env``."""

import os
import re

from dotenv import dotenv_values

from core.errors import Refused
from core.quoting import quoted

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def secret(name: str, what: str) -> str:
    """The variable's value, never to be shown. Raises Refused, saying ``what`` it is for, where it is not set."""
    if not _NAME.fullmatch(name):
        raise Refused(f"{what}: {quoted(name)} is no name of an environment variable; expected letters, digits and _")
    value = os.environ.get(name) or dotenv_values(".env").get(name)
    if not value:
        raise Refused(f"{what}: the environment variable {name} is not set; set it for every process, or in .env")
    return value
