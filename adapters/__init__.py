"""The outside, one file per outside thing, each fulfilling a port of ``core.ports``."""
