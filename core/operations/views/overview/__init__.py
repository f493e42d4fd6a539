"""What the pages show, read with a fixed number of queries, however many indexes and deployments
there are."""
