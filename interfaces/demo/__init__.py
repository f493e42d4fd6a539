"""``rollouts demo``: the main job on real text, start to end, with nothing but this process."""

from qdrant_rollouts.interfaces.demo.story import FOLDER, run_story

__all__ = ["FOLDER", "run_story"]
