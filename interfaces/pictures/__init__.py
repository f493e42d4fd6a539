"""Pictures of what is known, as SVG that stands alone: no script, no font and no file besides itself."""

from qdrant_rollouts.interfaces.pictures.experiment import experiment_svg

__all__ = ["experiment_svg"]
