"""What is asked by HTTP: the API, the pages, metrics, health and MCP, in one process."""
