"""Flower's logins: ``FLOWER_BASIC_AUTH``, which Flower reads itself and takes literally."""

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.sanitize import redaction

VARIABLE = "FLOWER_BASIC_AUTH"


def normalize_logins(value: str) -> str:
    """Returns ``value`` without surrounding white space, with which nobody could log in. Raises
    Refused if it is not a list of ``user:password``, separated by commas."""
    redaction.remember_environment({VARIABLE: value})
    found = [one.strip() for one in value.split(",")]
    for one in found:
        user, _, password = one.partition(":")
        if not user or not password:
            raise Refused(
                f"{VARIABLE}: expected user:password, or several with commas between them"
            )
        if not one.isprintable():
            raise Refused(
                f"{VARIABLE}: it holds a line end or another character that cannot be seen; write "
                "it without"
            )
    return ",".join(found)
