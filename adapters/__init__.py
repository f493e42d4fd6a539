"""The connections to everything outside: one file per outside thing, each implementing a port of
``core.ports``."""

from qdrant_rollouts.checkout import stand_for

if __name__ == "adapters":
    stand_for(__name__)
