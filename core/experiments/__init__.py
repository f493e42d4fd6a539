"""Experiments as people run them: created, started, looked at, decided."""
