"""What the pages show, put together with a fixed number of queries however many indexes and deployments there are."""
