"""The database's history. The tables first grow (columns are added) and shrink one release later."""

#: The newest revision; a process checks for it at start.
HEAD = "0013"
