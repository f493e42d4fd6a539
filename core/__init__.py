"""What the product is: plans, the engine that walks them, and what people may ask."""

from qdrant_rollouts.checkout import stand_for

if __name__ == "core":
    stand_for(__name__)
