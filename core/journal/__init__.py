"""What is written while an index is rebuilt, and how it reaches the new collection.

Applications write through ``WriterDesk``, which knows whether a rebuild captures. The step that
rebuilds calls ``core.journal.rebuilding``.

No step calls it yet, so no application is offered the clients that write the journal.
"""
