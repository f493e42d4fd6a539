"""``live`` as a source: the collection that the alias shows when the deployment starts."""

from collections.abc import Mapping

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports.naming import shell_word

LIVE = "live"


def name_source(text: str, alias: str, live: Mapping[str, str]) -> str:
    """Returns the source that ``text`` means for ``alias``. Raises Refused if it is the live
    collection and there is none."""
    if text.strip() != LIVE:
        return text
    if alias not in live:
        raise Refused(
            f"source live is the collection behind {alias}, and nothing serves {alias} yet: name "
            f"that collection with `rollouts alias create {shell_word(alias)} COLLECTION`; if "
            "there is none, name another source"
        )
    return f"collection:{live[alias]}"
