"""What is done by itself, and what people look at."""
