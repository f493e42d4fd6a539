"""The interfaces: what people and programs outside this code use. They call
``core.deployments.commands`` and ``core.operations.views.queries``."""

from qdrant_rollouts.checkout import stand_for

if __name__ == "interfaces":
    stand_for(__name__)
