"""The times and sizes of the journal.

Rule: nothing that a dead or late process has sent arrives after ``quarantine``. All other times
follow from that.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """Times are in seconds. ``lease``: how long a writer may rely on the last phase it has read.
    ``send_within``: the longest time between a row and its request. ``answer``: the longest time
    that a request to Qdrant waits for its answer. ``quarantine`` is longer than ``answer``, the
    delays of the network and the longest pause of a process together. ``fence``: how long writes
    may be closed. ``poll``: how often the fence looks again; ``wait``: how often a writer does that
    waits for it. A fence is entered only with ``most_left`` points or fewer to catch up with. A
    round takes about ``piece`` points. A filter may select ``most_selected`` points."""

    lease: float = 2.0
    renew_every: float = 0.5
    send_within: float = 5.0
    answer: float = 10.0
    quarantine: float = 60.0
    fence: float = 2.0
    poll: float = 0.005
    wait: float = 0.02
    most_left: int = 200
    piece: int = 256
    most_selected: int = 10_000

    @property
    def patience(self) -> float:
        """How long a writer waits for closed writes: a fence, and a switch that was decided."""
        return self.fence + 1.0


BOUNDS = Bounds()
