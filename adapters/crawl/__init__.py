"""Reading a site as a guest: what its robots.txt allows, at its pace, and nothing that is not public."""
