"""The database's history. The tables first grow, and shrink one release later.

Rule: a migration says in ``oldest_program`` which programs still work on the database that it leaves: the HEAD of the
oldest. One that only adds what they need not know keeps that of the release before; one that takes away, renames or
demands anything names the first release that does without it. What is not declared works with no older program.
``env.py`` writes the answer into the database, where programs that know nothing of the migration read it.

A release that brings a task, an argument, a step, a status or a setting that its predecessor does not know brings a
migration too, if need be an empty one: by it the older program knows that a newer one is about, and leaves to it what
it cannot make sense of itself.
"""

from qdrant_rollouts.checkout import stand_for

#: The newest revision this program knows.
HEAD = "0016"
#: The oldest revision it works on. Older than HEAD only where what came between is not needed, such as an index.
OLDEST = "0016"

if __name__ == "migrations":
    stand_for(__name__)
