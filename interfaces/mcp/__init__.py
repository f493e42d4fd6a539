"""The MCP server: search and queries for agents, and deployments if an operator has allowed
them."""
