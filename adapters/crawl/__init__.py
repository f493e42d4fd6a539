"""Reads a site politely: only what its robots.txt allows, at its pace, and only public
addresses."""
