"""``rollouts demo``: the main purpose on real text, from start to end, in this process alone."""

from qdrant_rollouts.interfaces.demo.story import FOLDER, run_story

__all__ = ["FOLDER", "run_story"]
