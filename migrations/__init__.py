"""The database's history. Tables first grow, and shrink one release later.

Rule: a migration says in ``oldest_program`` which programs still work with the resulting database:
the HEAD of the oldest one. A migration that only adds something keeps the value of the previous
release; one that removes, renames or requires something names the first release that works without
the old form. Without a declaration, no older program works. ``env.py`` writes the value into the
database, where programs that do not know the migration read it.

A release with a task, an argument, a step, a status or a setting that its predecessor does not know
also has a migration, an empty one if necessary. The migration tells the older program that a newer
one is in use, so it leaves to that what it does not understand.
"""

from qdrant_rollouts.checkout import stand_for

#: The newest revision that this program knows.
HEAD = "0026"
#: The oldest revision that it works with. Older than HEAD only if the changes in between are not
#: needed, such as an index.
OLDEST = "0026"
#: The same for the processes of applications, which use few tables: so they work on the tables of
#: the release before, too. The first is for routers, the second for clients that write.
OLDEST_TO_SEARCH = "0013"
OLDEST_TO_WRITE = "0018"

if __name__ == "migrations":
    stand_for(__name__)
