"""May a collection serve? The gate collects evidence, checks judge it, and a report gives the
result."""
