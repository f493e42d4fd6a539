"""What is served over HTTP: the API, the pages, metrics, health and MCP, in one process."""
