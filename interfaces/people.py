"""The person at this machine, as events name them."""

import getpass
import os


def login_name(through: str) -> str:
    """Returns the user of this process; a container's user may have a number and no name."""
    try:
        return f"{getpass.getuser()}@{through}"
    except (KeyError, OSError):
        return f"uid {os.getuid()}@{through}"
