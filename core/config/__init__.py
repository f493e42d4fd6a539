"""What people declare, validated once: the settings, and what the index file may say."""
