"""The tables, and the journal of events."""
