"""Who the person at this machine is, as events call him."""

import getpass
import os


def login_name(through: str) -> str:
    """The user of this process, at what he uses; a container's may have a number and no name."""
    try:
        return f"{getpass.getuser()}@{through}"
    except (KeyError, OSError):
        return f"uid {os.getuid()}@{through}"
