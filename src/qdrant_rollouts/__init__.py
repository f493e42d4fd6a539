"""Blue-green rebuilds of Qdrant collections behind an alias."""
