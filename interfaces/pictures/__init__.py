"""Standalone SVG pictures: without script, font or other file."""

from qdrant_rollouts.interfaces.pictures.experiment import experiment_svg

__all__ = ["experiment_svg"]
