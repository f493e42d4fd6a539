"""Secrets of channels, from the environment by name."""

from qdrant_rollouts.adapters import environment


def read_channel_secret(variable: str, *, ascii_only: bool = False) -> str:
    """Returns its value from the environment, else from ``.env``. Raises Refused, naming the
    variable, if it cannot be used."""
    return environment.read_secret(variable, "the secret of a channel", ascii_only=ascii_only)
