"""What people declare, validated once: the settings, and the index file."""
