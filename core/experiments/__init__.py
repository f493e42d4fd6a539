"""The statistics of two arms: pure functions on numbers. Sections are those of docs/notes/experiments.md."""
