"""The tables, how rows are read and written, and the journal of events."""
