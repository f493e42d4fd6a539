"""The verbs of ``rollouts``. Each has a module with its declaration and its body."""
