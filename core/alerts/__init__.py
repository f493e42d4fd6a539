"""What somebody is told, and how it is brought there."""
