"""The database's history. The tables first grow (columns are added) and shrink one release later."""

from qdrant_rollouts.checkout import stand_for

#: The newest revision; a process checks for it at start.
HEAD = "0012"

if __name__ == "migrations":
    stand_for(__name__)
