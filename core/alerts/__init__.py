"""What people are told, and how alerts are delivered."""
