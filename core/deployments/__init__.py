"""A run: its plan, the engine that takes its turns, its steps and strategies, its commands, and the
workers that take its turns."""
