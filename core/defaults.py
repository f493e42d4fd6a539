"""Values that hold where nobody says otherwise, for whatever is asked for in more than one way.

Rule: the core, the command line, HTTP and Celery take each from here, so that no two of them differ.
"""

from typing import Final

#: How long a replaced collection is kept, where neither its index nor a person says so.
GRACE_MINUTES: float = 60
#: The longest grace period that may be asked for, ten years.
LONGEST_GRACE_MINUTES = 5_256_000.0
#: How long an orphan can still be kept after a person has had all of them deleted.
ORPHANS_MINUTES = 60.0
#: How many rebuilds run at once, and how many of those with the same model: what one machine can do.
REBUILDS = 4
PER_MODEL = 2
#: Results of a search, rows of a list, and the most of either.
RESULTS = 10
ROWS = 20
MOST = 1000
#: Records of which two versions are compared.
COMPARED = 1000
#: The share of an experiment's users that its treatments have.
SPLIT = 0.5
#: How an experiment serves its users: each one arm.
MODE: Final = "ab"
#: Seconds that a call of Qdrant may take.
CALL_SECONDS = 10.0
#: How much worse than blue a canary may be: of p95 as a share, of the error rate as a difference.
P95_MARGIN = 0.10
ERROR_RATE_MARGIN = 0.005
#: The fewest searches, and users, by which a stage of a canary is judged.
MIN_SEARCHES = 200
MIN_USERS = 100
#: What rolls a canary back without statistics.
BREAKER_ERROR_RATE = 0.05
BREAKER_CALLS = 200
BREAKER_ERRORS = 20
BREAKER_LOOKS = 10
BREAKER_MEAN_LATENCY_MS: float = 200
