"""What runs automatically, and what people look at."""
