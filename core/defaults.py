"""Default values that more than one interface uses.

Rule: the core, the command line, HTTP and Celery take each value from here, so they cannot differ.
"""

from typing import Final

#: How long a replaced collection is kept, if neither its index nor a person says otherwise.
GRACE_MINUTES: float = 60
#: The longest allowed grace period, ten years.
LONGEST_GRACE_MINUTES = 5_256_000.0
#: How long an orphan can still be kept after a person has requested the deletion of all orphans.
ORPHANS_MINUTES = 60.0
#: How many rebuilds run at once, and how many of those with the same model: what one machine can
#: do.
REBUILDS = 4
PER_MODEL = 2
#: Results of a search, rows of a list, and the maximum of each.
RESULTS = 10
ROWS = 20
MOST = 1000
#: Indexes of a page; a page has more to read of each than a list has of a row.
INDEXES = 100
#: A pass over a source that is shorter than this is the last one before the switch.
SETTLE_SECONDS: float = 10
#: For how many seconds a live collection may refuse writes while the alias moves.
FENCE_SECONDS: float = 2
#: The most that may be declared. A turn lasts little longer than a minute.
LONGEST_FENCE: float = 60
#: How many records of two versions are compared.
COMPARED = 1000
#: How many requests to an embedding provider one process sends at the same time, and the most that
#: may be declared.
REQUESTS: Final = 4
MOST_REQUESTS: Final = 64
#: Into how many slices a source may be cut.
MOST_SLICES: Final = 32
#: The share of an experiment's users that its treatments get.
SPLIT = 0.5
#: How an experiment serves its users: each user gets one arm.
MODE: Final = "ab"
#: Seconds that a call to Qdrant may take.
CALL_SECONDS = 10.0
