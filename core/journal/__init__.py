"""What is written while an index is rebuilt, and how it reaches the new collection.

Applications write through ``WriterDesk``, which knows whether a rebuild captures. The step that
rebuilds calls ``core.journal.rebuilding``.
"""
