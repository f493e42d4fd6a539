"""The product itself: plans, the engine that runs them, and the commands that people can give."""

from qdrant_rollouts.checkout import stand_for

if __name__ == "core":
    stand_for(__name__)
