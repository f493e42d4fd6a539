"""Secrets of channels, from the environment by name."""

from qdrant_rollouts.adapters import environment


def read_channel_secret(variable: str, *, ascii_only: bool = False) -> str:
    """Its value in the environment, else in ``.env``. Raises Refused, naming the variable, where it is of no use."""
    return environment.read_secret(variable, "the secret of a channel", ascii_only=ascii_only)
