"""The declaration about writes: what becomes of writes that arrive while an index is rebuilt."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from qdrant_rollouts.core import defaults
from qdrant_rollouts.core.config.index_file.values import Seconds, Strict

#: ``source``: the source is read again. ``compare``: the live collection is compared with the new
#: one. ``journal``: applications write through our clients, which write down the ids. ``none``:
#: nothing is done.
WritesWay = Literal["source", "compare", "journal", "none"]


_FOREIGN = {"journal": "refuse"}


class WritesSpec(Strict):
    """How the new collection gets what is written while it is built; see
    ``core.deployments.steps.catch_up``."""

    #: None: ``compare`` if the records come from the live collection itself, ``none`` if they come
    #: from a backup or a site, else ``source``.
    way: WritesWay | None = None
    #: A pass over the source that is shorter than this is the last one before the switch.
    settle_seconds: Seconds = defaults.SETTLE_SECONDS
    #: For how long the live collection may refuse writes.
    fence_seconds: Annotated[float, Field(gt=0, le=defaults.LONGEST_FENCE, strict=True)] = (
        defaults.FENCE_SECONDS
    )
    #: What happens if a comparison takes longer than that: wait until writers are slower, switch
    #: first and compare afterwards, or ask a person.
    if_longer: Literal["wait", "heal", "pause"] = "pause"
    #: What happens if applications wrote to the live collection what the new one does not have: it
    #: is told, or a person must accept it. None: ``refuse`` for the journal, else ``report``.
    foreign: Literal["report", "refuse"] | None = None

    @property
    def follows(self) -> bool:
        """Whether anything is done about writes. A deployment carries the resolved way."""
        return self.way in ("source", "compare", "journal")

    @property
    def compares_behind_fence(self) -> bool:
        """Whether the last comparison is made while the live collection refuses writes."""
        return self.way == "compare" and self.if_longer != "heal"

    @property
    def refuses_foreign(self) -> bool:
        """Whether a person must accept such writes. A deployment carries the resolved way."""
        return (self.foreign or _FOREIGN.get(self.way or "", "report")) == "refuse"

    @property
    def leads_live(self) -> bool:
        """Whether the live collection itself is the truth, so that a rollback brings back what was
        written to it."""
        return self.way in ("compare", "journal")


def _expand_word(given: Any) -> Any:
    return {"way": given} if isinstance(given, str) else given


#: A section, or only the word for its ``way``.
Writes = Annotated[WritesSpec, BeforeValidator(_expand_word)]
