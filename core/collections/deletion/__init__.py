"""When a collection may be deleted, and what is kept."""
