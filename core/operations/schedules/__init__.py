"""What runs automatically: the scheduled times, their runs, and the commands that change them."""
