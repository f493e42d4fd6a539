"""A run: its plan, the engine that takes its turns, its steps and strategies, and its commands."""
