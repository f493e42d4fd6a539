"""Secrets of channels, from the environment by name."""

import os

from dotenv import dotenv_values

from core.errors import Refused


def read(variable: str) -> str:
    """Its value in the environment, else in ``.env``. Raises Refused, naming the variable, where there is none."""
    found = os.environ.get(variable) or dotenv_values(".env").get(variable)
    if not found:
        raise Refused(f"{variable} is empty or not set: the channel's secret is read from it; set it and try again")
    return found
