"""Every verb of ``rollouts``: a module each, with its declaration and what it does."""
